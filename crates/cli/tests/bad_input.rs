//! What peers may send to a broker, as a process of its own: each is refused with a reason, nobody else notices, what was
//! acknowledged stays.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use ottla_client::kafka_protocol::ResponseError;
use ottla_client::kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use ottla_client::kafka_protocol::messages::create_topics_request::CreatableTopic;
use ottla_client::kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use ottla_client::kafka_protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsTopic,
};
use ottla_client::kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_client::kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, GroupId,
    ListOffsetsRequest, OffsetCommitRequest,
};
use ottla_codec::compression::{Compression, compress};
use support::wire::*;
use support::{PATIENCE, Served};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Waits for the end of the stream, however it comes.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // Closing with bytes unread resets, which is an end as well.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .expect("the broker closes the connection");
}

#[tokio::test]
async fn what_is_no_request_closes_its_connection_alone_and_is_told_with_peer_and_reason() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = Served::start(dir.path());
    let mut good = broker.connect().await;
    assert_eq!(auto_create(&mut good, "t").await, 0);
    let with_count = |count: i32| {
        let mut body = header(3, 1);
        body.extend_from_slice(&count.to_be_bytes());
        frame(&body)
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        ((-1i32).to_be_bytes().to_vec(), "negative"),
        (i32::MAX.to_be_bytes().to_vec(), "socket.request.max.bytes"),
        (b"SSH-2.0-x\r\n".to_vec(), "socket.request.max.bytes"),
        (
            vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3],
            "socket.request.max.bytes",
        ),
        (frame(&[]), "closing connection"),
        (frame(&[0, 3]), "closing connection"),
        (frame(&header(999, 0)), "unknown API key 999"),
        (frame(&header(-1, 0)), "unknown API key -1"),
        (frame(&header(3, 99)), "Metadata version 99"),
        (frame(&header(3, -1)), "Metadata version -1"),
        (frame(&header(3, 1)), "Metadata"),
        (with_count(i32::MAX), "Metadata"),
        (with_count(-2), "Metadata"),
    ];
    for (bytes, reason) in cases {
        let mut stream = TcpStream::connect(&*broker.address).await.unwrap();
        let peer = stream.local_addr().unwrap().to_string();
        stream.write_all(&bytes).await.unwrap();
        closed(&mut stream).await;
        let line = broker.wait_for(&peer);
        assert!(line.contains(reason), "{reason}: {line}");
    }
    // Half a request, and then nothing more: no line, and nothing that stays.
    let mut stream = TcpStream::connect(&*broker.address).await.unwrap();
    stream.write_all(&frame(&header(3, 1))[..7]).await.unwrap();
    drop(stream);
    assert_eq!(
        produce(&mut good, "t", batch(&[b"v".to_vec()])).await,
        (0, 0)
    );
    assert_eq!(broker.stop().0, Some(0));
}

/// Batches that are not what they say, by what is wrong.
fn lying_batches() -> Vec<(String, Vec<u8>)> {
    let sound = batch(&[b"first".to_vec(), b"second".to_vec()]);
    let changed = |at: usize, bytes: &[u8]| {
        let mut batch = sound.clone();
        batch[at..at + bytes.len()].copy_from_slice(bytes);
        batch
    };
    let mut flipped = sound.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut cases: Vec<(String, Vec<u8>)> = [
        ("bad CRC", flipped),
        ("nothing", Vec::new()),
        ("half", sound[..sound.len() / 2].to_vec()),
        ("half a header", sound[..30].to_vec()),
        (
            "a length beyond the bytes",
            changed(8, &i32::MAX.to_be_bytes()),
        ),
        ("a negative length", changed(8, &(-1i32).to_be_bytes())),
        ("a length below a header", changed(8, &10i32.to_be_bytes())),
        ("magic 0", sealed(changed(16, &[0]))),
        ("magic 1", sealed(changed(16, &[1]))),
        ("magic 3", sealed(changed(16, &[3]))),
        ("codec 5", sealed(changed(21, &[0, 5]))),
        ("codec 7", sealed(changed(21, &[0, 7]))),
        ("control", sealed(changed(21, &[0, 0x20]))),
        (
            "negative last offset delta",
            sealed(changed(23, &(-1i32).to_be_bytes())),
        ),
        (
            "least last offset delta",
            sealed(changed(23, &i32::MIN.to_be_bytes())),
        ),
        (
            "huge last offset delta",
            sealed(changed(23, &i32::MAX.to_be_bytes())),
        ),
        ("no records", sealed(changed(57, &0i32.to_be_bytes()))),
        ("fewer records", sealed(changed(57, &1i32.to_be_bytes()))),
        ("more records", sealed(changed(57, &3i32.to_be_bytes()))),
        ("huge count", sealed(changed(57, &i32::MAX.to_be_bytes()))),
        (
            "negative count",
            sealed(changed(57, &(-1i32).to_be_bytes())),
        ),
        ("both count and delta huge", {
            let mut batch = changed(57, &i32::MAX.to_be_bytes());
            batch[23..27].copy_from_slice(&(i32::MAX - 1).to_be_bytes());
            sealed(batch)
        }),
        ("negative record length", sealed(changed(61, &[1]))),
        ("record longer than the batch", sealed(changed(61, &[0x7e]))),
        ("record length without end", sealed(changed(61, &[0xff; 6]))),
        ("negative offset delta", sealed(changed(64, &[1]))),
        ("same offset delta", sealed(changed(64, &[2]))),
        (
            "a record cut off",
            sealed(sound[..sound.len() - 3].to_vec()),
        ),
        (
            "bytes behind the records",
            sealed([&sound[..], b"xyz"].concat()),
        ),
        ("two batches", [&sound[..], &sound[..]].concat()),
    ]
    .map(|(what, batch)| (what.to_owned(), batch))
    .into();
    for codec in 1..=4 {
        let marked = changed(21, &[0, codec]);
        cases.push((
            format!("codec {codec} over plain records"),
            sealed(marked.clone()),
        ));
        cases.push((
            format!("codec {codec} over nothing"),
            sealed(marked[..61].to_vec()),
        ));
        let noise: Vec<u8> = (0..2000u32).map(|i| (i * i % 251) as u8).collect();
        let mut noisy = marked[..61].to_vec();
        noisy.extend_from_slice(&noise);
        cases.push((format!("codec {codec} over noise"), sealed(noisy)));
        let packed = compress(codec_of(codec), &sound[61..]);
        let mut cut = marked[..61].to_vec();
        cut.extend_from_slice(&packed[..packed.len() - 4]);
        cases.push((format!("codec {codec}, cut off"), sealed(cut)));
    }
    cases
}

fn codec_of(number: u8) -> Compression {
    match number {
        1 => Compression::Gzip,
        2 => Compression::Snappy,
        3 => Compression::Lz4,
        _ => Compression::Zstd,
    }
}

#[tokio::test]
async fn a_batch_that_lies_is_refused_and_what_was_kept_stays() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    let mut connection = broker.connect().await;
    assert_eq!(auto_create(&mut connection, "t").await, 0);
    let good = batch(&[b"kept".to_vec()]);
    for (offset, (what, bad)) in lying_batches().into_iter().enumerate() {
        let (error, base) = produce(&mut connection, "t", bad).await;
        assert_ne!(error, 0, "{what}");
        assert_eq!(base, -1, "{what}");
        // The refusal took no offset, and the connection lives on.
        let kept = produce(&mut connection, "t", good.clone()).await;
        assert_eq!(kept, (0, offset as i64), "{what}");
    }
    let count = lying_batches().len();
    let read = broker.ok(&["consume", "t", "-e"]);
    assert_eq!(read, "kept\n".repeat(count));
    broker.kill();
    let broker = Served::start(dir.path());
    assert_eq!(broker.ok(&["consume", "t", "-e"]), "kept\n".repeat(count));
    assert_eq!(broker.stop().0, Some(0));
}

/// A sound batch of one record, `size` zeros.
fn zeros(codec: u8, size: usize) -> Vec<u8> {
    let packed = compress(codec_of(codec), &body_of_zeros(size));
    with_body(codec, &packed)
}

/// The same, as zstd with the longest window and snappy without framing write it.
fn zeros_that_need_much_behind_them(codec: u8, size: usize) -> Vec<u8> {
    let body = body_of_zeros(size);
    let packed = match codec_of(codec) {
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(27).unwrap();
            encoder.write_all(&body).unwrap();
            encoder.finish().unwrap()
        }
        _ => snap::raw::Encoder::new().compress_vec(&body).unwrap(),
    };
    with_body(codec, &packed)
}

fn body_of_zeros(size: usize) -> Vec<u8> {
    batch(&[vec![0; size]])[61..].to_vec()
}

fn with_body(codec: u8, packed: &[u8]) -> Vec<u8> {
    let mut batch = batch(&[b"x".to_vec()])[..61].to_vec();
    batch[22] = codec;
    batch.extend_from_slice(packed);
    sealed(batch)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_a_batch_inflates_to_takes_no_memory() {
    const WITHIN: usize = 60 << 20;
    const BEYOND: usize = 200 << 20;
    const LARGE: usize = 100 << 20;
    const AT_ONCE: usize = 4;
    const MIB: u64 = 1 << 20;
    let invalid = ResponseError::InvalidRecord.code();
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    // Snappy packs zeros to a twentieth only.
    broker.ok(&["topic", "create", "t", "-c", "max.message.bytes=67108864"]);
    let idle = broker.memory("VmHWM");
    let flood = async |bomb: Vec<u8>| {
        let mut sent = Vec::new();
        for _ in 0..AT_ONCE {
            let mut connection = broker.connect().await;
            let bomb = bomb.clone();
            sent.push(tokio::spawn(async move {
                produce(&mut connection, "t", bomb).await.0
            }));
        }
        let mut answers = Vec::new();
        for answer in sent {
            answers.push(answer.await.unwrap());
        }
        answers
    };
    let mut requests = 0;
    // Not snappy, whose bombs are large themselves.
    for codec in [1, 3, 4] {
        for (size, answer) in [(WITHIN, 0), (BEYOND, invalid)] {
            let bomb = zeros(codec, size);
            requests = requests.max((AT_ONCE * bomb.len()) as u64);
            assert_eq!(flood(bomb).await, [answer; AT_ONCE], "codec {codec}");
        }
    }
    let most = broker.memory("VmHWM") - idle;
    eprintln!(
        "{} KiB more, requests of {} KiB",
        most >> 10,
        requests >> 10
    );
    assert!(most < 3 * requests + 30 * MIB, "{} MiB more", most / MIB);

    // What must be had whole is had by one thread at a time. The requests with zstd are small, those with snappy are not.
    for codec in [4, 2] {
        let bomb = zeros_that_need_much_behind_them(codec, LARGE);
        let requests = (AT_ONCE * bomb.len()) as u64;
        assert_eq!(flood(bomb).await, [0; AT_ONCE], "codec {codec}");
        let most = broker.memory("VmHWM") - idle;
        eprintln!(
            "{} MiB more, requests of {} MiB",
            most / MIB,
            requests / MIB
        );
        let bound = 3 * requests + LARGE as u64 + 50 * MIB;
        assert!(most < bound, "codec {codec}: {} MiB more", most / MIB);
    }

    let mut connection = broker.connect().await;
    let (error, _) = produce(&mut connection, "t", batch(&[b"v".to_vec()])).await;
    assert_eq!(error, 0);
    assert_eq!(broker.stop().0, Some(0));
}

#[tokio::test]
async fn names_of_topics_never_leave_the_data_directory() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("a/b/data");
    let broker = Served::start(&dir);
    let mut connection = broker.connect().await;
    let long = "x".repeat(250);
    let names = [
        "../x", "../../x", "..", ".", "", "a/b", "/etc/x", "a\\b", "a\0b", "a b", "ä", "a\nb",
        &long,
    ];
    let invalid = ResponseError::InvalidTopicException.code();
    for name in names {
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(1)
            .with_replication_factor(1);
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(10_000);
        let answer = connection.call(5, &request).await.unwrap();
        assert_eq!(answer.topics[0].error_code, invalid, "create {name:?}");
        assert_eq!(
            auto_create(&mut connection, name).await,
            invalid,
            "{name:?}"
        );
        let (error, _) = produce(&mut connection, name, batch(&[b"v".to_vec()])).await;
        assert_ne!(error, 0, "produce to {name:?}");
        let (error, _) = fetch(&mut connection, name, 0).await;
        assert_ne!(error, 0, "fetch from {name:?}");
    }
    let told = broker.fails(&["topic", "create", "../x"]);
    assert!(
        told.contains("../x") && told.contains("INVALID_TOPIC"),
        "{told}"
    );
    assert_eq!(broker.ok(&["topic", "list"]), "");
    // A name of the greatest length is a name.
    assert_eq!(auto_create(&mut connection, &long[1..]).await, 0);
    assert_eq!(
        produce(&mut connection, &long[1..], batch(&[b"v".to_vec()]))
            .await
            .0,
        0
    );
    assert_eq!(broker.stop().0, Some(0));
    for (path, only) in [("", "a"), ("a", "b"), ("a/b", "data")] {
        let entries = std::fs::read_dir(parent.path().join(path)).unwrap();
        let names: Vec<_> = entries.map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, [only], "beside the data directory");
    }
}

#[tokio::test]
async fn noise_of_any_kind_ends_no_broker() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    let mut connection = broker.connect().await;
    assert_eq!(auto_create(&mut connection, "t").await, 0);
    let sound = produce_request("t", batch(&[b"v".to_vec()]));
    let mut body = bytes::BytesMut::new();
    ottla_client::kafka_protocol::protocol::Encodable::encode(&sound, &mut body, PRODUCE).unwrap();
    // Requests of every API and version over bodies that are another's, or damaged.
    let mut noise = 12345u32;
    let mut next = move || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise >> 8
    };
    for key in 0..=75i16 {
        let mut stream = TcpStream::connect(&*broker.address).await.unwrap();
        let mut bytes = Vec::new();
        for _ in 0..8 {
            let mut request = header(key, (next() % 14) as i16);
            let mut damaged = Bytes::copy_from_slice(&body).to_vec();
            for _ in 0..(next() % 4) {
                let at = next() as usize % damaged.len();
                damaged[at] = next() as u8;
            }
            request.extend_from_slice(&damaged);
            bytes.extend_from_slice(&frame(&request));
        }
        // The broker may have closed it meanwhile.
        let _ = stream.write_all(&bytes).await;
        let mut some = [0; 64];
        let _ = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut some)).await;
    }
    let (error, _) = produce(&mut connection, "t", batch(&[b"last".to_vec()])).await;
    assert_eq!(error, 0);
    assert!(broker.ok(&["consume", "t", "-e"]).ends_with("last\n"));
    assert_eq!(broker.stop().0, Some(0));
}

const EXTREMES: [i32; 5] = [i32::MIN, -2, -1, i32::MAX - 1, i32::MAX];

#[tokio::test]
async fn numbers_that_cannot_be_meant_are_answered_with_errors() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    let mut connection = broker.connect().await;
    assert_eq!(auto_create(&mut connection, "t").await, 0);
    let kept = produce(&mut connection, "t", batch(&[b"v".to_vec()])).await;
    assert_eq!(kept, (0, 0));
    for n in EXTREMES {
        let far = i64::from(n) << 31;
        // -1 partitions are as many as the broker's default.
        let topic = CreatableTopic::default()
            .with_name(topic_name("u"))
            .with_num_partitions(n)
            .with_replication_factor(1);
        let create = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_validate_only(true)
            .with_timeout_ms(n);
        let answer = connection.call(5, &create).await.unwrap();
        assert_eq!(answer.topics[0].error_code != 0, n != -1, "create {n}");
        let topic = CreatePartitionsTopic::default()
            .with_name(topic_name("t"))
            .with_count(n)
            .with_assignments(None);
        let grow = CreatePartitionsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(n);
        let answer = connection.call(1, &grow).await.unwrap();
        assert_ne!(answer.results[0].error_code, 0, "grow to {n}");

        let mut fetch = fetch_request("t", far, Duration::ZERO);
        fetch.topics[0].partitions[0].partition_max_bytes = n;
        fetch.max_bytes = n;
        fetch.min_bytes = n;
        let answer = connection.call(FETCH, &fetch).await.unwrap();
        assert_ne!(
            answer.responses[0].partitions[0].error_code, 0,
            "fetch from {far}"
        );
        let mut fetch = fetch_request("t", 0, Duration::ZERO);
        fetch.topics[0].partitions[0].partition = n;
        let answer = connection.call(FETCH, &fetch).await.unwrap();
        assert_ne!(
            answer.responses[0].partitions[0].error_code, 0,
            "fetch from partition {n}"
        );

        let partition = ListOffsetsPartition::default()
            .with_partition_index(n)
            .with_timestamp(far);
        let topic = ListOffsetsTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        let list = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(vec![topic]);
        let answer = connection.call(5, &list).await.unwrap();
        assert_ne!(
            answer.topics[0].partitions[0].error_code, 0,
            "offsets of {n}"
        );

        // -1 deletes up to the high watermark, which is asked for by nothing here.
        let partition = DeleteRecordsPartition::default().with_offset(far - 7);
        let topic = DeleteRecordsTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        let delete = DeleteRecordsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(n);
        let answer = connection.call(1, &delete).await.unwrap();
        assert_ne!(
            answer.topics[0].partitions[0].error_code, 0,
            "delete to {far}"
        );

        let mut join = join_request("g", "");
        join.session_timeout_ms = n;
        join.rebalance_timeout_ms = n;
        let answer = connection.call(JOIN, &join).await.unwrap();
        assert_ne!(answer.error_code, 0, "join for {n}");
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(n)
            .with_committed_offset(far)
            .with_committed_metadata(Some(string(&"m".repeat(10_000))));
        let topic = OffsetCommitRequestTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        let commit = OffsetCommitRequest::default()
            .with_group_id(GroupId(string("g")))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        let answer = connection.call(7, &commit).await.unwrap();
        assert_ne!(
            answer.topics[0].partitions[0].error_code, 0,
            "commit for {n}"
        );
    }
    assert_eq!(broker.ok(&["consume", "t", "-e"]), "v\n");
    assert_eq!(broker.stop().0, Some(0));
}
