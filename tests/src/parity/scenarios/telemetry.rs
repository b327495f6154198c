//! Client metrics: subscriptions, and what clients are told of them (KIP-714).

use bytes::Bytes;
use kafka_protocol::messages::alter_configs_request as alter;
use kafka_protocol::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, GetTelemetrySubscriptionsRequest,
    IncrementalAlterConfigsRequest, ListConfigResourcesRequest, PushTelemetryRequest,
};
use ottla_codec::compression::{Compression, compress};
use uuid::Uuid;

use super::configs::{APPEND, CLIENT_METRICS, DELETE, SET, SUBTRACT, change, describe};
use crate::parity::both::Both;
use crate::parity::words::s;

pub async fn client_metrics(both: &mut Both) -> anyhow::Result<()> {
    // In this order: a subscription that changes lets every client ask anew.
    pushes(both).await?;
    refused_pushes(both).await?;
    subscriptions(both).await?;
    refused_subscriptions(both).await
}

async fn subscriptions(both: &mut Both) -> anyhow::Result<()> {
    let name = both.name("subscription");
    let v = both.latest::<IncrementalAlterConfigsRequest>();
    // Of no client that any test has.
    let nobody = ("match", SET, Some("client_id=nobody, client_source_port=1"));
    for (step, configs) in [
        ("made", &[("metrics", SET, Some(" a. , b.")), nobody][..]),
        ("its interval set", &[("interval.ms", SET, Some("1000"))]),
        ("appended", &[("metrics", APPEND, Some("c."))]),
        ("subtracted", &[("metrics", SUBTRACT, Some("a."))]),
        ("its interval put back", &[("interval.ms", DELETE, None)]),
    ] {
        both.call::<IncrementalAlterConfigsRequest>(step, v, |_| {
            change(CLIENT_METRICS, &name, configs)
        })
        .await;
        both.eventually::<DescribeConfigsRequest>(step, 4, |_| {
            describe(CLIENT_METRICS, &name, None)
        })
        .await;
    }
    both.call_in_each_version::<DescribeConfigsRequest>("described", |_, _| {
        describe(CLIENT_METRICS, &name, None)
    })
    .await;
    both.call_in_each_version::<ListConfigResourcesRequest>("listed", |_, v| {
        let request = ListConfigResourcesRequest::default();
        match v {
            0 => request,
            _ => request.with_resource_types(vec![CLIENT_METRICS]),
        }
    })
    .await;
    both.call::<AlterConfigsRequest>("replaced", 2, |_| {
        let config = |name, value| {
            alter::AlterableConfig::default()
                .with_name(s(name))
                .with_value(Some(s(value)))
        };
        AlterConfigsRequest::default().with_resources(vec![
            alter::AlterConfigsResource::default()
                .with_resource_type(CLIENT_METRICS)
                .with_resource_name(s(&name))
                .with_configs(vec![
                    config("metrics", "*"),
                    config("match", "client_id=nobody"),
                ]),
        ])
    })
    .await;
    both.eventually::<DescribeConfigsRequest>("replaced", 4, |_| {
        describe(CLIENT_METRICS, &name, None)
    })
    .await;
    both.call::<IncrementalAlterConfigsRequest>("deleted", v, |_| {
        let gone = [("metrics", DELETE, None), ("match", DELETE, None)];
        change(CLIENT_METRICS, &name, &gone)
    })
    .await;
    both.eventually::<DescribeConfigsRequest>("deleted", 4, |_| {
        describe(CLIENT_METRICS, &name, None)
    })
    .await;
    Ok(())
}

async fn refused_subscriptions(both: &mut Both) -> anyhow::Result<()> {
    let name = both.name("subscription");
    for (step, name, configs) in [
        (
            "an interval too short",
            name.as_str(),
            &[("interval.ms", SET, Some("99"))][..],
        ),
        (
            "an interval too long",
            &name,
            &[("interval.ms", SET, Some("3600001"))],
        ),
        (
            "an interval that is none",
            &name,
            &[("interval.ms", SET, Some("soon"))],
        ),
        ("an unknown setting", &name, &[("no.such", SET, Some("1"))]),
        (
            "a pattern without an attribute",
            &name,
            &[("match", SET, Some("x"))],
        ),
        (
            "a pattern of an unknown attribute",
            &name,
            &[("match", SET, Some("rack=a"))],
        ),
        (
            "a pattern that is none",
            &name,
            &[("match", SET, Some("client_id=("))],
        ),
        (
            "a pattern of nothing",
            &name,
            &[("match", SET, Some("client_id="))],
        ),
        (
            "a pattern with two signs",
            &name,
            &[("match", SET, Some("client_id=a=b"))],
        ),
        (
            "append to a number",
            &name,
            &[("interval.ms", APPEND, Some("1"))],
        ),
        ("null", &name, &[("metrics", SET, None)]),
        ("without a name", "", &[("metrics", SET, Some("*"))]),
    ] {
        for v in both.versions::<IncrementalAlterConfigsRequest>() {
            both.call::<IncrementalAlterConfigsRequest>(step, v, |_| {
                change(CLIENT_METRICS, name, configs)
            })
            .await;
        }
    }
    both.call::<DescribeConfigsRequest>("described, without a name", 4, |_| {
        describe(CLIENT_METRICS, "", None)
    })
    .await;
    Ok(())
}

async fn told(both: &mut Both, step: &str, id: Uuid) {
    let told = both
        .call::<GetTelemetrySubscriptionsRequest>(step, 0, |_| {
            GetTelemetrySubscriptionsRequest::default().with_client_instance_id(id)
        })
        .await;
    both.keep(&told, |side, told| {
        if told.error_code == 0 {
            side.keep("subscription", told.subscription_id);
        }
    });
}

async fn push(
    both: &mut Both,
    step: &str,
    change: impl Fn(PushTelemetryRequest) -> PushTelemetryRequest + Send + Sync,
) {
    both.call::<PushTelemetryRequest>(step, 0, |side| {
        change(
            PushTelemetryRequest::default()
                .with_subscription_id(side.number("subscription"))
                .with_metrics(one_metric()),
        )
    })
    .await;
}

/// OTLP: a gauge `m` without a point.
fn one_metric() -> Bytes {
    let metric = [0x0a, 1, b'm', 0x2a, 0];
    let scope = [&[0x12, metric.len() as u8][..], &metric].concat();
    let resource = [&[0x12, scope.len() as u8][..], &scope].concat();
    [&[0x0a, resource.len() as u8][..], &resource]
        .concat()
        .into()
}

async fn pushes(both: &mut Both) -> anyhow::Result<()> {
    let id = Uuid::new_v4();
    told(both, "without an id", Uuid::nil()).await;
    told(both, "with an id", id).await;
    told(both, "again before the interval is over", id).await;
    push(both, "the first", |push| push.with_client_instance_id(id)).await;
    push(both, "the second, before the interval is over", |push| {
        push.with_client_instance_id(id)
    })
    .await;
    told(both, "after a push", id).await;
    push(both, "the last", |push| {
        push.with_client_instance_id(id).with_terminating(true)
    })
    .await;
    for terminating in [true, false] {
        push(both, "after the last", |push| {
            push.with_client_instance_id(id)
                .with_terminating(terminating)
        })
        .await;
    }
    for (codec, number) in [
        (Compression::Gzip, 1),
        (Compression::Snappy, 2),
        (Compression::Lz4, 3),
        (Compression::Zstd, 4),
    ] {
        let id = Uuid::new_v4();
        told(both, "a client that compresses", id).await;
        push(both, "compressed", |push| {
            push.with_client_instance_id(id)
                .with_compression_type(number)
                .with_metrics(compress(codec, &one_metric()).into())
        })
        .await;
    }
    let id = Uuid::new_v4();
    told(both, "a client that measured nothing", id).await;
    push(both, "nothing", |push| {
        push.with_client_instance_id(id).with_metrics(Bytes::new())
    })
    .await;
    Ok(())
}

async fn refused_pushes(both: &mut Both) -> anyhow::Result<()> {
    for id in [Uuid::nil(), Uuid::from_u128(1)] {
        push(both, "of an id with a meaning of its own", |push| {
            push.with_client_instance_id(id)
        })
        .await;
    }
    push(both, "without having asked", |push| {
        push.with_client_instance_id(Uuid::new_v4())
            .with_subscription_id(7)
    })
    .await;
    for (step, number, metrics) in [
        ("of an unknown codec", 9, one_metric()),
        ("of a negative codec", -1, one_metric()),
        (
            "that cannot be inflated, gzip",
            1,
            Bytes::from_static(b"garbage"),
        ),
        (
            "that cannot be inflated, snappy",
            2,
            Bytes::from_static(b"garbage"),
        ),
        (
            "that cannot be inflated, lz4",
            3,
            Bytes::from_static(b"garbage"),
        ),
        (
            "that cannot be inflated, zstd",
            4,
            Bytes::from_static(b"garbage"),
        ),
        ("that is not OTLP", 0, Bytes::from_static(b"garbage")),
        ("that is too large", 0, Bytes::from(vec![0; 1048577])),
    ] {
        let id = Uuid::new_v4();
        told(both, "a client that pushes what it must not", id).await;
        push(both, step, |push| {
            push.with_client_instance_id(id)
                .with_compression_type(number)
                .with_metrics(metrics.clone())
        })
        .await;
        told(both, "after a refused push", id).await;
        push(both, "anew", |push| push.with_client_instance_id(id)).await;
        told(both, "after another push", id).await;
    }
    let id = Uuid::new_v4();
    told(both, "a client with an old subscription", id).await;
    push(both, "of another subscription", |push| {
        let other = push.subscription_id.wrapping_add(1);
        push.with_client_instance_id(id).with_subscription_id(other)
    })
    .await;
    told(both, "after a push of another subscription", id).await;
    Ok(())
}
