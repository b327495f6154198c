//! What the timer task of the groups does when it is woken: by time, by whoever moves a timer, by what it waits for.

use super::process::{Process, poll};
use crate::reply::Later;

/// When it wakes, and what it looks after until then.
pub(crate) struct Timers {
    wake_ms: Option<u64>,
    wait: Option<Later<()>>,
}

impl Default for Timers {
    /// As with a new process: it looks at once.
    fn default() -> Timers {
        Timers {
            wake_ms: Some(0),
            wait: None,
        }
    }
}

impl Timers {
    /// Fires what is due, if the task would.
    pub fn run(&mut self, process: &Process) {
        let shared = process.broker.groups.shared.clone();
        let now = shared.now().monotonic_ms;
        let mut woken = self.wake_ms.is_some_and(|at| at <= now);
        if let Some(waits) = &mut self.wait
            && poll(waits).is_ready()
        {
            self.wait = None;
            woken = true;
        }
        let moved = shared.clone();
        let mut moved: Later<()> = Box::pin(async move { moved.timer_moved.notified().await });
        if !(poll(&mut moved).is_ready() || woken) {
            return;
        }
        let fired = shared.fire_due();
        let sleep = fired.sleep.map(|sleep| sleep.as_millis() as u64);
        self.wake_ms = sleep.map(|ms| now.saturating_add(ms));
        if let Some(commit) = fired.committed {
            self.wait = Some(Box::pin(shared.look_after(commit)));
        }
    }
}
