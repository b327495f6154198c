//! What the broker of the simulation serves.

use super::world::{GROUP, Place, World, at};
use crate::event::{Event, Gate, Serve, Served};

impl World {
    /// A fetch of a partition's owner from `position`: places, in order.
    pub fn fetch(
        &mut self,
        member: &str,
        partition: i32,
        position: i64,
        most: usize,
    ) -> Vec<Place> {
        let gate = self.gates.get(&partition).copied();
        let offsets = self.readable(partition, gate, position, most);
        if let (Some(Serve::Until(end)), None) = (gate.map(|g| g.serve), offsets.first()) {
            let skip = gate.and_then(|g| g.skip);
            let at_log_end = skip.map_or(position, |s| position.max(s.until)) < end;
            if self.told.insert((partition, at_log_end)) {
                self.send(Event::WaitsAtGate {
                    group: GROUP.to_owned(),
                    at: at(partition),
                    at_log_end,
                });
            }
        }
        if let Some(last) = offsets.last() {
            let watched = self.watched.entry((member.to_owned(), partition));
            let watched = watched.or_insert(Served {
                first: position,
                next: 0,
                ambiguous: false,
            });
            watched.next = last + 1;
        }
        offsets.into_iter().map(|o| (partition, o)).collect()
    }

    fn readable(&self, partition: i32, gate: Option<Gate>, position: i64, most: usize) -> Vec<i64> {
        let now_ms = self.now().wall_ms;
        let mut retries = self.retries.range((partition, 0)..(partition + 1, 0));
        let not_due = retries.find(|(_, (_, due_ms))| *due_ms > now_ms);
        let end = not_due.map_or(i64::MAX, |((_, offset), _)| *offset);
        let records = |from: i64, until: i64, most: usize| -> Vec<i64> {
            let until = until.min(end);
            let log = &self.logs[&partition];
            let range = log.range(from.min(until)..until);
            range.map(|(offset, _)| *offset).take(most).collect()
        };
        let mut from = position;
        let mut until = i64::MAX;
        if let Some(skip) = gate.and_then(|g| g.skip) {
            if from < skip.from && !records(from, skip.from, 1).is_empty() {
                until = skip.from;
            } else if from < skip.until {
                from = from.max(skip.until);
            }
        }
        match gate.map_or(Serve::All, |g| g.serve) {
            Serve::Nothing => Vec::new(),
            Serve::All => records(from, until, most),
            Serve::Until(window_end) if from >= window_end => Vec::new(),
            Serve::Until(window_end) => {
                let window = records(from, window_end.min(until), most);
                match window.is_empty() {
                    false => window,
                    true => records(from, i64::MAX, 1),
                }
            }
        }
    }
}
