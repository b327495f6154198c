//! One record kills its consumer, again and again, and nobody changes the consumer: exactly that record ends in the queue,
//! all others are processed in their order.

use std::time::Duration;

use ottla_tests::harness::{Broker, Client, Target, unique};

use super::log::fill;
use super::worker::{Crew, Plan, check_queue, check_seen};

/// Far more than any of these takes on an idle machine.
const LIMIT: Duration = Duration::from_secs(120);

fn enforcing() -> Option<Broker> {
    (Target::current() == Target::Ottla).then(|| {
        Broker::start_with(&[
            "group.min.session.timeout.ms=500",
            "dlq.mode=enforce",
            "dlq.max.attempts=2",
        ])
    })
}

/// Fills the topic, lets the group through, looks at what came of it. Returns how often a consumer died.
fn through(broker: &Broker, plan: &Plan, count: usize, codec: &str, poison: &[usize]) -> usize {
    fill(broker, &plan.topic, plan.partitions, count, codec, poison);
    let mut crew = Crew::start(broker, plan);
    crew.run_to_the_end(LIMIT);
    check_seen(&crew.seen(), count, plan.partitions, poison);
    check_queue(broker, plan, poison);
    crew.deaths
}

/// One poison among 10,000 records in three partitions: halving finds it.
fn one_among_ten_thousand(
    client: Client,
    death: &'static str,
    assignor: &'static str,
    codec: &str,
) {
    let Some(broker) = enforcing() else { return };
    let mut plan = Plan::new(client, &unique("orders"));
    (plan.partitions, plan.death, plan.assignor) = (3, death, assignor);
    let deaths = through(&broker, &plan, 10_000, codec, &[7_001]);
    // Two to see the loop, one for each halving of what was in flight, two alone, and some to spare.
    assert!((4..=24).contains(&deaths), "{deaths} deaths");
}

#[test]
fn a_python_consumer_killed_by_one_of_ten_thousand_records_gets_past_it() {
    one_among_ten_thousand(Client::ConfluentKafka, "kill", "range", "lz4");
}

#[test]
fn a_java_consumer_killed_by_one_of_ten_thousand_records_gets_past_it() {
    one_among_ten_thousand(Client::Java, "kill", "range", "zstd");
}

#[test]
fn a_kafkajs_consumer_killed_by_one_of_ten_thousand_records_gets_past_it() {
    one_among_ten_thousand(Client::Kafkajs, "kill", "range", "gzip");
}

#[test]
fn a_franz_go_consumer_killed_by_one_of_ten_thousand_records_gets_past_it() {
    one_among_ten_thousand(Client::FranzGo, "kill", "cooperative-sticky", "none");
}

#[test]
fn members_that_take_the_record_over_from_each_other_get_past_it() {
    let Some(broker) = enforcing() else { return };
    for (client, assignor) in [
        (Client::ConfluentKafka, "cooperative-sticky"),
        (Client::FranzGo, "range"),
    ] {
        let mut plan = Plan::new(client, &unique("orders"));
        (plan.partitions, plan.members, plan.assignor) = (4, 2, assignor);
        through(&broker, &plan, 2_000, "snappy", &[1_234]);
    }
}

#[test]
fn two_records_in_one_partition_and_one_in_another_are_found() {
    let Some(broker) = enforcing() else { return };
    let mut plan = Plan::new(Client::ConfluentKafka, &unique("orders"));
    plan.partitions = 2;
    through(&broker, &plan, 1_000, "none", &[0, 501, 700]);
}

#[test]
fn static_members_that_never_leave_get_past_it() {
    let Some(broker) = enforcing() else { return };
    let mut plan = Plan::new(Client::ConfluentKafka, &unique("orders"));
    (plan.partitions, plan.members, plan.fixed) = (2, 2, true);
    through(&broker, &plan, 500, "none", &[321]);
}

#[test]
fn consumers_that_close_before_they_go_or_that_stall_get_past_it() {
    let Some(broker) = enforcing() else { return };
    for (client, death) in [
        (Client::ConfluentKafka, "leave"),
        (Client::ConfluentKafka, "stall"),
        (Client::Kafkajs, "leave"),
        (Client::FranzGo, "leave"),
    ] {
        let mut plan = Plan::new(client, &unique("orders"));
        (plan.death, plan.poll_interval_ms) = (death, 1_500);
        through(&broker, &plan, 100, "none", &[42]);
    }
}

/// librdkafka says that a record is processed when it hands it out: what was handed out before the poison may be committed with it
/// or not, so the poison must not be lost, and nothing else may be taken for it.
#[test]
fn a_consumer_that_commits_by_itself_gets_past_it() {
    let Some(broker) = enforcing() else { return };
    let mut plan = Plan::new(Client::ConfluentKafka, &unique("orders"));
    (plan.auto_commit, plan.batch) = (true, 1);
    through(&broker, &plan, 300, "lz4", &[150]);
}

#[test]
fn a_broker_killed_in_the_middle_of_the_search_goes_on_with_it() {
    let Some(mut broker) = enforcing() else {
        return;
    };
    let plan = Plan::new(Client::ConfluentKafka, &unique("orders"));
    let poison = [400];
    fill(&broker, &plan.topic, 1, 1_000, "lz4", &poison);
    let mut crew = Crew::start(&broker, &plan);
    crew.run_until_deaths(4, LIMIT);
    let (mut seen, mut deaths) = (crew.seen(), crew.deaths);
    drop(crew);
    broker.kill();
    broker.restart();
    let mut crew = Crew::start(&broker, &plan);
    crew.run_to_the_end(LIMIT);
    seen.extend(crew.seen());
    deaths += crew.deaths;
    check_seen(&seen, 1_000, 1, &poison);
    check_queue(&broker, &plan, &poison);
    assert!(deaths <= 30, "{deaths} deaths");
}

#[test]
fn detection_alone_reports_and_moves_nothing() {
    if Target::current() == Target::Kafka {
        return;
    }
    let broker = Broker::start_with(&["group.min.session.timeout.ms=500", "dlq.max.attempts=2"]);
    let plan = Plan::new(Client::ConfluentKafka, &unique("orders"));
    fill(&broker, &plan.topic, 1, 100, "none", &[42]);
    let mut crew = Crew::start(&broker, &plan);
    crew.run_until_deaths(5, LIMIT);
    drop(crew);
    check_queue(&broker, &plan, &[]);
    // Once, with where, who died, and what to look at.
    let log = broker.log();
    let suspects: Vec<&str> = log
        .lines()
        .filter(|l| l.contains("seems to fail"))
        .collect();
    let [line] = suspects[..] else {
        panic!("one warning is expected: {suspects:?}");
    };
    let place = format!("{}-0 from offset ", plan.topic);
    let next = format!("ottla dlq show {}", plan.topic);
    for part in [place.as_str(), "members that died there: worker-", &next] {
        assert!(line.contains(part), "{part:?} is missing: {line}");
    }
}
