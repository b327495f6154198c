//! The levels of a broker's loggers. Loggers have other names on the two, so the root alone is compared.

use kafka_protocol::messages::alter_configs_request as alter;
use kafka_protocol::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
};

use super::configs::{APPEND, BROKER_LOGGER, DELETE, SET, SUBTRACT, change, describe};
use crate::parity::both::Both;
use crate::parity::words::s;

pub async fn levels(both: &mut Both) -> anyhow::Result<()> {
    for level in ["FATAL", "WARN"] {
        both.call::<IncrementalAlterConfigsRequest>("set", 1, |_| {
            change(BROKER_LOGGER, "1", &[("root", SET, Some(level))])
        })
        .await;
        both.call_in_each_version::<DescribeConfigsRequest>("the root's level", |_, _| {
            describe(BROKER_LOGGER, "1", Some(&["root"]))
        })
        .await;
    }
    both.call::<IncrementalAlterConfigsRequest>("only validated", 1, |_| {
        change(BROKER_LOGGER, "1", &[("root", SET, Some("ERROR"))]).with_validate_only(true)
    })
    .await;
    both.call::<DescribeConfigsRequest>("the root's level", 4, |_| {
        describe(BROKER_LOGGER, "1", Some(&["root"])).with_include_documentation(true)
    })
    .await;
    both.call::<DescribeConfigsRequest>("an unknown logger", 4, |_| {
        describe(BROKER_LOGGER, "1", Some(&["no.such"]))
    })
    .await;
    Ok(())
}

pub async fn refused_levels(both: &mut Both) -> anyhow::Result<()> {
    for (step, name, configs) in [
        (
            "an unknown logger",
            "1",
            &[("no.such", SET, Some("INFO"))][..],
        ),
        (
            "an unknown logger, put back",
            "1",
            &[("no.such", DELETE, None)],
        ),
        ("a logger without a name", "1", &[("", SET, Some("INFO"))]),
        ("an unknown level", "1", &[("root", SET, Some("LOUD"))]),
        (
            "a level in small letters",
            "1",
            &[("root", SET, Some("info"))],
        ),
        ("off", "1", &[("root", SET, Some("OFF"))]),
        ("no level", "1", &[("root", SET, Some(""))]),
        ("null", "1", &[("root", SET, None)]),
        ("the root, put back", "1", &[("root", DELETE, None)]),
        ("appended", "1", &[("root", APPEND, Some("INFO"))]),
        ("subtracted", "1", &[("root", SUBTRACT, Some("INFO"))]),
        ("an unknown operation", "1", &[("root", 9, Some("INFO"))]),
        ("another broker", "99", &[("root", SET, Some("INFO"))]),
        ("not a number", "one", &[("root", SET, Some("INFO"))]),
        ("all brokers", "", &[("root", SET, Some("INFO"))]),
    ] {
        for v in both.versions::<IncrementalAlterConfigsRequest>() {
            both.call::<IncrementalAlterConfigsRequest>(step, v, |_| {
                change(BROKER_LOGGER, name, configs)
            })
            .await;
        }
    }
    for name in ["", "one", "99"] {
        both.call::<DescribeConfigsRequest>("described, of no broker", 4, |_| {
            describe(BROKER_LOGGER, name, None)
        })
        .await;
    }
    both.call_in_each_version::<AlterConfigsRequest>("all at once", |_, _| {
        let config = alter::AlterableConfig::default()
            .with_name(s("root"))
            .with_value(Some(s("INFO")));
        AlterConfigsRequest::default().with_resources(vec![
            alter::AlterConfigsResource::default()
                .with_resource_type(BROKER_LOGGER)
                .with_resource_name(s("1"))
                .with_configs(vec![config]),
        ])
    })
    .await;
    Ok(())
}
