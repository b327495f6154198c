//! The service over a real store.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_coordinator::groups::member::Protocol;
use ottla_coordinator::groups::{
    JoinReply, JoinRequest, OffsetCommitPartition, OffsetCommitRequest, PartitionId, SyncRequest,
};
use ottla_storage::fs::OsFs;
use ottla_storage::{NewTopic, TopicId};

use super::*;
use crate::producer_state;
use crate::settings::BrokerConfig;
use crate::topics::TopicService;

fn service(store: &Store, settings: &Arc<Settings>, clock: &Arc<Mutex<Now>>) -> GroupService {
    let topics = Arc::new(TopicService::new(store.clone(), settings.clone()));
    let dead_letters = DeadLetters::new(store.clone(), settings.clone(), topics);
    GroupService::without_timers(
        store.clone(),
        settings.clone(),
        Arc::new(dead_letters),
        Clock::Set(clock.clone()),
    )
}

struct Fixture {
    _dir: tempfile::TempDir,
    settings: Arc<Settings>,
    store: Store,
    /// Stands still.
    clock: Arc<Mutex<Now>>,
    service: GroupService,
}

impl Fixture {
    fn new(settings: &[(&str, &str)]) -> Fixture {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let config = BrokerConfig {
            data_dir: dir.path().to_owned(),
            values: settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let settings = Arc::new(Settings::new(&config).expect("valid settings"));
        let options = settings.store_options(producer_state::factory(settings.clone()));
        let store = Store::open(Arc::new(OsFs), dir.path(), options).expect("an empty directory");
        let clock = Arc::new(Mutex::new(Now {
            monotonic_ms: 0,
            wall_ms: 1_000_000,
        }));
        Fixture {
            service: service(&store, &settings, &clock),
            clock,
            store,
            settings,
            _dir: dir,
        }
    }

    /// What a restart of the broker does to groups: only the store is left.
    fn restart(&mut self) {
        self.service = service(&self.store, &self.settings, &self.clock);
    }

    fn create_topic(&self, byte: u8) -> TopicId {
        let id = TopicId::from_bytes([byte; 16]);
        let new = NewTopic {
            id,
            name: "t".to_owned(),
            partitions: 1,
            configs: BTreeMap::new(),
            created_ms: 0,
        };
        let created = self
            .store
            .create_topic(new)
            .expect("the store takes writes");
        assert!(created.is_some(), "the name is free");
        id
    }

    async fn commit(&self, topic: TopicId, offset: i64) {
        let request = OffsetCommitRequest {
            group_id: "g".to_owned(),
            generation: -1,
            member_id: String::new(),
            instance_id: None,
            retention_ms: None,
            group_not_found_error: true,
            partitions: vec![OffsetCommitPartition {
                id: PartitionId {
                    topic: "t".to_owned(),
                    partition: 0,
                },
                topic_id: *topic.as_bytes(),
                offset,
                leader_epoch: -1,
                metadata: String::new(),
            }],
        };
        let answer = self
            .service
            .submit("g", |ticket| Event::OffsetCommit(ticket, request));
        assert_eq!(answer.await, Ok(Reply::OffsetCommit(vec![Ok(())])));
    }

    async fn committed(&self) -> Option<i64> {
        let read = self.service.read(&["g"], |machine| {
            machine.committed("g", "t", 0).map(|c| c.offset)
        });
        read.await.expect("the store is well")
    }

    /// Lets time pass, and has timers fire.
    fn advance(&self, ms: u64) {
        let mut now = self.clock.lock();
        now.monotonic_ms += ms;
        now.wall_ms += i64::try_from(ms).expect("a short time");
        drop(now);
        self.service.shared.fire_due();
    }

    /// Asks to join; the answer may take its time.
    fn joins(
        &self,
        client: &str,
        member_id: &str,
    ) -> impl Future<Output = JoinReply> + Send + use<> {
        let request = JoinRequest {
            group_id: "g".to_owned(),
            member_id: member_id.to_owned(),
            instance_id: None,
            client_id: client.to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            session_timeout_ms: 100,
            rebalance_timeout_ms: 60_000,
            protocol_type: "consumer".to_owned(),
            protocols: vec![Protocol {
                name: "range".to_owned(),
                metadata: Bytes::new(),
            }],
            require_known_member_id: false,
            supports_skip_assignment: true,
            new_member_suffix: "uuid".to_owned(),
        };
        let answer = self
            .service
            .submit("g", |ticket| Event::Join(ticket, request));
        async move {
            match answer.await {
                Ok(Reply::Join(reply)) => reply,
                other => panic!("not an answer to a join: {other:?}"),
            }
        }
    }

    async fn sync(&self, generation: i32, member_id: &str) {
        let request = SyncRequest {
            group_id: "g".to_owned(),
            generation,
            member_id: member_id.to_owned(),
            instance_id: None,
            protocol_type: None,
            protocol_name: None,
            assignments: vec![(member_id.to_owned(), Bytes::from_static(b"all"))],
        };
        let answer = self
            .service
            .submit("g", |ticket| Event::Sync(ticket, request));
        assert!(matches!(answer.await, Ok(Reply::Sync(Ok(_)))));
    }
}

#[tokio::test]
async fn offsets_and_groups_are_there_after_a_restart() {
    let mut f = Fixture::new(&[]);
    let topic = f.create_topic(1);
    f.commit(topic, 42).await;
    f.restart();
    assert_eq!(f.committed().await, Some(42));
    f.restart();
    let listed = f.service.read_all(|machine| machine.list(&[])).await;
    let listed = listed.expect("the store is well");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].group_id, "g");
}

#[tokio::test]
async fn offsets_do_not_outlive_their_topic() {
    let mut f = Fixture::new(&[]);
    let topic = f.create_topic(1);
    f.commit(topic, 42).await;
    // Deleted and made again while the group is not in memory.
    f.restart();
    let deleted = f.store.delete_topic(&topic);
    deleted.expect("the store takes writes").expect("it exists");
    f.create_topic(2);
    assert_eq!(f.committed().await, None);
}

#[tokio::test]
async fn a_session_ends_by_its_timer() {
    let f = Fixture::new(&[
        ("group.min.session.timeout.ms", "10"),
        ("group.initial.rebalance.delay.ms", "0"),
    ]);
    let silent = f.joins("silent", "").await;
    f.sync(1, &silent.member_id).await;
    // It joins as soon as the session of the silent one has ended; the rebalance timeout is much longer.
    let mut next = Box::pin(f.joins("next", ""));
    f.advance(99);
    tokio::select! {
        biased;
        joined = &mut next => panic!("joined before the session has ended: {joined:?}"),
        () = std::future::ready(()) => {}
    }
    f.advance(1);
    let next = next.await;
    assert_eq!(next.error, None);
    assert_eq!(next.generation, 2);
    assert_eq!(next.leader, next.member_id);
}

#[tokio::test]
async fn members_go_on_after_a_restart() {
    let mut f = Fixture::new(&[
        ("group.min.session.timeout.ms", "10"),
        ("group.initial.rebalance.delay.ms", "0"),
    ]);
    let joined = f.joins("a", "").await;
    f.sync(1, &joined.member_id).await;
    f.restart();
    let heartbeat = f.service.submit("g", |ticket| Event::Heartbeat {
        ticket,
        group_id: "g".to_owned(),
        generation: 1,
        member_id: joined.member_id,
        instance_id: None,
    });
    assert_eq!(heartbeat.await, Ok(Reply::Heartbeat(Ok(()))));
}

#[tokio::test]
async fn producer_ids_are_never_given_twice() {
    let mut f = Fixture::new(&[]);
    let mut last = -1;
    for _ in 0..3 {
        for _ in 0..5 {
            let id = f.service.allocate_producer_id().await;
            let id = id.expect("the store is well");
            assert!(id > last);
            last = id;
        }
        f.restart();
    }
}

#[tokio::test]
async fn a_time_out_that_comes_too_early_is_waited_for() {
    use ottla_coordinator::transactions::Effects;
    let fixture = Fixture::new(&[]);
    let shared = &fixture.service.shared;
    let mut inner = shared.inner.lock();
    // The wall clock may stand a millisecond behind the other one, or be set back: nothing ends, and the timer is set again.
    let effects = Effects {
        timers: vec![("x".to_owned(), Some(5_000_000))],
        ..Effects::default()
    };
    let carried_out = shared.carry_out_transaction(&mut inner, effects, Vec::new());
    assert!(carried_out.is_ok_and(|appended| appended.is_empty()));
    assert_eq!(inner.transactions.next_deadline(), Some(5_000_000));
}
