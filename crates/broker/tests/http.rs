//! HTTP: on its own port and on Kafka's, who may ask, and how it ends.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::Duration;

use ottla_codec::messages::ApiVersionsRequest;
use support::http::{ask, get, parse};
use support::start;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn http_of(running: &support::Running) -> String {
    running.broker.http_address().unwrap().to_string()
}

#[tokio::test]
async fn one_router_answers_on_the_http_port_and_on_the_kafka_port() {
    let running = start(&[]).await;
    for address in [http_of(&running), running.address()] {
        for path in ["/healthz", "/readyz"] {
            let answer = get(&address, path).await;
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            assert_eq!(answer.json()["status"], "ok");
        }
        let nothing = get(&address, "/no/such").await;
        assert_eq!(
            (nothing.status, nothing.code().as_str()),
            (404, "no_such_route")
        );
        let wrong = ask(&address, "DELETE", "/healthz", &[], "").await;
        assert_eq!(
            (wrong.status, wrong.code().as_str()),
            (405, "no_such_method")
        );
    }
    // The HTTP port speaks HTTP alone; Kafka's port both, at once.
    let mut kafka = running.connect().await;
    kafka.call(3, &ApiVersionsRequest::default()).await.unwrap();
    running.broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_request_that_arrives_byte_by_byte_is_recognised_and_several_share_a_connection() {
    let running = start(&[]).await;
    let mut stream = TcpStream::connect(running.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for _ in 0..2 {
        for byte in b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" {
            stream.write_all(&[*byte]).await.unwrap();
        }
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
        }
        assert_eq!(parse(&answer).status, 200);
    }
}

#[tokio::test]
async fn after_a_request_of_kafka_there_is_no_http_on_that_connection() {
    let running = start(&[]).await;
    let mut stream = TcpStream::connect(running.address()).await.unwrap();
    // ApiVersions v0, correlation id 7, no client id.
    let request = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
    stream.write_all(&request).await.unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).await.unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let mut rest = Vec::new();
    // Closed, by a reset if our bytes were not read.
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn off_means_off_on_both_ports() {
    let running = start(&[("http.port", "off")]).await;
    assert_eq!(running.broker.http_address(), None);
    let mut stream = TcpStream::connect(running.address()).await.unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn pages_of_other_sites_and_names_of_others_are_refused() {
    let running = start(&[("http.allowed.hosts", "broker.example, b.example")]).await;
    let address = http_of(&running);
    let ask = async |headers: &[(&str, &str)]| ask(&address, "GET", "/healthz", headers, "").await;
    let origin = ask(&[("Origin", "https://evil.example")]).await;
    assert_eq!((origin.status, origin.code().as_str()), (403, "origin"));
    let host = ask(&[("Host", "evil.example")]).await;
    assert_eq!((host.status, host.code().as_str()), (403, "host"));
    assert!(host.body.contains("http.allowed.hosts"), "{host:?}");
    assert_eq!(ask(&[("Host", "b.example:9644")]).await.status, 200);
}

#[tokio::test]
async fn connections_of_http_count_against_the_limits_and_end_with_the_broker() {
    let running = start(&[("max.connections", "1")]).await;
    let mut first = TcpStream::connect(http_of(&running)).await.unwrap();
    first
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        first.read_buf(&mut answer).await.unwrap();
    }
    for address in [http_of(&running), running.address()] {
        let mut second = TcpStream::connect(address).await.unwrap();
        let refused = second.read(&mut [0; 1]).await;
        assert!(matches!(refused, Ok(0) | Err(_)), "{refused:?}");
    }
    let stopped = tokio::time::timeout(Duration::from_secs(30), running.broker.shutdown());
    stopped.await.unwrap().unwrap();
    assert_eq!(first.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_port_that_was_asked_for_and_is_taken_stops_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let dir = tempfile::tempdir().unwrap();
    let config = ottla_broker::settings::BrokerConfig {
        data_dir: dir.path().join("data"),
        values: [
            ("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0".to_owned()),
            ("http.port".to_owned(), port.clone()),
        ]
        .into(),
    };
    let error = match ottla_broker::Broker::start(config).await {
        Err(error) => error.to_string(),
        Ok(_) => panic!("the port was taken"),
    };
    assert!(
        error.contains(&port) && error.contains("--http-port"),
        "{error}"
    );
    assert!(!dir.path().join("data").exists());
}
