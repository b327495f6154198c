//! What connections cost: memory follows the bytes that arrived, and those of all connections are bounded.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use std::time::{Duration, Instant};

use support::wire::*;
use support::{PATIENCE, Served};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn a_thousand_idle_connections_cost_little() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    // Without the pages of the program itself, which a build for tests has many of.
    let idle = broker.memory("RssAnon");
    let mut connections = Vec::new();
    for _ in 0..1000 {
        let mut connection = broker.connect().await;
        connection.send_raw(&header(18, 0)).await.unwrap();
        connection.read_frame().await.unwrap();
        connections.push(connection);
    }
    let with = broker.memory("RssAnon");
    eprintln!(
        "idle: {} KiB, with 1000 connections: {} KiB",
        idle >> 10,
        with >> 10
    );
    assert!(idle < 30 * MIB, "{} KiB idle", idle >> 10);
    assert!(with < idle + 20 * MIB, "{} KiB more", (with - idle) >> 10);
    assert_eq!(broker.stop().0, Some(0));
}

#[test]
fn what_only_the_start_ran_does_not_stay() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start(dir.path());
    let deadline = Instant::now() + PATIENCE;
    // Most of it is code.
    while broker.memory("VmRSS") > broker.memory("VmHWM") * 6 / 10 {
        let (now, most) = (broker.memory("VmRSS"), broker.memory("VmHWM"));
        assert!(Instant::now() < deadline, "{now} bytes of {most}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(broker.stop().0, Some(0));
}

#[tokio::test]
async fn half_frames_take_what_arrived_and_no_more_than_the_bound_of_all() {
    const CONNECTIONS: usize = 200;
    const CLAIMED: i32 = 100 << 20;
    let dir = tempfile::tempdir().unwrap();
    let bound = "queued.max.request.bytes=33554432";
    let broker = Served::start_with(dir.path(), &["-o", bound]);
    let before = broker.memory("VmRSS");
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(&*broker.address).await.unwrap();
        stream.write_all(&CLAIMED.to_be_bytes()).await.unwrap();
        stream.write_all(&[0; 1000]).await.unwrap();
        streams.push(stream);
    }
    let mut other = broker.connect().await;
    assert_eq!(auto_create(&mut other, "t").await, 0);
    let claimed = broker.memory("VmRSS");
    assert!(
        claimed < before + 30 * MIB,
        "{} MiB for claims",
        (claimed - before) / MIB
    );

    // Now each sends as much of its half as is taken: 10 GiB if all of it were.
    let flood = |mut stream: TcpStream| async move {
        let piece = vec![0; 256 << 10];
        let mut left = CLAIMED as usize / 2;
        while left > 0 {
            let write = stream.write_all(&piece[..piece.len().min(left)]);
            match tokio::time::timeout(Duration::from_millis(300), write).await {
                // Not read on, or closed for holding up the others.
                Err(_) | Ok(Err(_)) => break,
                Ok(Ok(())) => left -= piece.len().min(left),
            }
        }
        stream
    };
    let floods: Vec<_> = streams
        .into_iter()
        .map(|s| tokio::spawn(flood(s)))
        .collect();
    let mut held = Vec::new();
    for flood in floods {
        held.push(flood.await.unwrap());
    }
    let peak = broker.memory("VmHWM");
    eprintln!("before: {} MiB, at most: {} MiB", before / MIB, peak / MIB);
    // The bound; 64 KiB for each connection, twice while a buffer grows; one frame that has the turn, whose buffer is
    // copied as it grows while the allocator still has what it outgrew. Of 10 GiB that were offered.
    let most = 32 + 2 * CONNECTIONS as u64 / 16 + 4 * 50 + 40;
    assert!(peak < before + most * MIB, "{} MiB", peak / MIB);

    // Small requests of others pass at once; large ones get their turn.
    let begun = Instant::now();
    let kept = produce(&mut other, "t", batch(&[b"small".to_vec()])).await;
    assert_eq!(kept, (0, 0));
    let kept = produce(&mut other, "t", batch(&[vec![7; 500_000]])).await;
    assert_eq!(kept, (0, 1));
    eprintln!("a large request took {:?} among them", begun.elapsed());
    drop(held);
    assert_eq!(broker.stop().0, Some(0));
}

#[tokio::test]
async fn frames_that_use_up_the_bound_together_all_become_whole() {
    const CONNECTIONS: usize = 20;
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start_with(dir.path(), &["-o", "queued.max.request.bytes=1048576"]);
    let mut setup = broker.connect().await;
    assert_eq!(auto_create(&mut setup, "t").await, 0);
    let mut sending = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = broker.connect().await;
        sending.push(tokio::spawn(async move {
            produce(&mut connection, "t", batch(&[vec![7; 900_000]]))
                .await
                .0
        }));
    }
    for sent in sending {
        assert_eq!(sent.await.unwrap(), 0);
    }
    assert_eq!(broker.stop().0, Some(0));
}

#[tokio::test]
async fn who_holds_up_others_with_half_a_frame_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = Served::start_with(dir.path(), &["-o", "queued.max.request.bytes=1048576"]);
    let mut setup = broker.connect().await;
    assert_eq!(auto_create(&mut setup, "t").await, 0);
    let mut slow = TcpStream::connect(&*broker.address).await.unwrap();
    let peer = slow.local_addr().unwrap().to_string();
    slow.write_all(&(50i32 << 20).to_be_bytes()).await.unwrap();
    slow.write_all(&vec![0; 4 << 20]).await.unwrap();
    let kept = produce(&mut setup, "t", batch(&[vec![7; 900_000]])).await;
    assert_eq!(kept, (0, 0));
    let line = broker.wait_for(&peer);
    assert!(line.contains("too slowly"), "{line}");
    let mut end = Vec::new();
    let _ = slow.read_to_end(&mut end).await;
    assert_eq!(broker.stop().0, Some(0));
}
