//! One pass over a partition: the map, then group by group of segments what stays of them, put in their place.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::Arc;
use std::time::Instant;

use ottla_codec::batch::BatchHeader;

use super::filter::{Filter, Kept};
use super::pace::Pace;
use super::pass::{MapBuilder, Room};
use super::policy::{Group, SegmentFacts};
use super::stats::Counters;
use super::survey::DuePass;
use crate::checkpoint::CheckpointError;
use crate::config::LogConfig;
use crate::error::StoreError;
use crate::fs::is_disk_full;
use crate::partition::{ClosedSegment, Partition, Replaced};
use crate::store::Inner;

/// Files of sources go with the checkpoint after they were replaced: one is made when they take this much.
const CHECKPOINT_BYTES: u64 = 64 << 20;

/// Whether to wait, or to stop, is asked when this much was written.
const PAID_BYTES: usize = 64 << 10;

/// How a pass ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PassEnd {
    /// It did all up to this offset.
    Reached(i64),
    /// Records were deleted, or the topic, or it is not compacted any more.
    Overtaken,
    /// The store is being closed.
    Stopped,
    DiskFull,
    /// Not now.
    Later(String),
    /// A batch is damaged, or a file cannot be read or written.
    Failed(String),
}

impl From<io::Error> for PassEnd {
    fn from(e: io::Error) -> PassEnd {
        if is_disk_full(&e) {
            PassEnd::DiskFull
        } else if e.kind() == io::ErrorKind::NotFound {
            PassEnd::Overtaken
        } else {
            PassEnd::Failed(e.to_string())
        }
    }
}

impl From<StoreError> for PassEnd {
    fn from(e: StoreError) -> PassEnd {
        match e {
            StoreError::Closed => PassEnd::Stopped,
            StoreError::DiskFull => PassEnd::DiskFull,
            other => PassEnd::Later(other.to_string()),
        }
    }
}

impl Inner {
    /// Does a pass that is due. What it puts in place stays, however it ends.
    pub(super) fn pass(&self, of: &DuePass, now_ms: i64) -> PassEnd {
        let (topic, index) = of.id;
        let (Some(partition), Some(config)) =
            (self.partition(&topic, index), self.log_config(&of.id))
        else {
            return PassEnd::Overtaken;
        };
        let pass = Pass {
            store: self,
            partition,
            config,
            now_ms,
            pace: RefCell::new(Pace::new(Instant::now())),
            unpaid: Cell::new(0),
            cut_short: Cell::new(None),
        };
        match pass.run(of) {
            Ok(end) => PassEnd::Reached(end),
            // What a hook said, not the error that it took to end the reading.
            Err(end) => pass.cut_short.take().unwrap_or(end),
        }
    }

    fn checkpoint_of_pass(&self) -> Result<(), PassEnd> {
        let result = self.checkpoint();
        match &result {
            Ok(()) => return Ok(()),
            // Writes need less than compaction does. If they lack room, too, they notice.
            Err(CheckpointError::Io(e)) if is_disk_full(e) => return Err(PassEnd::DiskFull),
            Err(_) => {}
        }
        let told = result.as_ref().err().map(CheckpointError::as_store);
        self.note_trouble("checkpoint", result);
        told.map_or(Ok(()), |e| Err(e.into()))
    }
}

/// A pass under way.
struct Pass<'a> {
    store: &'a Inner,
    partition: Arc<Partition>,
    /// As it was when the pass began.
    config: LogConfig,
    now_ms: i64,
    pace: RefCell<Pace>,
    /// Bytes written that the pace was not told of yet.
    unpaid: Cell<usize>,
    /// Why the pass ends though nothing is wrong.
    cut_short: Cell<Option<PassEnd>>,
}

/// Neighbours that became one, or are about to.
struct Made {
    sources: usize,
    bytes: u64,
}

impl Pass<'_> {
    fn run(&self, of: &DuePass) -> Result<i64, PassEnd> {
        self.sweep_once(of)?;
        let sources = self.sources(of)?;
        let (Some(first), Some(last)) = (sources.first(), sources.last()) else {
            return Err(PassEnd::Later("the segments are not closed yet".to_owned()));
        };
        if last.end <= of.due.first_dirty {
            return Err(PassEnd::Later("the segments are not closed yet".to_owned()));
        }
        let aborted = self.partition.aborted_between(first.id.base, last.end);
        let aborted = aborted.map_err(|e| PassEnd::Later(e.to_string()))?;
        let map_bytes = self.store.compaction_config().map_bytes;
        let mut builder = MapBuilder::new(map_bytes, of.due.first_dirty, aborted.clone());
        let dirty = sources.iter().filter(|s| s.end > of.due.first_dirty);
        for segment in dirty {
            if self.map(segment, &mut builder)? == Room::Full {
                break;
            }
        }
        let mapped = builder.finish(last.end);
        let (map_keys, map_bytes) = (mapped.map.len(), mapped.map.bytes());
        let retention = i64::try_from(self.config.delete_retention_ms).unwrap_or(i64::MAX);
        let mut filter = Filter::new(mapped, aborted, self.now_ms, retention);
        let end = filter.map_end();
        // What is not mapped at all stays as it is.
        let count = sources.partition_point(|s| s.id.base < end);
        let mut rest = &sources[..count];
        let generation = 1 + rest.iter().map(|s| s.id.generation).max().unwrap_or(0);
        let mut since_checkpoint = 0;
        while !rest.is_empty() {
            let made = self.compact_group(rest, generation, last.end, &mut filter)?;
            rest = &rest[made.sources..];
            since_checkpoint += made.bytes;
            if since_checkpoint >= CHECKPOINT_BYTES {
                self.store.checkpoint_of_pass()?;
                since_checkpoint = 0;
            }
        }
        self.partition.set_cleaned_to(end);
        self.store.checkpoint_of_pass()?;
        let counts = filter.counts();
        tracing::debug!(
            topic = %of.id.0,
            partition = of.id.1,
            from = of.due.first_dirty,
            to = end,
            keys = map_keys,
            map_bytes,
            bytes_in = counts.bytes_in,
            bytes_out = counts.bytes_out,
            records_in = counts.records_in,
            records_out = counts.records_out,
            tombstones = counts.tombstones,
            markers = counts.markers,
            aborted = counts.aborted,
            keyless = counts.keyless,
            "compacted a partition"
        );
        Ok(end)
    }

    /// Removes what a crash left of an earlier pass.
    fn sweep_once(&self, of: &DuePass) -> Result<(), PassEnd> {
        let known = &self.store.compactor.known;
        if !known.lock().entry(of.id).or_default().swept {
            self.partition.sweep()?;
            known.lock().entry(of.id).or_default().swept = true;
        }
        Ok(())
    }

    /// The segments up to the bound, written by a checkpoint; so is what an earlier pass put in place, or a crash could bring back records of an
    /// aborted transaction that this pass has the partition forget.
    fn sources(&self, of: &DuePass) -> Result<Vec<ClosedSegment>, PassEnd> {
        let mut closed = self.partition.closed_segments();
        let mut waiting = closed.waiting.iter();
        if waiting.next().is_some_and(|s| s.end <= of.due.bound)
            || self.partition.has_replacements_to_keep()
        {
            self.store.checkpoint_of_pass()?;
            closed = self.partition.closed_segments();
        }
        let mut ready = closed.ready;
        ready.retain(|s| s.end <= of.due.bound);
        Ok(ready)
    }

    fn map(&self, segment: &ClosedSegment, builder: &mut MapBuilder) -> Result<Room, PassEnd> {
        let mut reader = self
            .partition
            .read_closed(segment, |bytes| self.before_read(bytes))?;
        while let Some((_, bytes)) = reader.next().map_err(|e| of_segment(segment, e))? {
            let room = builder.batch(bytes).map_err(|e| damaged(segment, &e))?;
            if room == Room::Full {
                return Ok(room);
            }
        }
        Ok(Room::Left)
    }

    /// Makes one segment of as many of `sources` as fit, and puts it in their place. `range_end`: where the pass ends.
    fn compact_group(
        &self,
        sources: &[ClosedSegment],
        generation: u32,
        range_end: i64,
        filter: &mut Filter,
    ) -> Result<Made, PassEnd> {
        let before = filter.counts();
        let mut group = Group::of(&facts(&sources[0]));
        let mut writer = self
            .partition
            .begin_segment(sources[0].id.base, generation)?;
        let mut taken = 0;
        let mut changed = false;
        for source in sources {
            if taken > 0 && !group.take(&facts(source), writer.size(), &self.config) {
                break;
            }
            taken += 1;
            let mut reader = self
                .partition
                .read_closed(source, |bytes| self.before_read(bytes))?;
            while let Some((header, bytes)) = reader.next().map_err(|e| of_segment(source, e))? {
                let mut kept = filter.batch(bytes).map_err(|e| damaged(source, &e))?;
                if kept == Kept::Nothing && is_end_of_log(&header, range_end) {
                    kept = Kept::Original(bytes);
                }
                match &kept {
                    Kept::Original(bytes) => self.write(&mut writer, &header, bytes)?,
                    Kept::Rewritten(bytes) => {
                        let header = BatchHeader::parse(bytes).map_err(|e| damaged(source, &e))?;
                        self.write(&mut writer, &header, bytes)?;
                    }
                    Kept::Nothing => {}
                }
                changed |= !matches!(kept, Kept::Original(_));
            }
        }
        let sources = &sources[..taken];
        let bytes: u64 = sources.iter().map(|s| s.size).sum();
        let counters = &self.store.compactor.counters;
        let counts = filter.counts();
        Counters::add(
            &counters.records_read,
            counts.records_in - before.records_in,
        );
        let made = Made {
            sources: taken,
            bytes,
        };
        if taken == 1 && !changed {
            // The copy would be the same.
            writer.abandon();
            return Ok(made);
        }
        let new = writer.finish()?;
        Counters::add(&counters.bytes_written, new.size());
        let forgotten = filter.take_forgotten();
        if !forgotten.is_empty() {
            // Durable before their markers go: a reader that is told of one drops its producer's records up to the marker.
            self.partition.forget_aborted(&forgotten)?;
            self.store.checkpoint_of_pass()?;
        }
        let new_bytes = new.size();
        self.check()?;
        match self.partition.replace(sources, new)? {
            Replaced::Done => {}
            Replaced::Overtaken => return Err(PassEnd::Overtaken),
        }
        let records = |c: &super::filter::Counts| c.records_in - c.records_out;
        Counters::add(
            &counters.records_removed,
            records(&counts) - records(&before),
        );
        Counters::add(&counters.bytes_removed, bytes.saturating_sub(new_bytes));
        Ok(made)
    }

    fn write(
        &self,
        writer: &mut crate::partition::SegmentWriter,
        header: &BatchHeader,
        bytes: &[u8],
    ) -> Result<(), PassEnd> {
        let unpaid = self.unpaid.get() + bytes.len();
        if unpaid < PAID_BYTES {
            self.unpaid.set(unpaid);
        } else {
            self.unpaid.set(0);
            self.wait_for(unpaid);
            self.check()?;
        }
        Ok(writer.append(header, bytes)?)
    }

    fn before_read(&self, bytes: usize) -> io::Result<()> {
        self.wait_for(bytes);
        Counters::add(&self.store.compactor.counters.bytes_read, bytes as u64);
        self.check().map_err(|end| {
            self.cut_short.set(Some(end));
            io::Error::other("the pass ends")
        })
    }

    fn wait_for(&self, bytes: usize) {
        let rate = self.store.compaction_config().bytes_per_second;
        let wait = self.pace.borrow_mut().take(bytes, rate, Instant::now());
        // A store without threads is run by whoever simulates it, with a time of its own.
        if let Some(wait) = wait.filter(|_| !self.store.stepped) {
            self.store.compactor.bell.rest(wait);
        }
    }

    /// Whether the pass is to go on.
    fn check(&self) -> Result<(), PassEnd> {
        if self.store.compactor.bell.is_stopping() {
            return Err(PassEnd::Stopped);
        }
        let wanted = self.partition.lock().config.cleanup_policy.compact;
        if self.partition.is_deleted() || !wanted {
            return Err(PassEnd::Overtaken);
        }
        Ok(())
    }
}

/// Whether the log may end with this batch. It stays even if nothing in it does (records without a key, which are of a time before the topic was
/// compacted): a consumer's position gets to the end of the log only by what it reads. Kafka keeps an empty batch for that. Transactions
/// end with their marker, which is not removed by the first pass.
fn is_end_of_log(header: &BatchHeader, range_end: i64) -> bool {
    header.next_offset() == range_end && !header.is_transactional()
}

fn facts(s: &ClosedSegment) -> SegmentFacts {
    SegmentFacts {
        base_offset: s.id.base,
        end_offset: s.end,
        size: s.size,
        max_timestamp: s.max_timestamp,
        created_ms: s.created_ms,
    }
}

fn of_segment(segment: &ClosedSegment, e: io::Error) -> PassEnd {
    match e.kind() {
        io::ErrorKind::InvalidData => damaged(segment, &e),
        _ => e.into(),
    }
}

fn damaged(segment: &ClosedSegment, e: &dyn std::fmt::Display) -> PassEnd {
    PassEnd::Failed(format!("segment {}: {e}", segment.id.base))
}
