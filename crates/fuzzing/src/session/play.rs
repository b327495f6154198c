//! Plays a session and holds the broker to what it owes: every request that is taken gets exactly one answer, in order, with its correlation
//! id, in a form that its version can be read in; what was acknowledged is there at the end, after a restart, too; the disk is sound.

use std::collections::{BTreeMap, VecDeque};

use bytes::BytesMut;
use ottla_broker::simulated::{Answered, Change, Connection, Damage, Simulated};
use ottla_codec::api::Api;
use ottla_codec::header::RequestHeader;
use ottla_codec::places::{self, Holds};

use super::acknowledged::Acknowledged;
use super::aliases::Aliases;
use super::event::{Event, PATIENT};
use super::expected::{Expected, Told};

const CONNECTIONS: u8 = 16;
/// Small things and many of them, and everything turned on.
const SETTINGS: &[(&str, &str)] = &[
    ("num.partitions", "2"),
    ("dlq.mode", "enforce"),
    ("log.retention.ms", "-1"),
    ("group.initial.rebalance.delay.ms", "0"),
];

/// A disk of memory: a position that damage made up finds it full.
const DISK_BYTES: u64 = 24 << 20;

/// What became of a session.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Played {
    /// Requests.
    pub sent: usize,
    /// Those that closed their connection.
    pub refused: usize,
    /// Answers.
    pub answered: usize,
    /// Batches that were acknowledged.
    pub acknowledged: usize,
    /// Offsets that were committed in transactions.
    pub committed: usize,
}

struct Open {
    connection: Connection,
    expected: VecDeque<Expected>,
}

pub(super) struct Player {
    broker: Simulated,
    open: BTreeMap<u8, Open>,
    aliases: Aliases,
    acknowledged: Acknowledged,
    holds: bool,
    /// The disk is not what it was: nothing is owed but answers.
    is_damaged: bool,
    played: Played,
}

/// Plays `events`. Panics when anything does not hold that must.
pub fn play(events: &[Event]) -> Played {
    let mut player = Player::start();
    for event in events {
        player.happen(event);
    }
    player.end();
    player.played
}

impl Player {
    /// A broker with an empty disk, and nobody there.
    pub fn start() -> Player {
        let broker = Simulated::start(1, SETTINGS).expect("an empty disk is started on");
        broker.limit_disk(DISK_BYTES);
        Player {
            broker,
            open: BTreeMap::new(),
            aliases: Aliases::default(),
            acknowledged: Acknowledged::default(),
            holds: false,
            is_damaged: false,
            played: Played::default(),
        }
    }

    /// Damages the disk. Whether a broker starts on it.
    pub fn damage(&mut self, damages: &[Change<'_>]) -> bool {
        self.open.clear();
        self.is_damaged = true;
        self.broker.restart_damaged(damages).is_ok()
    }

    pub fn happen(&mut self, event: &Event) {
        match event {
            Event::Request { connection, frame } => self.request(*connection, frame),
            Event::Pass(ms) => self.broker.advance(u32::from(*ms)),
            Event::Work(which) => {
                if *which == 4 {
                    self.acknowledged.thin(&self.broker);
                }
                self.broker.work(*which);
            }
            Event::Hold(on) => self.holds = *on,
            Event::End(power) => self.restart(match power {
                true => Damage::PowerCut,
                false => Damage::Kill,
            }),
            Event::Close(connection) => _ = self.open.remove(&(connection % CONNECTIONS)),
            Event::Http(bytes) => {
                self.broker.http(bytes);
                if bytes.starts_with(b"POST /v1/") || bytes.starts_with(b"DELETE /v1/") {
                    self.acknowledged.forget();
                }
            }
        }
        if !self.holds {
            self.settle();
        }
    }

    fn request(&mut self, number: u8, frame: &[u8]) {
        self.played.sent += 1;
        let (number, is_patient) = (number % CONNECTIONS, number & PATIENT != 0);
        let mut frame = BytesMut::from(frame);
        self.aliases.resolve(&self.broker, number, &mut frame);
        if !is_patient {
            no_patience(&mut frame);
        }
        let expected = Expected::of(&frame);
        let open = self.open.entry(number).or_insert_with(|| Open {
            connection: self.broker.connect(),
            expected: VecDeque::new(),
        });
        let connection = &mut open.connection;
        if self.broker.enter(|| connection.send(frame)).is_err() {
            self.open.remove(&number);
            self.played.refused += 1;
            return;
        }
        let mut expected =
            expected.expect("a request is taken that has no header, or is of no API");
        for sent in &mut expected.sent {
            sent.arrived(&self.broker);
        }
        open.expected.push_back(expected);
    }

    fn settle(&mut self) {
        self.broker.settle();
        // What waits for something that only an answer lets go on.
        while self.take_answers() {
            self.broker.settle();
        }
    }

    /// Whether there were any.
    fn take_answers(&mut self) -> bool {
        let mut any = false;
        let numbers: Vec<u8> = self.open.keys().copied().collect();
        for number in numbers {
            while let Some(open) = self.open.get_mut(&number) {
                let connection = &mut open.connection;
                let Some((api, answered)) = self.broker.enter(|| connection.take_answer()) else {
                    break;
                };
                any = true;
                let expected = open.expected.pop_front().expect("an answer to nothing");
                assert_eq!(api, expected.api);
                let at = (api.name(), expected.version);
                match answered {
                    Answered::Frame(frame) => {
                        assert!(!expected.is_silent, "{at:?}: an answer that nobody awaits");
                        self.played.answered += 1;
                        let told = expected
                            .check(frame)
                            .unwrap_or_else(|error| panic!("{at:?}: {error}"));
                        self.note(number, &expected, told);
                    }
                    Answered::Nothing => assert!(expected.is_silent, "{at:?}: no answer"),
                    Answered::Close(reason) => {
                        let may_be = expected.is_silent || !expected.is_readable;
                        assert!(may_be, "{at:?}: no answer: {reason}");
                        self.open.remove(&number);
                    }
                }
            }
        }
        any
    }

    fn note(&mut self, connection: u8, expected: &Expected, told: Told) {
        match told {
            Told::Joined(member_id) => self.aliases.joined(&member_id),
            Told::FetchSession(session) => self.aliases.fetched(connection, session),
            Told::Subscription(subscription) => self.aliases.subscribed(subscription),
            Told::Kept(kept) => {
                self.acknowledged.note(&expected.sent, &kept);
                self.played.acknowledged += kept.len();
            }
            Told::Producer(id) => self.aliases.produces(id),
            Told::CommittedInTransaction(offsets) => self.played.committed += offsets,
            Told::Nothing => {}
        }
    }

    fn restart(&mut self, damage: Damage) {
        if self.is_damaged {
            // It may not start.
            return;
        }
        self.open.clear();
        self.broker
            .restart(damage)
            .unwrap_or_else(|error| panic!("{damage:?}: no start: {error:#}"));
        self.acknowledged.verify(&self.broker);
    }

    fn end(&mut self) {
        self.leave();
        self.verify();
        self.restart(Damage::PowerCut);
        self.verify();
    }

    /// Ends what waits: then everybody has got an answer.
    pub fn leave(&mut self) {
        self.settle();
        self.broker.end_waits();
        self.settle();
        for open in self.open.values() {
            let waits = open.expected.front().map(|e| (e.api.name(), e.version));
            assert_eq!(open.connection.under_way(), 0, "no answer to {waits:?}");
            assert!(open.expected.is_empty(), "no answer to {waits:?}");
        }
    }

    fn verify(&mut self) {
        let report = self.broker.check().expect("the disk can be read");
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        self.acknowledged.verify(&self.broker);
    }
}

/// Lets a fetch wait for nothing, as its client had its answer before it went on.
fn no_patience(frame: &mut BytesMut) {
    let mut body = frame.clone();
    let Ok(header) = RequestHeader::decode_mut(&mut body) else {
        return;
    };
    if header.api_key != Api::Fetch as i16 {
        return;
    }
    let found = places::places(Api::Fetch, header.version, &body).unwrap_or_default();
    let head = frame.len() - body.len();
    for place in found {
        if place.name == "max_wait_ms" && place.holds == Holds::Number {
            frame[head + place.whole.start..head + place.whole.end].fill(0);
        }
    }
}
