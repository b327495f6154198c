//! Forgetting all groups, and with them what a reset takes from the store.

use ottla_storage::{Commit, ResetTopics, StoreError, Tree, Wiped};

use super::{GroupService, Inner, Shared};

/// What a reset took away.
pub(crate) struct Forgotten {
    pub wiped: Wiped,
    /// Groups that had rows.
    pub groups: usize,
}

impl GroupService {
    /// Resets the store, and forgets what is in memory of groups and of what they fail on. Who waits in a group is told to look for the
    /// coordinator again, and finds the group gone; or as it was, if its rows stay. Kept when [`GroupService::reset_kept`] says so.
    pub fn reset(&self, topics: ResetTopics<'_>, trees: &[Tree]) -> Result<Forgotten, StoreError> {
        let shared = &self.shared;
        // What groups commit is committed under this lock.
        let mut inner = shared.lock();
        let groups = match trees.contains(&Tree::Groups) {
            true => shared.store.scan(Tree::Groups, &[])?.len(),
            false => 0,
        };
        let wiped = shared.store.reset(topics, trees)?;
        inner.last_commit = inner.last_commit.max(Some(wiped.commit));
        shared.forget_all(&mut inner);
        Ok(Forgotten { wiped, groups })
    }

    /// Waits until a reset is kept. If it is not, all groups are as they were.
    pub async fn reset_kept(&self, commit: Commit) -> Result<(), StoreError> {
        let kept = self.shared.store.durable(commit).await;
        drop(self.shared.lock());
        kept
    }
}

impl Shared {
    fn forget_all(&self, inner: &mut Inner) {
        let failing = inner.policy.views(None).into_iter().map(|view| view.group);
        let mut groups: Vec<String> = inner.machine.group_ids().map(str::to_owned).collect();
        groups.extend(failing);
        groups.sort_unstable();
        groups.dedup();
        self.unload(inner, groups);
        inner.transactions.forget();
    }
}
