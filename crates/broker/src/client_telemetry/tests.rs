use std::collections::BTreeMap;
use std::path::PathBuf;

use ottla_codec::compression::compress;

use super::*;
use crate::settings::BrokerConfig;

const NOW: i64 = 1_700_000_000_000;

fn telemetry() -> ClientTelemetry {
    let settings = Settings::new(&BrokerConfig {
        data_dir: PathBuf::from("data"),
        values: BTreeMap::new(),
    })
    .expect("defaults are valid");
    ClientTelemetry::new(Arc::new(settings))
}

fn subscribe(telemetry: &ClientTelemetry, name: &str, settings: &[(&str, &str)]) {
    let own = settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    telemetry.settings.remember_client_metrics(name, own);
}

fn client(id: &str) -> Client {
    Client {
        id: id.to_owned(),
        software_name: Some("apache-kafka-java".to_owned()),
        software_version: None,
        peer: "10.0.0.7:4711".parse().expect("an address"),
        connection: 1,
    }
}

fn pushed(told: &Told, metrics: &[u8]) -> Push<'static> {
    Push {
        instance: told.instance,
        subscription_id: told.subscription_id,
        terminating: false,
        compression: 0,
        metrics: metrics.to_vec().leak(),
        max_bytes: 1000,
    }
}

#[test]
fn a_client_is_told_what_all_subscriptions_that_match_it_ask_for() {
    let telemetry = telemetry();
    let told = |id: &str| {
        telemetry
            .get(Uuid::new_v4(), client(id), NOW)
            .expect("is told")
    };
    assert!(told("app").metrics.is_empty());
    assert_eq!(told("app").interval_ms, DEFAULT_INTERVAL_MS);
    subscribe(
        &telemetry,
        "a",
        &[("metrics", "x.,y."), ("match", "client_id=app")],
    );
    subscribe(
        &telemetry,
        "b",
        &[("metrics", "z."), ("interval.ms", "1000")],
    );
    subscribe(
        &telemetry,
        "c",
        &[
            ("metrics", "*"),
            (
                "match",
                r"client_source_address=10\..*,client_id=all,client_software_name=apache-.*",
            ),
        ],
    );
    subscribe(
        &telemetry,
        "d",
        &[("metrics", "v."), ("match", "client_software_version=.*")],
    );
    assert_eq!(told("app").metrics, ["x.", "y.", "z."]);
    assert_eq!(told("app").interval_ms, 1000);
    assert_eq!(told("application").metrics, ["z."]);
    assert_eq!(told("all").metrics, ["*"]);
}

#[test]
fn an_id_is_given_once_and_the_subscription_id_follows_what_is_subscribed() {
    let telemetry = telemetry();
    let first = telemetry
        .get(Uuid::nil(), client("app"), NOW)
        .expect("is told");
    assert!(!first.instance.is_nil());
    let again = |now| telemetry.get(first.instance, client("app"), now);
    assert_eq!(again(NOW + 1), Err(ResponseError::ThrottlingQuotaExceeded));
    assert_eq!(again(NOW + i64::from(first.interval_ms)), Ok(first.clone()));
    // A change is told at once.
    subscribe(&telemetry, "a", &[("metrics", "x.")]);
    let changed = again(NOW + i64::from(first.interval_ms) + 1).expect("is told");
    assert_ne!(changed.subscription_id, first.subscription_id);
    assert_eq!(
        telemetry.push(pushed(&first, b""), client("app"), NOW + 400_000),
        Err(ResponseError::UnknownSubscriptionId)
    );
}

#[test]
fn pushes_come_once_in_an_interval_and_none_after_the_last() {
    let telemetry = telemetry();
    subscribe(
        &telemetry,
        "a",
        &[("metrics", "*"), ("interval.ms", "1000")],
    );
    let told = telemetry
        .get(Uuid::nil(), client("app"), NOW)
        .expect("is told");
    let push = |now, terminating| {
        let push = Push {
            terminating,
            ..pushed(&told, &otlp::tests::sum("a", 1.0))
        };
        telemetry.push(push, client("app"), now).map(|m| m.metrics)
    };
    assert_eq!(push(NOW + 1, false), Ok(1));
    assert_eq!(
        push(NOW + 500, false),
        Err(ResponseError::ThrottlingQuotaExceeded)
    );
    assert_eq!(push(NOW + 1001, false), Ok(1));
    assert_eq!(push(NOW + 1002, true), Ok(1));
    assert_eq!(push(NOW + 5000, false), Err(ResponseError::InvalidRequest));
    // A client of a connection that ended is a new one.
    telemetry.disconnected(1);
    assert_eq!(push(NOW + 6000, false), Ok(1));
}

#[test]
fn what_is_pushed_is_inflated_within_bounds_and_must_be_otlp() {
    let telemetry = telemetry();
    let told = telemetry
        .get(Uuid::nil(), client("app"), NOW)
        .expect("is told");
    let mut now = NOW;
    let mut push = |compression, metrics: &[u8]| {
        now += i64::from(told.interval_ms);
        let push = Push {
            compression,
            ..pushed(&told, metrics)
        };
        telemetry.push(push, client("app"), now).map(|m| m.points)
    };
    let sound = otlp::tests::sum("a", 1.0);
    for (id, codec) in [
        (0, Compression::None),
        (1, Compression::Gzip),
        (2, Compression::Snappy),
        (3, Compression::Lz4),
        (4, Compression::Zstd),
    ] {
        assert_eq!(push(id, &compress(codec, &sound)), Ok(1), "{codec:?}");
        if id > 0 {
            assert_eq!(
                push(id, b"not compressed"),
                Err(ResponseError::InvalidRecord)
            );
        }
    }
    assert_eq!(
        push(5, &sound),
        Err(ResponseError::UnsupportedCompressionType)
    );
    assert_eq!(
        push(-1, &sound),
        Err(ResponseError::UnsupportedCompressionType)
    );
    assert_eq!(push(0, b"hello"), Err(ResponseError::InvalidRecord));
    assert_eq!(push(0, &[0; 1001]), Err(ResponseError::TelemetryTooLarge));
    let bomb = compress(Compression::Zstd, &[0; 1 << 20]);
    assert_eq!(push(4, &bomb), Err(ResponseError::InvalidRecord));
    let nobody = Push {
        instance: Uuid::from_u128(1),
        ..pushed(&told, b"")
    };
    assert_eq!(
        telemetry.push(nobody, client("app"), NOW),
        Err(ResponseError::InvalidRequest)
    );
}

#[test]
fn more_clients_than_are_remembered_push_out_the_oldest() {
    let telemetry = telemetry();
    for n in 0..=MAX_INSTANCES {
        let told = telemetry.get(Uuid::nil(), client("app"), NOW + n as i64);
        assert!(told.is_ok());
    }
    assert_eq!(telemetry.state.lock().instances.len(), MAX_INSTANCES);
    assert!(
        telemetry
            .state
            .lock()
            .instances
            .values()
            .all(|i| i.last_heard_ms > NOW)
    );
}

#[test]
fn ids_are_written_as_kafka_writes_them() {
    for (id, text) in [
        (
            "00000000-0000-0000-0000-000000000001",
            "AAAAAAAAAAAAAAAAAAAAAQ",
        ),
        (
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "_____________________w",
        ),
        (
            "12345678-9abc-def0-1234-56789abcdef0",
            "EjRWeJq83vASNFZ4mrze8A",
        ),
    ] {
        assert_eq!(kafka_text(id.parse().expect("an id")), text);
    }
}
