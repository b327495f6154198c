//! What looks like a crash loop and is none: the queue stays empty, and everything is consumed.

use std::time::Duration;

use ottla_tests::harness::{Broker, Client, Target, kafka_tool, unique};

use super::log::fill;
use super::worker::{Crew, Plan, check_queue, check_seen};

const LIMIT: Duration = Duration::from_secs(120);

/// The most easily alarmed broker there is.
fn nervous() -> Option<Broker> {
    (Target::current() == Target::Ottla).then(|| {
        Broker::start_with(&[
            "group.min.session.timeout.ms=500",
            "dlq.mode=enforce",
            "dlq.max.attempts=1",
            "dlq.isolation.attempts=1",
        ])
    })
}

#[test]
fn rolling_restarts_and_rebalances_are_no_failures() {
    let Some(broker) = nervous() else { return };
    let mut plan = Plan::new(Client::ConfluentKafka, &unique("orders"));
    (plan.partitions, plan.members, plan.slow_ms, plan.batch) = (4, 2, 2, 20);
    fill(&broker, &plan.topic, 4, 3_000, "lz4", &[]);
    let mut crew = Crew::start(&broker, &plan);
    for round in 0..4 {
        crew.wait_for(200 * (round + 1), LIMIT);
        crew.replace(round % 2, if round < 3 { "TERM" } else { "KILL" });
    }
    crew.run_to_the_end(LIMIT);
    check_seen(&crew.seen(), 3_000, 4, &[]);
    check_queue(&broker, &plan, &[]);
}

#[test]
fn broker_restarts_are_no_failures_of_consumers() {
    let Some(mut broker) = nervous() else { return };
    let mut plan = Plan::new(Client::ConfluentKafka, &unique("orders"));
    (plan.partitions, plan.slow_ms, plan.batch) = (2, 2, 20);
    fill(&broker, &plan.topic, 2, 1_500, "none", &[]);
    let mut crew = Crew::start(&broker, &plan);
    for round in 0..3 {
        crew.wait_for(100 * (round + 1), LIMIT);
        broker.kill();
        broker.restart();
    }
    crew.run_to_the_end(LIMIT);
    check_seen(&crew.seen(), 1_500, 2, &[]);
    check_queue(&broker, &plan, &[]);
}

#[test]
fn a_consumer_that_takes_its_time_is_no_failure() {
    let Some(broker) = nervous() else { return };
    let mut plan = Plan::new(Client::ConfluentKafka, &unique("orders"));
    // Longer in a batch than its session time-out: heartbeats go on beside it.
    (plan.slow_ms, plan.batch, plan.session_ms) = (100, 20, 1_000);
    fill(&broker, &plan.topic, 1, 100, "none", &[]);
    let mut crew = Crew::start(&broker, &plan);
    crew.run_to_the_end(LIMIT);
    assert_eq!(crew.deaths, 0);
    check_seen(&crew.seen(), 100, 1, &[]);
    check_queue(&broker, &plan, &[]);
}

#[test]
fn a_reset_to_the_beginning_is_no_failure() {
    let Some(broker) = nervous() else { return };
    let plan = Plan::new(Client::ConfluentKafka, &unique("orders"));
    fill(&broker, &plan.topic, 1, 500, "none", &[]);
    for round in 0..3 {
        let mut crew = Crew::start(&broker, &plan);
        if round > 0 {
            crew.wait_for(500, LIMIT);
        }
        crew.run_to_the_end(LIMIT);
        crew.stop();
        let server = broker.bootstrap();
        let reset = [
            "--bootstrap-server",
            &server,
            "--group",
            &plan.group,
            "--topic",
            &plan.topic,
            "--reset-offsets",
            "--to-earliest",
            "--execute",
        ];
        kafka_tool("consumer-groups", &reset, b"").success();
    }
    check_queue(&broker, &plan, &[]);
}

/// A deployment that fails on every record: the breaker keeps the queue empty, however often it is started again; the repaired
/// consumer then gets everything.
#[test]
fn a_consumer_that_fails_on_every_record_fills_no_queue() {
    if Target::current() == Target::Kafka {
        return;
    }
    let broker = Broker::start_with(&[
        "group.min.session.timeout.ms=500",
        "dlq.mode=enforce",
        "dlq.max.attempts=2",
    ]);
    let mut broken = Plan::new(Client::ConfluentKafka, &unique("orders"));
    (broken.partitions, broken.poison) = (3, "record");
    fill(&broker, &broken.topic, 3, 300, "none", &[]);
    let mut crew = Crew::start(&broker, &broken);
    crew.run_until_deaths(25, LIMIT);
    assert!(crew.positions().iter().all(|(position, _)| *position == 0));
    drop(crew);
    check_queue(&broker, &broken, &[]);
    let repaired = Plan {
        poison: "nothing",
        ..broken
    };
    let mut crew = Crew::start(&broker, &repaired);
    crew.run_to_the_end(LIMIT);
    check_seen(&crew.seen(), 300, 3, &[]);
    check_queue(&broker, &repaired, &[]);
}

/// Another group reads the same topic while one is in trouble: it goes on undisturbed, and sees the poison, too.
#[test]
fn a_healthy_group_beside_a_sick_one_sees_every_record_without_delay() {
    if Target::current() == Target::Kafka {
        return;
    }
    let broker = Broker::start_with(&[
        "group.min.session.timeout.ms=500",
        "dlq.mode=enforce",
        "dlq.max.attempts=2",
    ]);
    let sick = Plan::new(Client::ConfluentKafka, &unique("orders"));
    let poison = [250];
    fill(&broker, &sick.topic, 1, 500, "lz4", &poison);
    let mut healthy = Plan {
        group: unique("healthy"),
        poison: "nothing",
        client: Client::FranzGo,
        ..sick.clone()
    };
    let mut crew = Crew::start(&broker, &sick);
    crew.run_until_deaths(3, LIMIT);
    let mut beside = Crew::start(&broker, &healthy);
    beside.run_to_the_end(LIMIT);
    assert_eq!(beside.seen().len(), 500);
    drop(beside);
    healthy.group = unique("another");
    crew.run_to_the_end(LIMIT);
    let mut later = Crew::start(&broker, &healthy);
    later.run_to_the_end(LIMIT);
    check_seen(&later.seen(), 500, 1, &poison);
    check_queue(&broker, &sick, &poison);
}
