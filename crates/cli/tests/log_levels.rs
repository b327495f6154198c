//! The levels of a running broker's log, changed by a client.
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use ottla_client::{Connection, ConnectionOptions};
use ottla_codec::StrBytes;
use ottla_codec::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use ottla_codec::messages::{IncrementalAlterConfigsRequest, MetadataRequest};
use support::Served;

async fn connect(address: &str, client_id: &str) -> Connection {
    let options = ConnectionOptions {
        client_id: client_id.to_owned(),
        ..ConnectionOptions::default()
    };
    Connection::connect_with(address.to_owned(), options)
        .await
        .unwrap()
}

async fn set(connection: &mut Connection, level: &'static str) {
    let config = AlterableConfig::default()
        .with_name(StrBytes::from_static_str("ottla_broker.request"))
        .with_value(Some(StrBytes::from_static_str(level)));
    let resource = AlterConfigsResource::default()
        .with_resource_type(8)
        .with_resource_name(StrBytes::from_static_str("1"))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let answer = connection.call(1, &request).await.unwrap();
    assert_eq!(answer.responses[0].error_code, 0, "{answer:?}");
}

#[tokio::test]
async fn a_level_that_a_client_sets_is_in_force_at_once() {
    let data = tempfile::tempdir().unwrap();
    let mut served = Served::start(data.path());
    let mut admin = connect(&served.address, "admin").await;
    let metadata = MetadataRequest::default();
    let mut unseen = connect(&served.address, "unseen").await;
    unseen.call(9, &metadata).await.unwrap();
    set(&mut admin, "DEBUG").await;
    let mut seen = connect(&served.address, "seen").await;
    seen.call(9, &metadata).await.unwrap();
    let line = served.wait_for("client=seen");
    assert!(line.contains("DEBUG ottla_broker::request"), "{line}");
    // The level is back before the next request is read, since the answer is sent after it is.
    set(&mut admin, "INFO").await;
    unseen.call(9, &metadata).await.unwrap();
    set(&mut admin, "DEBUG").await;
    let mut last = connect(&served.address, "last").await;
    last.call(9, &metadata).await.unwrap();
    served.wait_for("client=last");
    let (_, told) = served.stop();
    assert!(!told.contains("client=unseen"), "{told}");
}
