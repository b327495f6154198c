//! Each rule once, against Kafka's TransactionCoordinator.

use ottla_codec::ResponseError;

use super::transaction::is_exhausted;
use super::*;
use crate::Now;
use crate::groups::PartitionId;
use crate::producers::ProducerIds;

const LIMITS: Limits = Limits {
    max_timeout_ms: 900_000,
    expiration_ms: 604_800_000,
};

fn at(ms: u64) -> Now {
    Now {
        monotonic_ms: ms,
        wall_ms: 1_000_000 + i64::try_from(ms).unwrap(),
    }
}

fn partition(partition: i32) -> PartitionId {
    PartitionId {
        topic: "t".to_owned(),
        partition,
    }
}

/// A machine, its ids, and what the last call caused.
struct World {
    machine: TransactionCoordinator,
    ids: ProducerIds,
    effects: Effects,
    now: Now,
}

impl World {
    fn new() -> World {
        World {
            machine: TransactionCoordinator::new(LIMITS),
            ids: ProducerIds::load(None).unwrap(),
            effects: Effects::default(),
            now: at(0),
        }
    }

    fn init(&mut self, expected: Option<ProducerEpoch>) -> Result<ProducerEpoch, ResponseError> {
        self.init_for(expected, 60_000)
    }

    fn init_for(
        &mut self,
        expected: Option<ProducerEpoch>,
        timeout_ms: i32,
    ) -> Result<ProducerEpoch, ResponseError> {
        self.effects = Effects::default();
        let request = InitProducerId {
            transactional_id: "x",
            timeout_ms,
            expected,
        };
        self.machine
            .init_producer_id(self.now, &request, &mut self.ids, &mut self.effects)
    }

    fn add(&mut self, producer: ProducerEpoch, partitions: &[i32]) -> Result<(), ResponseError> {
        self.effects = Effects::default();
        let partitions = partitions.iter().map(|p| partition(*p));
        self.machine
            .add_partitions(self.now, who(producer), partitions, &mut self.effects)
    }

    fn end(
        &mut self,
        producer: ProducerEpoch,
        outcome: Outcome,
        version: TransactionVersion,
    ) -> Result<ProducerEpoch, ResponseError> {
        self.effects = Effects::default();
        self.machine.end(
            self.now,
            who(producer),
            outcome,
            version,
            &mut self.ids,
            &mut self.effects,
        )
    }

    fn time_out(&mut self) {
        self.effects = Effects::default();
        self.machine.timed_out(self.now, "x", &mut self.effects);
    }

    /// The markers that the last call writes: epoch, how, where.
    fn markers(&self) -> Vec<(i16, Outcome, Vec<i32>)> {
        let told = |e: &Ending| {
            let partitions = e.partitions.iter().map(|p| p.partition).collect();
            (e.producer_epoch, e.outcome, partitions)
        };
        self.effects.endings.iter().map(told).collect()
    }

    /// As after a restart.
    fn reload(&mut self, row: &[u8]) -> Option<u64> {
        self.machine = TransactionCoordinator::new(LIMITS);
        self.machine.load("x", row, self.now).unwrap()
    }

    fn row(&self) -> Vec<u8> {
        match self.effects.ops.last() {
            Some(crate::StoreOp::Put { value, .. }) => value.clone(),
            other => panic!("no row was written: {other:?}"),
        }
    }
}

fn who(producer: ProducerEpoch) -> Producer<'static> {
    Producer {
        transactional_id: "x",
        producer,
    }
}

fn epoch(producer_id: i64, epoch: i16) -> ProducerEpoch {
    ProducerEpoch { producer_id, epoch }
}

use Outcome::{Abort, Commit};
use TransactionVersion::{V1, V2};

#[test]
fn each_initialisation_bumps_the_epoch_and_fences_the_producer_before() {
    let mut world = World::new();
    let first = world.init(None).unwrap();
    assert_eq!(first, epoch(0, 0));
    let second = world.init(None).unwrap();
    assert_eq!(second, epoch(0, 1));
    let fenced = Err(ResponseError::ProducerFenced);
    assert_eq!(world.add(first, &[0]), fenced);
    assert_eq!(
        world.end(first, Commit, V1),
        Err(ResponseError::ProducerFenced)
    );
    assert_eq!(world.init(Some(first)), Err(ResponseError::ProducerFenced));
    assert_eq!(world.effects, Effects::default());
    assert_eq!(
        world.add(epoch(7, 1), &[0]),
        Err(ResponseError::InvalidProducerIdMapping)
    );
}

#[test]
fn a_producer_that_goes_on_after_an_error_may_ask_twice() {
    let mut world = World::new();
    let first = world.init(None).unwrap();
    let bumped = world.init(Some(first)).unwrap();
    assert_eq!(bumped, epoch(0, 1));
    assert_eq!(world.init(Some(first)), Ok(bumped), "its answer was lost");
    // Another producer's initialisation ends that.
    assert_eq!(world.init(None), Ok(epoch(0, 2)));
    assert_eq!(world.init(Some(bumped)), Err(ResponseError::ProducerFenced));
}

#[test]
fn time_outs_have_a_range() {
    let mut world = World::new();
    for bad in [0, -1, 900_001] {
        let refused = Err(ResponseError::InvalidTransactionTimeout);
        assert_eq!(world.init_for(None, bad), refused, "{bad}");
    }
    assert!(world.init_for(None, 900_000).is_ok());
}

#[test]
fn an_end_writes_a_marker_in_each_partition_and_settles_the_groups() {
    for (version, marker, after) in [(V1, 0, 0), (V2, 1, 1)] {
        let mut world = World::new();
        let producer = world.init(None).unwrap();
        world.add(producer, &[1, 0]).unwrap();
        assert_eq!(world.effects.timers, [("x".to_owned(), Some(60_000))]);
        world.add(producer, &[1]).unwrap();
        assert_eq!(world.effects, Effects::default(), "it is there already");
        world
            .machine
            .add_group(world.now, who(producer), "g", &mut world.effects)
            .unwrap();
        assert_eq!(world.machine.contains_group(who(producer), "g"), Ok(true));
        let next = world.end(producer, Commit, version).unwrap();
        assert_eq!(next, epoch(0, after));
        let ending = Ending {
            producer_id: 0,
            producer_epoch: marker,
            outcome: Commit,
            partitions: vec![partition(0), partition(1)],
            groups: vec!["g".to_owned()],
        };
        assert_eq!(world.effects.endings, [ending]);
        assert_eq!(world.effects.timers, [("x".to_owned(), None)]);
        assert_eq!(world.machine.contains_group(who(next), "g"), Ok(false));
    }
}

#[test]
fn an_end_may_be_asked_for_again_and_not_otherwise() {
    let invalid = Err(ResponseError::InvalidTxnState);
    for version in [V1, V2] {
        for (outcome, other) in [(Commit, Abort), (Abort, Commit)] {
            let mut world = World::new();
            let producer = world.init(None).unwrap();
            world.add(producer, &[0]).unwrap();
            let next = world.end(producer, outcome, version).unwrap();
            assert_eq!(world.end(producer, outcome, version), Ok(next));
            assert_eq!(world.effects, Effects::default());
            assert_eq!(world.end(producer, other, version), invalid);
            // The next transaction ends that.
            world.add(next, &[0]).unwrap();
            if version == V2 {
                let fenced = Err(ResponseError::ProducerFenced);
                assert_eq!(world.end(producer, outcome, version), fenced);
            }
        }
    }
}

#[test]
fn without_a_transaction_there_is_nothing_to_commit() {
    let mut world = World::new();
    let producer = world.init(None).unwrap();
    let invalid = Err(ResponseError::InvalidTxnState);
    for version in [V1, V2] {
        assert_eq!(world.end(producer, Commit, version), invalid);
    }
    assert_eq!(world.end(producer, Abort, V1), invalid);
    // It cannot know whether its batches have arrived.
    let next = world.end(producer, Abort, V2).unwrap();
    assert_eq!(next, epoch(0, 1));
    assert_eq!(world.markers(), []);
    assert_eq!(world.end(next, Abort, V2), Ok(epoch(0, 2)));
    assert_eq!(world.end(epoch(0, 2), Commit, V2), invalid);
}

#[test]
fn a_new_producer_aborts_what_the_last_one_left_open() {
    let mut world = World::new();
    let old = world.init(None).unwrap();
    world.add(old, &[3]).unwrap();
    let new = world.init(None).unwrap();
    assert_eq!(new, epoch(0, 1));
    assert_eq!(world.markers(), [(1, Abort, vec![3])]);
    assert_eq!(
        world.end(old, Commit, V1),
        Err(ResponseError::ProducerFenced)
    );
    // A zombie that would go on does not touch what is open now.
    world.add(new, &[4]).unwrap();
    assert_eq!(world.init(Some(old)), Err(ResponseError::ProducerFenced));
    assert_eq!(world.markers(), []);
}

#[test]
fn what_is_open_for_too_long_is_aborted_and_its_epoch_over() {
    let mut world = World::new();
    let producer = world.init_for(None, 5_000).unwrap();
    world.now = at(1_000);
    world.add(producer, &[0]).unwrap();
    world.now = at(5_999);
    world.time_out();
    assert_eq!(world.effects.timers, [("x".to_owned(), Some(6_000))]);
    assert_eq!(world.markers(), []);
    world.now = at(6_000);
    world.time_out();
    assert_eq!(world.markers(), [(1, Abort, vec![0])]);
    let fenced = Err(ResponseError::ProducerFenced);
    assert_eq!(world.end(producer, Commit, V1), fenced);
    assert_eq!(world.end(producer, Abort, V1), fenced);
    assert_eq!(
        world.add(producer, &[0]).unwrap_err(),
        ResponseError::ProducerFenced
    );
    let state = Err(ResponseError::InvalidTxnState);
    assert_eq!(world.end(producer, Commit, V2), state);
    // As a retry of the abort, or by a new beginning, the producer goes on.
    assert_eq!(world.end(producer, Abort, V2), Ok(epoch(0, 1)));
    assert_eq!(world.markers(), []);
    assert_eq!(world.init(Some(producer)), Ok(epoch(0, 1)));
    assert_eq!(world.init(None), Ok(epoch(0, 2)));
    assert_eq!(world.end(producer, Abort, V2), fenced);
    assert_eq!(world.init(Some(producer)), fenced);
    world.time_out();
    assert_eq!(world.effects, Effects::default());
}

#[test]
fn a_restart_keeps_state_and_time_left() {
    let mut world = World::new();
    let producer = world.init_for(None, 5_000).unwrap();
    world.add(producer, &[0]).unwrap();
    let row = world.row();
    // The monotonic clock begins anew.
    world.now = Now {
        monotonic_ms: 10,
        wall_ms: world.now.wall_ms + 2_000,
    };
    assert_eq!(world.reload(&row), Some(3_010));
    assert_eq!(world.add(producer, &[0]), Ok(()));
    assert_eq!(world.effects, Effects::default());
    let next = world.end(producer, Commit, V2).unwrap();
    let row = world.row();
    assert_eq!(world.reload(&row), None);
    assert_eq!(world.end(producer, Commit, V2), Ok(next));
}

#[test]
fn epochs_that_are_used_up_are_followed_by_a_new_producer_id() {
    for (name, expected_given) in [("a new producer", false), ("one that goes on", true)] {
        let mut world = World::new();
        let mut producer = world.init(None).unwrap();
        while !is_exhausted(producer.epoch) {
            producer = world.init(None).unwrap();
        }
        assert_eq!(producer.epoch, i16::MAX - 1);
        let next = world.init(expected_given.then_some(producer)).unwrap();
        assert_eq!(next, epoch(1, 0), "{name}");
        let again = world.init(Some(producer));
        let expected = match expected_given {
            true => Ok(next),
            false => Err(ResponseError::ProducerFenced),
        };
        assert_eq!(again, expected, "{name}");
    }
}

#[test]
fn the_last_epoch_can_still_end_and_be_fenced() {
    let exhausted = || {
        let mut world = World::new();
        let mut producer = world.init(None).unwrap();
        while !is_exhausted(producer.epoch) {
            producer = world.init(None).unwrap();
        }
        world.add(producer, &[0]).unwrap();
        (world, producer)
    };
    let (mut world, producer) = exhausted();
    assert_eq!(world.end(producer, Commit, V2), Ok(epoch(1, 0)));
    assert_eq!(world.markers(), [(i16::MAX, Commit, vec![0])]);
    assert_eq!(world.effects.endings[0].producer_id, 0);
    assert_eq!(world.end(producer, Commit, V2), Ok(epoch(1, 0)));

    let (mut world, _) = exhausted();
    world.now = at(60_000);
    world.time_out();
    assert_eq!(world.markers(), [(i16::MAX, Abort, vec![0])]);
    assert_eq!(world.init(None), Ok(epoch(1, 0)));
}

#[test]
fn idle_ids_are_forgotten_and_open_ones_never() {
    let mut world = World::new();
    let producer = world.init(None).unwrap();
    let expire = |world: &mut World, ms: i64| {
        let mut effects = Effects::default();
        world.machine.expire(at(0).wall_ms + ms, &mut effects);
        effects.ops.len()
    };
    assert_eq!(expire(&mut world, LIMITS.expiration_ms - 1), 0);
    world.add(producer, &[0]).unwrap();
    assert_eq!(expire(&mut world, 2 * LIMITS.expiration_ms), 0);
    world.end(producer, Commit, V1).unwrap();
    assert_eq!(expire(&mut world, LIMITS.expiration_ms), 1);
    assert_eq!(world.machine.describe("x"), None);
}

#[test]
fn lists_and_descriptions() {
    let mut world = World::new();
    let producer = world.init(None).unwrap();
    world.add(producer, &[2, 1]).unwrap();
    let described = world.machine.describe("x").unwrap();
    assert_eq!(described.partitions, [partition(1), partition(2)]);
    assert_eq!(described.state.name(), "Ongoing");
    assert_eq!(described.started_ms, 1_000_000);
    let listed = |filter: Filter| world.machine.list(&filter, 1_005_000).count();
    let any = Filter {
        longer_than_ms: -1,
        ..Filter::default()
    };
    assert_eq!(listed(any.clone()), 1);
    for (filter, expected) in [
        (
            Filter {
                states: vec!["Ongoing".to_owned()],
                ..any.clone()
            },
            1,
        ),
        (
            Filter {
                states: vec!["Empty".to_owned()],
                ..any.clone()
            },
            0,
        ),
        (
            Filter {
                producer_ids: vec![0],
                ..any.clone()
            },
            1,
        ),
        (
            Filter {
                producer_ids: vec![1],
                ..any.clone()
            },
            0,
        ),
        (
            Filter {
                longer_than_ms: 4_999,
                ..any.clone()
            },
            1,
        ),
        (
            Filter {
                longer_than_ms: 5_000,
                ..any.clone()
            },
            0,
        ),
    ] {
        assert_eq!(listed(filter.clone()), expected, "{filter:?}");
    }
}

#[test]
fn a_row_that_cannot_be_read_says_why() {
    let mut machine = TransactionCoordinator::new(LIMITS);
    for (row, reason) in [
        (&[][..], "empty"),
        (&[9, 1][..], "newer"),
        (&[1, 1][..], "damaged"),
    ] {
        let error = machine.load("x", row, at(0)).unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains("x"), "{error}");
    }
}
