//! What happened in a simulation, counted.

use std::collections::BTreeMap;

/// What happened in a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Events {
    pub kills: u64,
    pub cuts_of_openings: u64,
    pub checkpoints: u64,
    pub snapshots: u64,
    /// Runs of segments that another took the place of.
    pub replaced: u64,
    /// Such that were deleted before that.
    pub overtaken: u64,
    /// Commits of large appends that a recovery found in the journal and kept, not knowing that they were synced; and such that it left out.
    pub kept_unsettled: u64,
    pub left_out: u64,
    /// Crashes by what they came into.
    pub cut: BTreeMap<&'static str, u64>,
    pub disk: crate::fs::sim::SimStats,
    /// Calls that change the disk.
    pub disk_calls: u64,
}

impl Events {
    pub fn crashes(&self) -> u64 {
        self.kills + self.disk.power_cuts
    }

    pub fn add(&mut self, other: Events) {
        self.kills += other.kills;
        self.cuts_of_openings += other.cuts_of_openings;
        self.checkpoints += other.checkpoints;
        self.snapshots += other.snapshots;
        self.replaced += other.replaced;
        self.overtaken += other.overtaken;
        self.kept_unsettled += other.kept_unsettled;
        self.left_out += other.left_out;
        for (step, n) in other.cut {
            *self.cut.entry(step).or_default() += n;
        }
        let (disk, more) = (&mut self.disk, other.disk);
        disk.power_cuts += more.power_cuts;
        disk.torn_writes += more.torn_writes;
        disk.lost_writes += more.lost_writes;
        disk.refused_writes += more.refused_writes;
        disk.failed_syncs += more.failed_syncs;
        self.disk_calls += other.disk_calls;
    }
}

impl std::fmt::Display for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} crashes ({} killed processes, {} power cuts; {} while opening), {} torn and {} lost writes, \
             {} writes to a full disk, {} failed syncs, {} checkpoints, {} snapshots, {} runs of segments replaced ({} deleted before), \
             {} unsettled commits kept and {} left out; crashes by step: {:?}",
            self.crashes(),
            self.kills,
            self.disk.power_cuts,
            self.cuts_of_openings,
            self.disk.torn_writes,
            self.disk.lost_writes,
            self.disk.refused_writes,
            self.disk.failed_syncs,
            self.checkpoints,
            self.snapshots,
            self.replaced,
            self.overtaken,
            self.kept_unsettled,
            self.left_out,
            self.cut,
        )
    }
}
