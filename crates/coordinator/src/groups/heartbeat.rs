//! Heartbeat, and sessions that end.

use ottla_codec::ResponseError;

use super::coordinator::GroupConfig;
use super::group::{Group, State};
use super::{Departure, GroupEffects};
use crate::Now;

impl<T> Group<T> {
    /// Keeps a member's session. REBALANCE_IN_PROGRESS is how members learn that they must join again.
    pub(crate) fn heartbeat(
        &mut self,
        now: Now,
        generation: i32,
        member_id: &str,
        instance_id: Option<&str>,
        out: &mut GroupEffects<T>,
    ) -> Result<(), ResponseError> {
        self.validate_member(member_id, instance_id)?;
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        match self.state {
            State::Empty => Err(ResponseError::UnknownMemberId),
            State::PreparingRebalance { .. } => {
                self.touch_session(member_id, now, out);
                Err(ResponseError::RebalanceInProgress)
            }
            State::CompletingRebalance { .. } | State::Stable { .. } => {
                self.touch_session(member_id, now, out);
                Ok(())
            }
        }
    }

    /// A session timer is due. A member whose request waits here is alive; its session starts anew when it is answered.
    pub(crate) fn session_due(
        &mut self,
        now: Now,
        config: &GroupConfig,
        member_id: &str,
        out: &mut GroupEffects<T>,
    ) {
        let is_pending = self.pending_members.contains(member_id);
        match self.members.get(member_id) {
            Some(member) if member.is_alive_without_heartbeat() => return,
            None if !is_pending => return,
            Some(_) | None => {}
        }
        self.remove(member_id, Departure::TimedOut, out);
        match self.state {
            // The first rebalance of an empty group keeps waiting for its delay (KIP-134).
            State::PreparingRebalance { .. } => self.maybe_complete_join(now, out),
            State::CompletingRebalance { .. } | State::Stable { .. } if !is_pending => {
                self.prepare_rebalance(now, config, out);
            }
            _ => {}
        }
    }
}
