//! `advertised.listeners` set while the broker runs, as tools do that learn their port when the container is up.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeMap;

use ottla_broker::Broker;
use ottla_broker::settings::BrokerConfig;
use ottla_client::Connection;
use ottla_codec::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use ottla_codec::messages::{IncrementalAlterConfigsRequest, MetadataRequest};
use ottla_codec::{ResponseError, StrBytes};
use support::*;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;

/// Changes the setting of a broker; an empty `id` stands for the defaults of all. The error code.
async fn change(connection: &mut Connection, id: &'static str, operation: i8, value: &str) -> i16 {
    let config = AlterableConfig::default()
        .with_name(StrBytes::from_static_str("advertised.listeners"))
        .with_config_operation(operation)
        .with_value(Some(StrBytes::from_string(value.to_owned())));
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![
        AlterConfigsResource::default()
            .with_resource_type(4)
            .with_resource_name(StrBytes::from_static_str(id))
            .with_configs(vec![config]),
    ]);
    let answer = connection.call(1, &request).await.unwrap();
    answer.responses[0].error_code
}

/// What a client of the connection's listener is told.
async fn told(connection: &mut Connection) -> String {
    let answer = connection
        .call(9, &MetadataRequest::default().with_topics(None))
        .await
        .unwrap();
    let broker = &answer.brokers[0];
    format!("{}:{}", &*broker.host, broker.port)
}

#[tokio::test]
async fn an_advertised_address_can_be_changed_while_the_broker_runs_and_outlasts_a_restart() {
    let running = start(&[("node.id", "1")]).await;
    let mut connection = running.connect().await;
    let before = told(&mut connection).await;
    assert_eq!(before, running.address());

    let set = change(
        &mut connection,
        "1",
        SET,
        "PLAINTEXT://mapped.example:32768",
    )
    .await;
    assert_eq!(set, 0);
    assert_eq!(told(&mut connection).await, "mapped.example:32768");
    assert_eq!(
        running.broker.advertised(),
        [("PLAINTEXT".to_owned(), "mapped.example:32768".to_owned())]
    );

    running.broker.shutdown().await.unwrap();
    let values: BTreeMap<String, String> =
        [("node.id", "1"), ("listeners", "PLAINTEXT://127.0.0.1:0")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    let config = BrokerConfig {
        data_dir: running.dir.path().to_path_buf(),
        values,
    };
    let again = Broker::start(config).await.unwrap();
    let address = again.listeners()[0].1.to_string();
    let mut connection = Connection::connect(address.clone()).await.unwrap();
    assert_eq!(told(&mut connection).await, "mapped.example:32768");

    assert_eq!(change(&mut connection, "1", DELETE, "").await, 0);
    assert_eq!(told(&mut connection).await, address);
}

#[tokio::test]
async fn a_change_that_no_client_could_follow_is_refused() {
    let running = start(&[("node.id", "1")]).await;
    let mut connection = running.connect().await;
    for (id, operation, value) in [
        ("1", SET, "PLAINTEXT"),
        ("1", SET, "OTHER://host:1"),
        ("1", SET, "PLAINTEXT://0.0.0.0:1"),
        ("1", APPEND, "PLAINTEXT://host:1"),
        ("", SET, "PLAINTEXT://host:1"),
    ] {
        let code = change(&mut connection, id, operation, value).await;
        assert_eq!(code, ResponseError::InvalidRequest.code(), "{id:?} {value}");
    }
    assert_eq!(told(&mut connection).await, running.address());
}
