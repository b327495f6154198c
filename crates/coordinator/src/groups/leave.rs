//! LeaveGroup.

use ottla_codec::ResponseError;

use super::coordinator::GroupConfig;
use super::event::LeaveMember;
use super::group::{Group, State};
use super::{Departure, GroupEffects};
use crate::Now;

impl<T> Group<T> {
    /// Removes members, each answered on its own; one rebalance for all of them.
    pub(crate) fn leave(
        &mut self,
        now: Now,
        config: &GroupConfig,
        members: Vec<LeaveMember>,
        out: &mut GroupEffects<T>,
    ) -> Vec<(LeaveMember, Option<ResponseError>)> {
        let mut any = false;
        let results = members
            .into_iter()
            .map(|member| {
                let error = self.leave_one(&member, out).err();
                any |= error.is_none();
                (member, error)
            })
            .collect();
        if any {
            match self.state {
                State::Empty => {}
                State::PreparingRebalance { .. } => self.maybe_complete_join(now, out),
                State::CompletingRebalance { .. } | State::Stable { .. } => {
                    self.prepare_rebalance(now, config, out);
                }
            }
        }
        results
    }

    fn leave_one(
        &mut self,
        member: &LeaveMember,
        out: &mut GroupEffects<T>,
    ) -> Result<(), ResponseError> {
        let instance_id = member.instance_id.as_deref();
        if member.member_id.is_empty() {
            // An administrator removes a static member without knowing its id (KIP-345).
            let holder = instance_id
                .and_then(|id| self.static_members.get(id))
                .cloned();
            let holder = holder.ok_or(ResponseError::UnknownMemberId)?;
            self.remove(&holder, Departure::Left, out);
            return Ok(());
        }
        if !self.pending_members.contains(&member.member_id) {
            self.validate_member(&member.member_id, instance_id)?;
        }
        self.remove(&member.member_id, Departure::Left, out);
        Ok(())
    }
}
