//! What a connection does with good and bad bytes.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::{Duration, Instant};

use ottla_codec::ResponseError;
use ottla_codec::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_codec::messages::{
    ApiVersionsRequest, FetchRequest, ListOffsetsRequest, MetadataRequest, ProduceRequest,
};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Waits for the end of the stream, however it comes.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest))
        .await
        .is_ok()
}

async fn raw(running: &Running) -> TcpStream {
    TcpStream::connect(running.address()).await.unwrap()
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as i32).to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

/// The fixed part of a header: key, version, correlation id 7, no client id.
fn header(key: i16, version: i16) -> Vec<u8> {
    let mut bytes = key.to_be_bytes().to_vec();
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes.extend_from_slice(&7i32.to_be_bytes());
    bytes.extend_from_slice(&(-1i16).to_be_bytes());
    bytes
}

#[tokio::test]
async fn what_cannot_be_understood_closes_that_connection_alone() {
    let running = start(&[]).await;
    let mut good = running.connect().await;
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("negative length", (-1i32).to_be_bytes().to_vec()),
        ("huge length", i32::MAX.to_be_bytes().to_vec()),
        ("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03".to_vec()),
        ("cut header", frame(&[0, 3])),
        ("unknown api", frame(&header(999, 0))),
        ("unsupported version", frame(&header(3, 99))),
        ("cut body", frame(&header(3, 1))),
        ("hostile count", {
            let mut body = header(3, 1);
            body.extend_from_slice(&i32::MAX.to_be_bytes());
            frame(&body)
        }),
    ];
    for (what, bytes) in bad {
        let mut stream = raw(&running).await;
        stream.write_all(&bytes).await.unwrap();
        assert!(is_closed(&mut stream).await, "{what}");
    }
    let request = MetadataRequest::default().with_topics(Some(vec![]));
    assert_eq!(good.call(9, &request).await.unwrap().brokers.len(), 1);
}

#[tokio::test]
async fn a_version_of_api_versions_that_is_too_new_is_answered_in_version_0() {
    let running = start(&[]).await;
    let mut stream = raw(&running).await;
    stream.write_all(&frame(&header(18, 99))).await.unwrap();
    // Length, correlation id, error 35, one row: key 18, versions 0 to 4.
    let mut answer = [0; 4 + 4 + 2 + 4 + 6];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[4..8], 7i32.to_be_bytes());
    assert_eq!(answer[8..10], 35i16.to_be_bytes());
    assert_eq!(answer[10..], [0, 0, 0, 1, 0, 18, 0, 0, 0, 4]);
    // The connection lives on.
    stream.write_all(&frame(&header(18, 0))).await.unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.unwrap();
    assert!(i32::from_be_bytes(length) > 100);
}

#[tokio::test]
async fn a_produce_in_a_removed_version_is_answered_and_the_connection_lives_on() {
    let running = start(&[]).await;
    let mut stream = raw(&running).await;
    let mut body = header(0, 0);
    body.extend_from_slice(&[0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1]);
    body.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0]);
    stream.write_all(&frame(&body)).await.unwrap();
    let mut answer = [0; 8 + 4 + 3 + 4 + 14];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[23..25], 35i16.to_be_bytes());
    stream.write_all(&frame(&header(18, 0))).await.unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.unwrap();
}

#[tokio::test]
async fn a_request_may_arrive_byte_by_byte() {
    let running = start(&[]).await;
    let mut stream = raw(&running).await;
    stream.set_nodelay(true).unwrap();
    for byte in frame(&header(18, 0)) {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.unwrap();
    assert!(i32::from_be_bytes(length) > 100);
}

#[tokio::test]
async fn a_produce_begins_while_requests_before_it_wait_and_replies_leave_in_order() {
    let running = start(&[]).await;
    let mut setup = running.connect().await;
    create(&mut setup, "t").await;
    let mut pipelined = running.connect().await;
    // The fetch waits for data, which the produce behind it on the same connection brings.
    let begun = Instant::now();
    pipelined
        .send(11, &fetch_request("t", 0, Duration::from_secs(60)))
        .await
        .unwrap();
    pipelined
        .send(9, &produce_request("t", -1, batch(&["a"])))
        .await
        .unwrap();
    pipelined
        .send(3, &ApiVersionsRequest::default())
        .await
        .unwrap();
    let fetched = pipelined.receive::<FetchRequest>(11).await.unwrap();
    let records = fetched.responses[0].partitions[0].records.as_ref().unwrap();
    assert!(!records.is_empty());
    let answer = pipelined.receive::<ProduceRequest>(9).await.unwrap();
    assert_eq!(produced(&answer), (0, 0));
    pipelined.receive::<ApiVersionsRequest>(3).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn what_is_asked_behind_a_waiting_fetch_is_not_older_than_its_answer() {
    let running = start(&[]).await;
    let mut other = running.connect().await;
    create(&mut other, "t").await;
    let mut pipelined = running.connect().await;
    let fetch = fetch_request("t", 0, Duration::from_secs(60));
    pipelined.send(11, &fetch).await.unwrap();
    let end = ListOffsetsTopic::default()
        .with_name(name("t"))
        .with_partitions(vec![ListOffsetsPartition::default().with_timestamp(-1)]);
    let ask = ListOffsetsRequest::default()
        .with_isolation_level(1)
        .with_topics(vec![end]);
    pipelined.send(5, &ask).await.unwrap();
    let answer = other
        .call(9, &produce_request("t", -1, batch(&["a"])))
        .await
        .unwrap();
    assert_eq!(produced(&answer), (0, 0));
    pipelined.receive::<FetchRequest>(11).await.unwrap();
    let end = pipelined.receive::<ListOffsetsRequest>(5).await.unwrap();
    assert_eq!(end.topics[0].partitions[0].offset, 1);
}

#[tokio::test]
async fn acks_0_is_not_answered_and_an_error_closes_the_connection() {
    let running = start(&[]).await;
    let mut connection = running.connect().await;
    create(&mut connection, "t").await;
    connection
        .send_unanswered(9, &produce_request("t", 0, batch(&["a"])))
        .await
        .unwrap();
    let answer = connection
        .call(9, &produce_request("t", 1, batch(&["b"])))
        .await
        .unwrap();
    assert_eq!(produced(&answer), (0, 1));
    connection
        .send_unanswered(9, &produce_request("unknown", 0, batch(&["a"])))
        .await
        .unwrap();
    assert!(connection.read_frame().await.is_err());
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_after_its_idle_time() {
    let running = start(&[("connections.max.idle.ms", "100")]).await;
    let mut stream = raw(&running).await;
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed() {
    let running = start(&[("max.connections.per.ip", "1")]).await;
    let mut first = running.connect().await;
    first.call(3, &ApiVersionsRequest::default()).await.unwrap();
    let mut second = raw(&running).await;
    assert!(is_closed(&mut second).await);
    first.call(3, &ApiVersionsRequest::default()).await.unwrap();
}

#[tokio::test]
async fn a_bad_batch_is_refused_and_its_neighbours_are_kept() {
    let running = start(&[]).await;
    let mut connection = running.connect().await;
    create(&mut connection, "t").await;
    let mut flipped = batch(&["a"]).to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    let mut request = produce_request("t", -1, flipped.into());
    request
        .topic_data
        .push(produce_request("t", -1, batch(&["b"])).topic_data.remove(0));
    request.topic_data.push(
        produce_request("unknown", -1, batch(&["c"]))
            .topic_data
            .remove(0),
    );
    let answer = connection.call(9, &request).await.unwrap();
    let errors: Vec<i16> = answer
        .responses
        .iter()
        .map(|t| t.partition_responses[0].error_code)
        .collect();
    assert_eq!(
        errors,
        [
            ResponseError::CorruptMessage.code(),
            0,
            ResponseError::UnknownTopicOrPartition.code()
        ]
    );
}

#[tokio::test]
async fn a_stop_ends_waiting_fetches_at_once_and_answers_them() {
    let running = start(&[]).await;
    let mut connection = running.connect().await;
    create(&mut connection, "t").await;
    connection
        .send(11, &fetch_request("t", 0, Duration::from_secs(60)))
        .await
        .unwrap();
    // Answered in order on one thread of the runtime: by now the fetch is waiting.
    let mut other = running.connect().await;
    other.call(3, &ApiVersionsRequest::default()).await.unwrap();
    let begun = Instant::now();
    running.broker.shutdown().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2));
    // Its answer, or the end of a connection that had not been read yet; never a wait.
    let _ = tokio::time::timeout(Duration::from_secs(2), connection.read_frame())
        .await
        .unwrap();
}

#[tokio::test]
async fn who_does_not_read_answers_is_not_read_from_and_nobody_else_suffers() {
    let running = start(&[]).await;
    let mut stream = raw(&running).await;
    // Each request asks for an answer many times its size; none of them is read.
    let many = frame(&header(18, 0)).repeat(4096);
    let mut sent = 0usize;
    while sent < (1 << 30) {
        let write = tokio::time::timeout(Duration::from_millis(500), stream.write_all(&many));
        match write.await {
            Ok(written) => written.unwrap(),
            Err(_) => break,
        }
        sent += many.len();
    }
    assert!(sent < (1 << 30), "the broker took a gigabyte of requests");
    let mut other = running.connect().await;
    other.call(3, &ApiVersionsRequest::default()).await.unwrap();
}
