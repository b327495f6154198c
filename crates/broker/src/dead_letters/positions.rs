//! OffsetFetch: where the owners of partitions will begin to read.

use ottla_codec::messages::offset_fetch_response::OffsetFetchResponseGroup;
use ottla_codec::{ResponseError, StrBytes};
use ottla_dlq::TopicPartition;
use ottla_dlq::event::Event;

use super::policy::Outcome;
use super::watch::Reader;
use crate::groups::{GroupService, Inner, Machine, Shared};
use crate::reply::Later;

impl GroupService {
    /// Reads committed positions, as [`GroupService::read`], and notes that their owners have them now. `member_ids` as far as the groups' owners said
    /// theirs (v9).
    pub fn read_positions(
        &self,
        group_ids: &[&str],
        member_ids: &[StrBytes],
        reader: &Reader,
        read: impl FnOnce(&Machine) -> Vec<OffsetFetchResponseGroup>,
    ) -> Later<Result<Vec<OffsetFetchResponseGroup>, ResponseError>> {
        let shared = self.shared.clone();
        let result = {
            let mut inner = shared.lock();
            let loaded = group_ids
                .iter()
                .try_for_each(|id| shared.ensure_loaded(&mut inner, id));
            loaded.map(|()| {
                let groups = read(&inner.machine);
                shared.note_positions(&mut inner, &groups, member_ids, reader);
                (groups, inner.last_commit)
            })
        };
        Box::pin(async move {
            let (groups, commit) = result?;
            shared.durable(commit).await?;
            Ok(groups)
        })
    }
}

impl Shared {
    fn note_positions(
        &self,
        inner: &mut Inner,
        groups: &[OffsetFetchResponseGroup],
        member_ids: &[StrBytes],
        reader: &Reader,
    ) {
        let watches = &self.dead_letters.watches;
        if !watches.any() {
            return;
        }
        let mut outcome = Outcome::default();
        for (n, group) in groups.iter().enumerate() {
            let member_id = member_ids.get(n).map_or("", |id| &**id);
            // One that was asked for by an id that is not there has no name.
            for topic in group.topics.iter().filter(|t| !t.name.is_empty()) {
                for p in &topic.partitions {
                    let at = TopicPartition {
                        topic: topic.name.to_string(),
                        partition: p.partition_index,
                    };
                    let offset = (p.committed_offset >= 0).then_some(p.committed_offset);
                    let group = &*group.group_id;
                    let owner = watches.position_fetched(group, &at, member_id, reader, offset);
                    let Some(member_id) = owner else { continue };
                    let event = Event::PositionFetched {
                        group: group.to_string(),
                        member_id,
                        at,
                        offset,
                    };
                    self.event(inner, event, &mut outcome);
                }
            }
        }
        if !outcome.is_empty() {
            self.settle(inner, None, outcome);
        }
    }
}
