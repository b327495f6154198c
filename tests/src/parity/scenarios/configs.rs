use kafka_protocol::messages::alter_configs_request as alter;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request as incremental;
use kafka_protocol::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    ListConfigResourcesRequest,
};

use crate::parity::both::Both;
use crate::parity::words::s;

pub(super) const TOPIC: i8 = 2;
const BROKER: i8 = 4;
pub(super) const BROKER_LOGGER: i8 = 8;
pub const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

pub(super) const SET: i8 = 0;
pub(super) const DELETE: i8 = 1;
pub(super) const APPEND: i8 = 2;
pub(super) const SUBTRACT: i8 = 3;

pub(super) fn describe(kind: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsRequest {
    DescribeConfigsRequest::default()
        .with_resources(vec![
            DescribeConfigsResource::default()
                .with_resource_type(kind)
                .with_resource_name(s(name))
                .with_configuration_keys(keys.map(|keys| keys.iter().map(s).collect())),
        ])
        .with_include_synonyms(true)
}

/// (kind, name, [(config, operation, value)])
pub fn change(
    kind: i8,
    name: &str,
    configs: &[(&str, i8, Option<&str>)],
) -> IncrementalAlterConfigsRequest {
    let configs = configs.iter().map(|(name, operation, value)| {
        incremental::AlterableConfig::default()
            .with_name(s(name))
            .with_config_operation(*operation)
            .with_value(value.map(s))
    });
    IncrementalAlterConfigsRequest::default().with_resources(vec![
        incremental::AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(s(name))
            .with_configs(configs.collect()),
    ])
}

pub async fn topic_configs(both: &mut Both) -> anyhow::Result<()> {
    let topic = both
        .topic(
            "t",
            1,
            &[("retention.ms", "1000"), ("cleanup.policy", "compact")],
        )
        .await?;
    let missing = both.name("missing");
    both.call_in_each_version::<DescribeConfigsRequest>("all", |_, v| {
        describe(TOPIC, &topic, None).with_include_documentation(v >= 3)
    })
    .await;
    for (step, name, keys) in [
        (
            "some",
            topic.as_str(),
            Some(&["retention.ms", "segment.bytes"][..]),
        ),
        ("an unknown key", &topic, Some(&["no.such.config"])),
        ("no keys", &topic, Some(&[])),
        ("an unknown topic", &missing, None),
        ("an impossible topic", "a/b", None),
        ("an empty name", "", None),
    ] {
        both.call_in_each_version::<DescribeConfigsRequest>(step, |_, _| {
            describe(TOPIC, name, keys)
        })
        .await;
        both.call::<DescribeConfigsRequest>(step, 4, |_| {
            describe(TOPIC, name, keys).with_include_synonyms(false)
        })
        .await;
    }
    both.call_in_each_version::<DescribeConfigsRequest>("a resource twice", |_, _| {
        let mut request = describe(TOPIC, &topic, Some(&["retention.ms"]));
        request.resources.push(request.resources[0].clone());
        request
    })
    .await;
    Ok(())
}

pub async fn broker_configs(both: &mut Both) -> anyhow::Result<()> {
    both.call::<DescribeConfigsRequest>("all of the broker's", 4, |_| describe(BROKER, "1", None))
        .await;
    for (step, kind, name) in [
        ("another broker", BROKER, "99"),
        ("not a number", BROKER, "one"),
        ("the cluster's defaults", BROKER, ""),
        ("an unknown kind", 77, "x"),
        ("a group", GROUP, "parity-group"),
        ("a group without a name", GROUP, ""),
        ("client metrics", CLIENT_METRICS, "parity-metrics"),
    ] {
        both.call_in_each_version::<DescribeConfigsRequest>(step, |_, _| {
            describe(kind, name, None)
        })
        .await;
    }
    both.call::<DescribeConfigsRequest>("loggers of another broker", 4, |_| {
        describe(BROKER_LOGGER, "99", None)
    })
    .await;
    Ok(())
}

/// The whole list of a topic's own values, after a change.
async fn show(both: &mut Both, kind: i8, name: &str, keys: Option<&[&str]>) {
    both.eventually::<DescribeConfigsRequest>("afterwards", 4, |_| describe(kind, name, keys))
        .await;
}

const SHOWN: &[&str] = &[
    "retention.ms",
    "segment.bytes",
    "cleanup.policy",
    "max.message.bytes",
];

pub async fn alteration(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 1, &[("segment.bytes", "2000000")]).await?;
    let missing = both.name("missing");
    let ask = |kind: i8, name: &str, configs: &[(&str, Option<&str>)], validate_only: bool| {
        let configs = configs.iter().map(|(name, value)| {
            alter::AlterableConfig::default()
                .with_name(s(name))
                .with_value(value.map(s))
        });
        AlterConfigsRequest::default()
            .with_resources(vec![
                alter::AlterConfigsResource::default()
                    .with_resource_type(kind)
                    .with_resource_name(s(name))
                    .with_configs(configs.collect()),
            ])
            .with_validate_only(validate_only)
    };
    for v in both.versions::<AlterConfigsRequest>() {
        let retention = format!("{}000", 5 + v);
        let set = [("retention.ms", Some(retention.as_str()))];
        for (step, request) in [
            ("only validated", ask(TOPIC, &topic, &set, true)),
            ("set: the others go back", ask(TOPIC, &topic, &set, false)),
            ("unknown topic", ask(TOPIC, &missing, &set, false)),
            (
                "unknown config",
                ask(TOPIC, &topic, &[("no.such.config", Some("1"))], false),
            ),
            (
                "bad value",
                ask(TOPIC, &topic, &[("retention.ms", Some("soon"))], false),
            ),
            (
                "null value",
                ask(TOPIC, &topic, &[("retention.ms", None)], false),
            ),
            (
                "read-only broker config",
                ask(BROKER, "1", &[("log.dirs", Some("/x"))], false),
            ),
            (
                "another broker",
                ask(BROKER, "99", &[("log.retention.ms", Some("1"))], false),
            ),
            ("unknown kind", ask(77, "x", &set, false)),
            ("empty topic name", ask(TOPIC, "", &set, false)),
        ] {
            both.call::<AlterConfigsRequest>(step, v, |_| request.clone())
                .await;
        }
        show(both, TOPIC, &topic, Some(SHOWN)).await;
    }
    Ok(())
}

pub async fn incremental_alteration(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 1, &[]).await?;
    let missing = both.name("missing");
    for v in both.versions::<IncrementalAlterConfigsRequest>() {
        for (step, kind, name, configs) in [
            (
                "set",
                TOPIC,
                topic.as_str(),
                &[("retention.ms", SET, Some("7000"))][..],
            ),
            (
                "append",
                TOPIC,
                &topic,
                &[("cleanup.policy", APPEND, Some("compact"))],
            ),
            (
                "append again",
                TOPIC,
                &topic,
                &[("cleanup.policy", APPEND, Some("compact"))],
            ),
            (
                "subtract",
                TOPIC,
                &topic,
                &[("cleanup.policy", SUBTRACT, Some("delete"))],
            ),
            (
                "subtract what is not there",
                TOPIC,
                &topic,
                &[("cleanup.policy", SUBTRACT, Some("delete"))],
            ),
            (
                "append to a number",
                TOPIC,
                &topic,
                &[("retention.ms", APPEND, Some("1"))],
            ),
            ("delete", TOPIC, &topic, &[("cleanup.policy", DELETE, None)]),
            (
                "delete what is not set",
                TOPIC,
                &topic,
                &[("segment.ms", DELETE, None)],
            ),
            ("set null", TOPIC, &topic, &[("retention.ms", SET, None)]),
            (
                "unknown operation",
                TOPIC,
                &topic,
                &[("retention.ms", 9, Some("1"))],
            ),
            (
                "unknown config",
                TOPIC,
                &topic,
                &[("no.such.config", SET, Some("1"))],
            ),
            (
                "delete an unknown config",
                TOPIC,
                &topic,
                &[("no.such.config", DELETE, None)],
            ),
            (
                "bad value",
                TOPIC,
                &topic,
                &[("segment.bytes", SET, Some("1"))],
            ),
            (
                "a config twice",
                TOPIC,
                &topic,
                &[
                    ("retention.ms", SET, Some("1")),
                    ("retention.ms", SET, Some("2")),
                ],
            ),
            (
                "unknown topic",
                TOPIC,
                &missing,
                &[("retention.ms", SET, Some("1"))],
            ),
            (
                "impossible topic",
                TOPIC,
                "a/b",
                &[("retention.ms", SET, Some("1"))],
            ),
            (
                "read-only broker config",
                BROKER,
                "1",
                &[("log.dirs", SET, Some("/x"))],
            ),
            (
                "unknown broker config",
                BROKER,
                "1",
                &[("no.such.config", SET, Some("1"))],
            ),
            (
                "bad broker value",
                BROKER,
                "1",
                &[("message.max.bytes", SET, Some("many"))],
            ),
            (
                "another broker",
                BROKER,
                "99",
                &[("message.max.bytes", SET, Some("1000"))],
            ),
            (
                "broker not a number",
                BROKER,
                "one",
                &[("message.max.bytes", SET, Some("1000"))],
            ),
            ("unknown kind", 77, "x", &[("a", SET, Some("b"))]),
            ("no configs", TOPIC, &topic, &[]),
        ] {
            both.call::<IncrementalAlterConfigsRequest>(step, v, |_| change(kind, name, configs))
                .await;
            if kind == TOPIC && name == topic {
                show(both, TOPIC, &topic, Some(SHOWN)).await;
            }
        }
        both.call::<IncrementalAlterConfigsRequest>("a resource twice", v, |_| {
            let mut request = change(TOPIC, &topic, &[("retention.ms", SET, Some("1"))]);
            request.resources.push(request.resources[0].clone());
            request
        })
        .await;
        both.call::<IncrementalAlterConfigsRequest>("only validated", v, |_| {
            change(TOPIC, &topic, &[("retention.ms", SET, Some("99"))]).with_validate_only(true)
        })
        .await;
        show(both, TOPIC, &topic, Some(SHOWN)).await;
    }
    // A dynamic broker setting shows with its source, at the broker and as the topics' default.
    let v = both.latest::<IncrementalAlterConfigsRequest>();
    for (step, name, operation, value) in [
        ("set on the broker", "1", SET, Some("2000000")),
        ("set on the cluster", "", SET, Some("1500000")),
        ("unset on the broker", "1", DELETE, None),
        ("unset on the cluster", "", DELETE, None),
    ] {
        both.call::<IncrementalAlterConfigsRequest>(step, v, |_| {
            change(BROKER, name, &[("message.max.bytes", operation, value)])
        })
        .await;
        show(both, BROKER, "1", Some(&["message.max.bytes"])).await;
        show(both, BROKER, "", Some(&["message.max.bytes"])).await;
        show(both, TOPIC, &topic, Some(&["max.message.bytes"])).await;
    }
    Ok(())
}

/// Settings of a group, by both calls. Names that only Ottla knows are left out of what is shown.
pub async fn group_configs(both: &mut Both) -> anyhow::Result<()> {
    const NAME: &str = "consumer.session.timeout.ms";
    let group = both.name("group");
    let shown = &[NAME, "consumer.heartbeat.interval.ms"];
    let v = both.latest::<IncrementalAlterConfigsRequest>();
    for (step, name, configs) in [
        ("set", group.as_str(), &[(NAME, SET, Some("50000"))][..]),
        ("bad value", &group, &[(NAME, SET, Some("soon"))]),
        ("too small", &group, &[(NAME, SET, Some("0"))]),
        ("unknown", &group, &[("no.such.config", SET, Some("1"))]),
        ("a topic's", &group, &[("retention.ms", SET, Some("1"))]),
        ("append", &group, &[(NAME, APPEND, Some("1"))]),
        ("set null", &group, &[(NAME, SET, None)]),
        ("no name", "", &[(NAME, SET, Some("50000"))]),
        (
            "delete what is not set",
            &group,
            &[(shown[1], DELETE, None)],
        ),
        ("delete", &group, &[(NAME, DELETE, None)]),
    ] {
        both.call::<IncrementalAlterConfigsRequest>(step, v, |_| change(GROUP, name, configs))
            .await;
        // Kafka answers a change before it shows it.
        both.eventually::<DescribeConfigsRequest>(step, 4, |_| {
            describe(GROUP, &group, Some(shown))
        })
        .await;
        both.call_in_each_version::<DescribeConfigsRequest>(step, |_, _| {
            describe(GROUP, &group, Some(shown))
        })
        .await;
    }
    let v = both.latest::<AlterConfigsRequest>();
    for (step, configs) in [("all", &[(NAME, Some("55000"))][..]), ("all of none", &[])] {
        both.call::<AlterConfigsRequest>(step, v, |_| {
            let configs = configs.iter().map(|(name, value)| {
                alter::AlterableConfig::default()
                    .with_name(s(name))
                    .with_value(value.map(s))
            });
            AlterConfigsRequest::default().with_resources(vec![
                alter::AlterConfigsResource::default()
                    .with_resource_type(GROUP)
                    .with_resource_name(s(&group))
                    .with_configs(configs.collect()),
            ])
        })
        .await;
        both.eventually::<DescribeConfigsRequest>(step, 4, |_| {
            describe(GROUP, &group, Some(shown))
        })
        .await;
        let v = both.latest::<ListConfigResourcesRequest>();
        both.eventually::<ListConfigResourcesRequest>(step, v, |_| {
            ListConfigResourcesRequest::default().with_resource_types(vec![GROUP])
        })
        .await;
    }
    Ok(())
}

/// Other scenarios set and remove such configurations meanwhile, and Kafka shows a change a moment later: so until both agree.
pub async fn resources(both: &mut Both) -> anyhow::Result<()> {
    both.eventually::<ListConfigResourcesRequest>("client metrics", 0, |_| {
        ListConfigResourcesRequest::default()
    })
    .await;
    for v in 1..=both.latest::<ListConfigResourcesRequest>() {
        for kinds in [
            vec![BROKER],
            vec![BROKER_LOGGER],
            vec![CLIENT_METRICS],
            vec![GROUP],
            vec![77],
        ] {
            both.eventually::<ListConfigResourcesRequest>("one kind", v, |_| {
                ListConfigResourcesRequest::default().with_resource_types(kinds.clone())
            })
            .await;
        }
    }
    Ok(())
}
