use super::*;
use crate::settings::{Alteration, BrokerConfig, BrokerTarget};

#[test]
fn names_are_held_against_kafkas_rules() {
    let long = "a".repeat(249);
    for name in ["a", "A.b_c-9", "...", &long] {
        assert_eq!(validate_name(name), Ok(()), "{name}");
    }
    let longer = "a".repeat(250);
    for name in ["", ".", "..", "a/b", "../x", "ü", "a b", "a\0", &longer] {
        let refusal = validate_name(name).expect_err("must be refused");
        assert_eq!(
            refusal.error,
            ResponseError::InvalidTopicException,
            "{name}"
        );
    }
}

#[test]
fn names_that_differ_in_dots_and_underscores_only_collide() {
    for (a, b, expected) in [
        ("a.b", "a_b", true),
        ("a.b", "a.b", true),
        ("a.b", "a-b", false),
        ("a", "a_", false),
    ] {
        assert_eq!(collide(a, b), expected);
    }
}

#[test]
fn replicas_can_only_be_on_this_broker() {
    for (brokers, error) in [
        (vec![1], None),
        (vec![], Some("empty replica list")),
        (vec![1, 2], Some("broker 2, but no such broker")),
        (vec![1, 1], Some("more than once")),
    ] {
        let result = check_assignment(&brokers, 1);
        match error {
            None => assert_eq!(result, Ok(())),
            Some(text) => {
                let refusal = result.expect_err("must be refused");
                assert_eq!(refusal.error, ResponseError::InvalidReplicaAssignment);
                assert!(refusal.message.contains(text), "{}", refusal.message);
            }
        }
    }
}

struct Rig {
    dir: tempfile::TempDir,
    store: Store,
    settings: Arc<Settings>,
    topics: TopicService,
}

fn start(dir: tempfile::TempDir, given: &[(&str, &str)]) -> Rig {
    let config = BrokerConfig {
        data_dir: dir.path().to_owned(),
        values: given
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
    };
    let settings = Arc::new(Settings::new(&config).expect("is valid"));
    let windows = crate::producer_state::factory(settings.clone());
    let options = settings.store_options(windows);
    let store = Store::open(Arc::new(ottla_storage::fs::OsFs), dir.path(), options)
        .expect("a fresh directory opens");
    settings.load_dynamic(&store).expect("can be read");
    let topics = TopicService::new(store.clone(), settings.clone());
    Rig {
        dir,
        store,
        settings,
        topics,
    }
}

fn temp() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

fn spec(name: &str, partitions: i32, replication_factor: i16) -> TopicSpec {
    TopicSpec {
        name: name.to_owned(),
        layout: Layout::Counts {
            partitions,
            replication_factor,
        },
        configs: Values::new(),
    }
}

#[test]
fn a_topic_is_made_as_asked_or_refused_with_kafkas_error() {
    let rig = start(temp(), &[("num.partitions", "4")]);
    let manual = |assignments: &[(i32, &[i32])]| TopicSpec {
        layout: Layout::Manual(assignments.iter().map(|(i, b)| (*i, b.to_vec())).collect()),
        ..spec("m", -1, -1)
    };
    let with = |name: &str, value: &str| TopicSpec {
        configs: Values::from([(name.to_owned(), value.to_owned())]),
        ..spec("c", 1, 1)
    };
    use ResponseError as E;
    for (spec, expected) in [
        (spec("a.b", 2, 1), Ok(2)),
        (spec("a.b", 2, 1), Err(E::TopicAlreadyExists)),
        (spec("a_b", 2, 1), Err(E::InvalidTopicException)),
        (spec("../x", 2, 1), Err(E::InvalidTopicException)),
        (spec("default", -1, -1), Ok(4)),
        (spec("lowered", 1, 3), Ok(1)),
        (spec("x", 0, 1), Err(E::InvalidPartitions)),
        (spec("x", -2, 1), Err(E::InvalidPartitions)),
        (spec("x", 1, 0), Err(E::InvalidReplicationFactor)),
        (spec("x", 10_001, 1), Err(E::PolicyViolation)),
        (manual(&[(0, &[2])]), Err(E::InvalidReplicaAssignment)),
        (
            manual(&[(0, &[1]), (2, &[1])]),
            Err(E::InvalidReplicaAssignment),
        ),
        (
            manual(&[(0, &[1]), (0, &[1])]),
            Err(E::InvalidReplicaAssignment),
        ),
        (manual(&[(1, &[1]), (0, &[1])]), Ok(2)),
        (with("no.such", "1"), Err(E::InvalidConfig)),
        (with("retention.ms", "soon"), Err(E::InvalidConfig)),
        (with("retention.ms", "-1"), Ok(1)),
    ] {
        let name = spec.name.clone();
        let made = rig
            .topics
            .create(spec, false)
            .map(|created| created.partitions);
        assert_eq!(made.map_err(|refusal| refusal.error), expected, "{name}");
    }
    let topic = rig.topics.by_name("c").expect("was made");
    assert_eq!(
        topic.configs.get("retention.ms").map(String::as_str),
        Some("-1")
    );
    assert_eq!(rig.topics.config(&topic).log.retention_ms, None);
}

#[test]
fn a_replication_factor_that_cannot_be_had_is_refused_if_asked_to() {
    let rig = start(temp(), &[("ottla.auto.lower.replication.factor", "false")]);
    let refused = rig.topics.create(spec("a", 1, 3), false).map(drop);
    assert_eq!(
        refused.map_err(|r| r.error),
        Err(ResponseError::InvalidReplicationFactor)
    );
}

#[test]
fn validating_makes_nothing() {
    let rig = start(temp(), &[]);
    assert!(
        rig.topics
            .create(spec("a", 1, 1), true)
            .expect("is valid")
            .commit
            .is_none()
    );
    assert!(rig.topics.by_name("a").is_none());
}

#[test]
fn a_topic_asked_for_twice_is_made_once_and_internal_ones_are_not() {
    let rig = start(temp(), &[]);
    let (first, commit) = rig.topics.auto_create("a").expect("is made");
    let (second, again) = rig.topics.auto_create("a").expect("is there");
    assert_eq!(
        (first.id, commit.is_some(), again.is_some()),
        (second.id, true, false)
    );
    assert!(rig.topics.auto_create("__consumer_offsets").is_err());
}

#[test]
fn a_topic_grows_and_never_shrinks_and_goes() {
    let rig = start(temp(), &[]);
    let id = rig
        .topics
        .create(spec("a", 2, 1), false)
        .expect("is made")
        .id;
    use ResponseError as E;
    for (total, assignments, expected) in [
        (2, None, Err(E::InvalidPartitions)),
        (1, None, Err(E::InvalidPartitions)),
        (4, Some(vec![vec![1]]), Err(E::InvalidReplicaAssignment)),
        (3, Some(vec![vec![9]]), Err(E::InvalidReplicaAssignment)),
        (3, Some(vec![vec![1]]), Ok(())),
        (i32::MAX, None, Err(E::PolicyViolation)),
    ] {
        let grown = rig
            .topics
            .grow("a", total, assignments.as_deref(), false)
            .map(drop);
        assert_eq!(grown.map_err(|r| r.error), expected, "{total}");
    }
    assert_eq!(rig.topics.by_id(&id).expect("is there").partitions, 3);
    assert!(rig.topics.delete(&id).expect("can be deleted").is_some());
    assert!(rig.topics.by_name("a").is_none());
    assert_eq!(
        rig.topics.grow("a", 9, None, false).map_err(|r| r.error),
        Err(E::UnknownTopicOrPartition)
    );
}

#[test]
fn changed_settings_are_in_force_at_once_and_after_a_restart() {
    let rig = start(temp(), &[]);
    rig.topics.create(spec("a", 1, 1), false).expect("is made");
    let set = |name: &str, value: &str| {
        Changes::Some(vec![(name.to_owned(), Alteration::Set(value.to_owned()))])
    };
    rig.topics
        .alter_configs("a", &set("retention.ms", "5"), false)
        .expect("is taken");
    let altered = rig.settings.alter_broker(
        &rig.store,
        BrokerTarget::Default,
        &set("message.max.bytes", "77"),
        false,
    );
    assert!(altered.expect("is taken").is_some());
    let altered = rig.settings.alter_broker(
        &rig.store,
        BrokerTarget::This,
        &set("message.max.bytes", "78"),
        true,
    );
    assert!(altered.expect("is valid").is_none());
    let in_force = |rig: &Rig| {
        let config = rig
            .topics
            .config(&rig.topics.by_name("a").expect("is there"));
        (
            config.log.retention_ms,
            config.log.max_message_bytes,
            rig.settings.current().message_max_bytes,
        )
    };
    assert_eq!(in_force(&rig), (Some(5), 77, 77));

    rig.store.close().expect("closes");
    let Rig {
        dir, store, topics, ..
    } = rig;
    drop((store, topics));
    let rig = start(dir, &[]);
    assert_eq!(in_force(&rig), (Some(5), 77, 77));
    rig.topics
        .alter_configs("a", &Changes::All(Values::new()), false)
        .expect("is taken");
    assert_eq!(in_force(&rig), (Some(604_800_000), 77, 77));
}

#[test]
fn a_topic_cannot_be_its_own_dead_letter_queue() {
    let rig = start(temp(), &[]);
    let own = |queue: &str| Values::from([("dlq.topic.name".to_owned(), queue.to_owned())]);
    let mut wanted = spec("a", 1, 1);
    wanted.configs = own("a");
    let refused = rig.topics.create(wanted, false).map(drop);
    assert_eq!(
        refused.map_err(|r| r.error),
        Err(ResponseError::InvalidConfig)
    );
    rig.topics.create(spec("a", 1, 1), false).expect("is made");
    for (queue, expected) in [
        ("a", Err(ResponseError::InvalidConfig)),
        ("b", Ok(())),
        ("", Ok(())),
    ] {
        let altered = rig
            .topics
            .alter_configs("a", &Changes::All(own(queue)), false);
        assert_eq!(altered.map(drop).map_err(|r| r.error), expected, "{queue}");
    }
}

#[test]
fn a_groups_settings_are_in_force_at_once_and_after_a_restart_until_they_are_deleted() {
    let rig = start(temp(), &[("dlq.max.attempts", "2")]);
    let attempts = |rig: &Rig| {
        let settings = rig.settings.dead_letters(&rig.store, "billing", "orders");
        settings.max_attempts
    };
    let alter = |rig: &Rig, alteration: Alteration| {
        let changes = Changes::Some(vec![("dlq.max.attempts".to_owned(), alteration)]);
        rig.settings
            .alter_group(&rig.store, "billing", &changes, false)
            .expect("is taken")
    };
    assert!(alter(&rig, Alteration::Set("7".to_owned())).is_some());
    assert!(alter(&rig, Alteration::Set("7".to_owned())).is_none());
    assert_eq!(attempts(&rig), 7);
    rig.store.close().expect("closes");
    let Rig {
        dir, store, topics, ..
    } = rig;
    drop((store, topics));
    let rig = start(dir, &[("dlq.max.attempts", "2")]);
    assert_eq!(attempts(&rig), 7);
    assert_eq!(rig.settings.groups_with_settings(), ["billing".into()]);
    assert!(alter(&rig, Alteration::Delete).is_some());
    assert_eq!(attempts(&rig), 2);
    assert!(rig.settings.groups_with_settings().is_empty());
}
