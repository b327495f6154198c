//! All connections: who may come in, who is idle for too long, and how they are told to end.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Why a connection is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ending {
    /// `connections.max.idle.ms` passed without a request.
    Idle = 1,
    /// The broker stops: what is under way is answered first.
    Shutdown = 2,
    /// The broker is dropped.
    Abort = 3,
}

/// One connection, as the others see it.
#[derive(Debug)]
pub(crate) struct Handle {
    pub id: u64,
    ip: IpAddr,
    started: Instant,
    last_active_ms: AtomicU64,
    busy: AtomicBool,
    ending: AtomicU8,
    told: Notify,
}

impl Handle {
    /// Notes that the peer sent something.
    pub fn active(&self) {
        self.active_at(Instant::now());
    }

    /// Notes that the peer sent something then.
    pub fn active_at(&self, now: Instant) {
        let ms = now.saturating_duration_since(self.started).as_millis() as u64;
        self.last_active_ms.store(ms, Ordering::Relaxed);
    }

    /// Notes whether requests are under way; such a connection is not idle.
    pub fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }

    /// Waits until the connection is told to end.
    pub async fn ended(&self) -> Ending {
        loop {
            let told = self.told.notified();
            match self.ending.load(Ordering::Acquire) {
                1 => return Ending::Idle,
                2 => return Ending::Shutdown,
                3 => return Ending::Abort,
                _ => told.await,
            }
        }
    }

    fn end(&self, why: Ending) {
        self.ending.fetch_max(why as u8, Ordering::AcqRel);
        self.told.notify_one();
    }

    fn idle_at(&self, limit: Duration) -> Instant {
        self.started + Duration::from_millis(self.last_active_ms.load(Ordering::Relaxed)) + limit
    }
}

/// Why a connection is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("there are {0} connections already (max.connections)")]
    Total(usize),
    #[error("there are {0} connections from this address already (max.connections.per.ip)")]
    PerIp(usize),
    #[error("the broker is stopping")]
    Stopping,
}

#[derive(Default)]
struct Inner {
    open: HashMap<u64, Arc<Handle>>,
    per_ip: HashMap<IpAddr, usize>,
    next_id: u64,
    stopping: Option<Ending>,
}

/// The open connections.
#[derive(Default)]
pub(crate) struct Connections {
    inner: Mutex<Inner>,
    /// One came in where there was none.
    first: Notify,
    /// The last one went.
    none_left: Notify,
}

/// A connection's place; dropping it gives the place free.
pub(crate) struct Place {
    connections: Arc<Connections>,
    pub handle: Arc<Handle>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.connections.inner.lock();
        inner.open.remove(&self.handle.id);
        if let Some(count) = inner.per_ip.get_mut(&self.handle.ip) {
            *count -= 1;
            if *count == 0 {
                inner.per_ip.remove(&self.handle.ip);
            }
        }
        if inner.open.is_empty() {
            self.connections.none_left.notify_waiters();
        }
    }
}

impl Connections {
    /// Lets a connection in, within the limits.
    pub fn admit(
        self: &Arc<Self>,
        ip: IpAddr,
        max: usize,
        max_per_ip: usize,
    ) -> Result<Place, Refused> {
        let mut inner = self.inner.lock();
        if inner.stopping.is_some() {
            return Err(Refused::Stopping);
        }
        if inner.open.len() >= max {
            return Err(Refused::Total(inner.open.len()));
        }
        let from_ip = inner.per_ip.get(&ip).copied().unwrap_or(0);
        if from_ip >= max_per_ip {
            return Err(Refused::PerIp(from_ip));
        }
        inner.per_ip.insert(ip, from_ip + 1);
        inner.next_id += 1;
        let handle = Arc::new(Handle {
            id: inner.next_id,
            ip,
            started: Instant::now(),
            last_active_ms: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            ending: AtomicU8::new(0),
            told: Notify::new(),
        });
        if inner.open.is_empty() {
            self.first.notify_one();
        }
        inner.open.insert(handle.id, handle.clone());
        Ok(Place {
            connections: self.clone(),
            handle,
        })
    }

    /// Tells every connection to end, and lets no more in.
    pub fn end_all(&self, why: Ending) {
        let mut inner = self.inner.lock();
        inner.stopping = Some(why);
        for handle in inner.open.values() {
            handle.end(why);
        }
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.inner.lock().open.len()
    }

    /// Waits until no connection is left.
    pub async fn none_left(&self) {
        loop {
            let none_left = self.none_left.notified();
            if self.inner.lock().open.is_empty() {
                return;
            }
            none_left.await;
        }
    }

    /// Closes connections without a request for `limit()`. Wakes when the first could be due, and never while there is none.
    pub async fn close_idle(&self, limit: impl Fn() -> Duration) {
        loop {
            let first = self.first.notified();
            match self.sweep(Instant::now(), limit()) {
                Some(due) => tokio::time::sleep_until(due).await,
                None => first.await,
            }
        }
    }

    /// Ends what is idle at `now`; when the next could be.
    fn sweep(&self, now: Instant, limit: Duration) -> Option<Instant> {
        let inner = self.inner.lock();
        let mut next = None;
        for handle in inner.open.values() {
            let mut due = handle.idle_at(limit);
            if due <= now {
                if !handle.busy.load(Ordering::Relaxed) {
                    handle.end(Ending::Idle);
                }
                due = now + limit;
            }
            next = Some(next.map_or(due, |n: Instant| n.min(due)));
        }
        // A connection that comes in meanwhile is due later than all of these.
        next
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    #[test]
    fn limits_hold_in_total_and_per_address_and_places_come_free() {
        let all = Arc::new(Connections::default());
        let first = all.admit(HERE, 2, 1).map_err(|e| e.to_string()).unwrap();
        assert_eq!(all.admit(HERE, 2, 1).err(), Some(Refused::PerIp(1)));
        let _second = all.admit(THERE, 2, 1).map_err(|e| e.to_string()).unwrap();
        assert_eq!(all.admit(THERE, 2, 5).err(), Some(Refused::Total(2)));
        drop(first);
        assert!(all.admit(HERE, 2, 1).is_ok());
    }

    #[tokio::test]
    async fn only_who_is_idle_and_not_busy_is_ended() {
        let all = Arc::new(Connections::default());
        let limit = Duration::from_secs(10);
        let admit = || all.admit(HERE, 9, 9).map_err(|e| e.to_string()).unwrap();
        let (idle, active, busy) = (admit(), admit(), admit());
        busy.handle.set_busy(true);
        active.handle.last_active_ms.store(8_000, Ordering::Relaxed);
        let next = all.sweep(Instant::now() + Duration::from_secs(11), limit);
        assert_eq!(idle.handle.ended().await, Ending::Idle);
        assert_eq!(active.handle.ending.load(Ordering::Relaxed), 0);
        assert_eq!(busy.handle.ending.load(Ordering::Relaxed), 0);
        assert_eq!(next, Some(active.handle.idle_at(limit)));
    }

    #[tokio::test]
    async fn ending_all_lets_nobody_in_and_waits_for_the_last() {
        let all = Arc::new(Connections::default());
        let place = all.admit(HERE, 9, 9).map_err(|e| e.to_string()).unwrap();
        all.end_all(Ending::Shutdown);
        assert_eq!(place.handle.ended().await, Ending::Shutdown);
        assert_eq!(all.admit(HERE, 9, 9).err(), Some(Refused::Stopping));
        let waiting = tokio::spawn({
            let all = all.clone();
            async move { all.none_left().await }
        });
        drop(place);
        waiting.await.unwrap();
    }
}
