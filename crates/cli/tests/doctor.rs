//! `ottla doctor`: each mistake that keeps clients from a broker, and what is said of it.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use serde_json::Value;
use support::{Served, ottla, serve, text};

/// Something that listens and is no broker; ends with the test's process.
fn fake(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            thread::spawn(move || answer(stream));
        }
    });
    address
}

/// What comes first, at least a byte; nothing if the peer goes.
fn first(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 1024];
    let count = stream.read(&mut bytes).unwrap_or(0);
    bytes.truncate(count);
    bytes
}

fn string(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as i16).to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// A broker of few words: it answers ApiVersions with `apis` (key, version), and Metadata with `brokers` of `cluster`. What it
/// does not know ends the connection.
fn broker(
    apis: &'static [(i16, i16)],
    cluster: String,
    brokers: Vec<(i32, String, u16)>,
) -> SocketAddr {
    fake(move |mut stream| {
        loop {
            let mut length = [0; 4];
            if stream.read_exact(&mut length).is_err() {
                return;
            }
            let mut request = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut request).unwrap();
            let key = i16::from_be_bytes([request[0], request[1]]);
            let version = i16::from_be_bytes([request[2], request[3]]);
            let mut answer = request[4..8].to_vec();
            match (key, version) {
                (18, 0) => {
                    answer.extend(0i16.to_be_bytes());
                    answer.extend((apis.len() as i32).to_be_bytes());
                    for (key, version) in apis {
                        for number in [key, version, version] {
                            answer.extend(number.to_be_bytes());
                        }
                    }
                }
                // UNSUPPORTED_VERSION, in the form of version 0.
                (18, _) => answer.extend([0, 35, 0, 0, 0, 0]),
                (3, 4) if apis.contains(&(3, 4)) && !cluster.is_empty() => {
                    answer.extend(0i32.to_be_bytes());
                    answer.extend((brokers.len() as i32).to_be_bytes());
                    for (id, host, port) in &brokers {
                        answer.extend(id.to_be_bytes());
                        answer.extend(string(host));
                        answer.extend(i32::from(*port).to_be_bytes());
                        answer.extend((-1i16).to_be_bytes());
                    }
                    answer.extend(string(&cluster));
                    answer.extend(1i32.to_be_bytes());
                    answer.extend(0i32.to_be_bytes());
                }
                _ => return,
            }
            let mut frame = (answer.len() as i32).to_be_bytes().to_vec();
            frame.extend(answer);
            if stream.write_all(&frame).is_err() {
                return;
            }
        }
    })
}

const CLIENTS: &[(i16, i16)] = &[(18, 0), (3, 4)];

fn examine(args: &[&str]) -> (Value, Option<i32>) {
    let output = ottla(&[&["doctor", "--json"][..], args].concat());
    assert_eq!(text(&output.stderr), "");
    (
        serde_json::from_slice(&output.stdout).unwrap(),
        output.status.code(),
    )
}

/// The verdict on what is ill.
fn ill(args: &[&str], problem: &str) -> String {
    let (told, code) = examine(args);
    assert_eq!(
        (told["healthy"].as_bool(), code),
        (Some(false), Some(1)),
        "{told}"
    );
    assert_eq!(told["problem"], problem, "{told}");
    let bad = |subject: &Value| {
        let checks = subject["checks"].as_array().unwrap();
        checks.iter().any(|check| check["outcome"] == "fail")
    };
    let sentence = told["verdict"].as_str().unwrap().to_owned();
    let cross = ["two_clusters", "mixed_addresses"].contains(&problem);
    assert!(
        cross || told["subjects"].as_array().unwrap().iter().any(bad),
        "{told}"
    );
    // Where the broker is to be set right, the setting is in the sentence.
    if let Some(setting) = told["setting"].as_str() {
        assert!(sentence.contains(setting), "{sentence}");
    }
    sentence
}

fn port(address: &str) -> u16 {
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A broker that advertises something else than it should; its own port.
fn advertising(dir: &std::path::Path, address: &str) -> (Served, u16) {
    let port_file = dir.with_extension("port");
    let mut command = serve(dir);
    command
        .args([
            "--port-file",
            port_file.to_str().unwrap(),
            "--http-port",
            "0",
            "-o",
        ])
        .arg(format!("advertised.listeners=PLAINTEXT://{address}"));
    let served = Served::of(command);
    let port = std::fs::read_to_string(&port_file)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    (served, port)
}

#[test]
fn a_broker_that_clients_reach_is_healthy() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path());
    let (told, code) = examine(&[&served.address]);
    assert_eq!(
        (told["healthy"].as_bool(), code),
        (Some(true), Some(0)),
        "{told}"
    );
    assert_eq!(told["problem"], Value::Null);
    assert_eq!(told["subjects"].as_array().unwrap().len(), 2);
    // By a name, and for people; several places of one cluster are as good.
    let by_name = format!("localhost:{}", port(&served.address));
    let output = ottla(&[
        "doctor",
        &by_name,
        &format!("PLAINTEXT://{}", served.address),
    ]);
    let told = text(&output.stdout);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("  ok    localhost resolves to "), "{told}");
    assert!(told.contains(" is a broker of cluster "), "{told}");
    assert!(told.ends_with("reach every broker from here.\n"), "{told}");
    // The default is what other commands take.
    assert!(served.ok(&["doctor"]).contains(&served.address));
}

#[test]
fn what_is_no_broker_is_recognised() {
    // As servers of TLS answer what is none: some with an alert, Java's without a word.
    let tls = |polite: bool| {
        fake(move |mut stream| {
            let hello = first(&mut stream);
            let is_hello = hello.len() > 5 && hello[0] == 0x16 && hello[5] == 1;
            if is_hello || polite {
                let alert = [0x15, 3, 3, 0, 2, 2, 40];
                stream.write_all(&alert).unwrap();
            }
        })
    };
    let http = |polite: bool| {
        fake(move |mut stream| {
            if first(&mut stream).starts_with(b"GET ") || polite {
                stream
                    .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    .unwrap();
            }
        })
    };
    let silent = fake(|mut stream| while !first(&mut stream).is_empty() {});
    let closing = fake(drop);
    let greeting = fake(|mut stream| stream.write_all(b"SSH-2.0-OpenSSH_9\r\n").unwrap());
    let refusing = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    for (address, problem, words) in [
        (tls(true), "tls", "security.protocol=SSL"),
        (tls(false), "tls", "speaks TLS"),
        (http(true), "http", "speaks HTTP"),
        (http(false), "http", "another server's port"),
        (silent, "silent", "says nothing"),
        (closing, "closed", "KAFKA_LISTENERS=PLAINTEXT://:9092"),
        (greeting, "other_protocol", "SSH-2.0-OpenSSH_9"),
        (refusing, "refused", "start the broker"),
        (
            broker(&[(18, 0), (52, 1)], String::new(), vec![]),
            "controller",
            "controller.listener.names",
        ),
        (broker(CLIENTS, String::new(), vec![]), "sasl", "SASL"),
    ] {
        let address = address.to_string();
        let sentence = ill(&[&address, "--timeout", "500ms"], problem);
        assert!(
            sentence.contains(&address) && sentence.contains(words),
            "{sentence}"
        );
    }
}

#[test]
fn what_does_not_resolve_is_told() {
    let sentence = ill(&["no-such-host.invalid:9092"], "unresolved");
    assert!(sentence.contains("no-such-host.invalid"), "{sentence}");
    let sentence = ill(&["0.0.0.0:9092"], "unspecified");
    assert!(sentence.contains("0.0.0.0:9092"), "{sentence}");
}

#[test]
fn a_containers_name_that_is_advertised_to_the_host_is_told_with_the_setting() {
    let dir = tempfile::tempdir().unwrap();
    let (_served, port) = advertising(&dir.path().join("d"), "no-such-host.invalid:29092");
    let start = format!("localhost:{port}");
    let sentence = ill(&[&start], "advertised_unresolved");
    let setting = format!("KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://{start}");
    for part in [&start, "no-such-host.invalid:29092", &setting] {
        assert!(sentence.contains(part), "{sentence}");
    }
}

#[test]
fn an_advertised_port_that_nothing_listens_on_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let to = format!("localhost:{}", free_port());
    let (_served, port) = advertising(&dir.path().join("d"), &to);
    let sentence = ill(&[&format!("localhost:{port}")], "advertised_unreachable");
    assert!(
        sentence.contains(&to) && sentence.contains("refuses connections"),
        "{sentence}"
    );
    assert!(
        sentence.contains(&format!("PLAINTEXT://localhost:{port}")),
        "{sentence}"
    );
}

#[test]
fn localhost_that_is_advertised_to_others_is_told() {
    // By an address of this machine that is not the loopback's, as another machine would see it.
    let dir = tempfile::tempdir().unwrap();
    let Some(outside) = own_address() else {
        println!("skipped: this machine has no address but the loopback's");
        return;
    };
    let nobody = free_port();
    for (to, problem) in [
        (format!("localhost:{nobody}"), Some("advertised_localhost")),
        ("localhost:0".to_owned(), None),
    ] {
        let data = dir.path().join(problem.unwrap_or("right"));
        let port_file = data.with_extension("port");
        let mut command = serve(&data);
        command
            .args([
                "--host",
                "0.0.0.0",
                "--port-file",
                port_file.to_str().unwrap(),
                "-o",
            ])
            .arg(format!("advertised.listeners=PLAINTEXT://{to}"));
        let _served = Served::of(command);
        let port = std::fs::read_to_string(&port_file).unwrap();
        let start = format!("{outside}:{}", port.trim());
        match problem {
            Some(problem) => {
                let sentence = ill(&[&start], problem);
                assert!(sentence.contains("own machine"), "{sentence}");
                assert!(
                    sentence.contains(&format!("PLAINTEXT://{start}")),
                    "{sentence}"
                );
            }
            // From here it works, from elsewhere it would not.
            None => {
                let (told, code) = examine(&[&start]);
                assert_eq!(code, Some(0), "{told}");
                let note = &told["subjects"][1]["checks"];
                assert!(
                    note.to_string().contains("clients on other machines"),
                    "{told}"
                );
            }
        }
    }
}

/// The address by which this machine would go out. Nothing is sent.
fn own_address() -> Option<Ipv4Addr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    match socket.local_addr().ok()?.ip() {
        std::net::IpAddr::V4(ip) if !ip.is_loopback() => Some(ip),
        _ => None,
    }
}

#[test]
fn an_advertised_address_where_another_cluster_answers_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let other = Served::start(&dir.path().join("other"));
    let (_served, port) = advertising(&dir.path().join("d"), &other.address);
    let start = format!("127.0.0.1:{port}");
    let sentence = ill(&[&start], "advertised_other_cluster");
    assert!(
        sentence.contains(&other.address) && sentence.contains("another cluster"),
        "{sentence}"
    );
    // Two places to start that do not belong together.
    let sentence = ill(&[&other.address, &start], "two_clusters");
    assert!(
        sentence.contains(&other.address) && sentence.contains(&start),
        "{sentence}"
    );
}

#[test]
fn an_advertised_address_where_another_broker_of_the_cluster_answers_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let port_file = dir.path().join("port.json");
    let args = ["--port-file", port_file.to_str().unwrap()];
    let one = Served::start_with(&dir.path().join("d"), &args);
    let told: Value = serde_json::from_str(&std::fs::read_to_string(&port_file).unwrap()).unwrap();
    let cluster = told["cluster_id"].as_str().unwrap().to_owned();
    let port = port(&one.address);
    let brokers = vec![
        (1, "127.0.0.1".to_owned(), port),
        (2, "localhost".to_owned(), port),
    ];
    let start = broker(CLIENTS, cluster, brokers).to_string();
    let sentence = ill(&[&start], "advertised_other_broker");
    for part in [
        "broker 2",
        &format!("localhost:{port}"),
        "PLAINTEXT://HOST:PORT",
    ] {
        assert!(sentence.contains(part), "{sentence}");
    }
}

#[test]
fn an_advertised_address_that_stands_for_all_is_told() {
    for host in ["0.0.0.0", "::"] {
        let brokers = vec![(1, host.to_owned(), 9092)];
        let start = broker(CLIENTS, "c".to_owned(), brokers).to_string();
        let sentence = ill(&[&start], "advertised_unspecified");
        assert!(
            sentence.contains(&format!("PLAINTEXT://{start}")),
            "{sentence}"
        );
    }
}

#[test]
fn a_name_with_a_broker_on_one_of_its_addresses_is_healthy_and_noted() {
    let Some(both) = localhost_of_both_families() else {
        println!("skipped: localhost has one address here");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (_served, port) = advertising(&dir.path().join("d"), "127.0.0.1:0");
    let (told, code) = examine(&[&format!("localhost:{port}")]);
    assert_eq!(code, Some(0), "{both:?}: {told}");
    assert!(
        told["subjects"][0]["checks"].to_string().contains("note"),
        "{told}"
    );
}

fn localhost_of_both_families() -> Option<Vec<SocketAddr>> {
    use std::net::ToSocketAddrs;
    let found: Vec<_> = ("localhost", 1).to_socket_addrs().ok()?.collect();
    let families = |v6: bool| found.iter().any(|address| address.is_ipv6() == v6);
    (families(true) && families(false)).then_some(found)
}

#[test]
fn what_is_no_address_is_an_error_of_usage() {
    for args in [
        ["doctor", "h:x"],
        ["doctor", "http://h/x"],
        ["doctor", "--timeout=0s"],
    ] {
        let output = ottla(&args);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    }
}
