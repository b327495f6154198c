//! Testcontainers' modules for Rust against Ottla's image: OTTLA_IMAGE is its name, tagged 7.9.0 and 8.0.0. The client is kcat.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use testcontainers_modules::kafka::{apache, confluent};
use testcontainers_modules::testcontainers::core::ExecCommand;
use testcontainers_modules::testcontainers::runners::AsyncRunner;
use testcontainers_modules::testcontainers::{ContainerAsync, ContainerRequest, Image, ImageExt};

const TAG: &str = "8.0.0";

/// A module with Ottla's image in place of its own.
fn ours<I: Image>(module: I) -> ContainerRequest<I> {
    let name = std::env::var("OTTLA_IMAGE").expect("OTTLA_IMAGE names the image");
    module.with_name(name).with_tag(TAG)
}

/// Runs a program of the host with this input, and gives back what it prints. It ends by itself.
fn run(program: &str, args: &[&str], input: &str) -> String {
    let mut child = Command::new("timeout")
        .args(["60", program])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}

fn produce(broker: &str, topic: &str, values: &str) {
    run(
        "kcat",
        &["-P", "-b", broker, "-t", topic, "-X", "acks=all"],
        values,
    );
}

fn consume(broker: &str, topic: &str) -> String {
    run(
        "kcat",
        &[
            "-q",
            "-C",
            "-b",
            broker,
            "-t",
            topic,
            "-o",
            "beginning",
            "-e",
        ],
        "",
    )
}

/// What another container on the network reads through the listener at `broker`.
fn from_container(network: &str, broker: &str, topic: &str) -> String {
    let image = format!("{}:{TAG}", std::env::var("OTTLA_IMAGE").unwrap());
    let container = ["run", "--rm", "--network", network, &image];
    let command = ["consume", topic, "--exit-eof", "--bootstrap-server", broker];
    run("docker", &[&container[..], &command[..]].concat(), "")
}

/// What a program in the broker's own container reads.
async fn inside<I: Image>(container: &ContainerAsync<I>, broker: &str, topic: &str) -> String {
    let command = [
        "ottla",
        "consume",
        topic,
        "--exit-eof",
        "--bootstrap-server",
        broker,
    ];
    let mut ended = container.exec(ExecCommand::new(command)).await.unwrap();
    String::from_utf8(ended.stdout_to_vec().await.unwrap()).unwrap()
}

async fn apache_broker(container: &ContainerAsync<apache::Kafka>) -> String {
    let port = container
        .get_host_port_ipv4(apache::KAFKA_PORT)
        .await
        .unwrap();
    format!("127.0.0.1:{port}")
}

async fn confluent_broker(container: &ContainerAsync<confluent::Kafka>) -> String {
    let port = container
        .get_host_port_ipv4(confluent::KAFKA_PORT)
        .await
        .unwrap();
    format!("127.0.0.1:{port}")
}

fn free_port() -> u16 {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    taken.local_addr().unwrap().port()
}

#[tokio::test]
async fn apaches_modules_serve_the_host_and_their_own_container() {
    for module in [
        apache::Kafka::default(),
        apache::Kafka::default().with_jvm_image(),
    ] {
        let kafka = ours(module).start().await.unwrap();
        let broker = apache_broker(&kafka).await;
        produce(&broker, "orders", "one\ntwo\n");
        assert_eq!(consume(&broker, "orders"), "one\ntwo\n");
        // The module advertises localhost on its listener for containers.
        assert_eq!(
            inside(&kafka, "localhost:9093", "orders").await,
            "one\ntwo\n"
        );
    }
}

/// The module learns the port on the host when the broker runs, and sets `advertised.listeners` by `kafka-configs` then.
#[tokio::test]
async fn confluents_module_is_told_its_port_when_the_broker_runs() {
    let kafka = ours(confluent::Kafka::default()).start().await.unwrap();
    let broker = confluent_broker(&kafka).await;
    produce(&broker, "orders", "one\ntwo\n");
    assert_eq!(consume(&broker, "orders"), "one\ntwo\n");
    assert_eq!(
        inside(&kafka, "localhost:9092", "orders").await,
        "one\ntwo\n"
    );
}

#[tokio::test]
async fn another_container_comes_in_through_a_listener_of_its_own() {
    let network = format!("ottla-rust-{}", std::process::id());
    // The module's own listeners advertise localhost: who wants to be reached from other containers adds one.
    let listeners = "PLAINTEXT://0.0.0.0:9092,BROKER://0.0.0.0:9093,NETWORK://0.0.0.0:19092";
    let map = "PLAINTEXT:PLAINTEXT,BROKER:PLAINTEXT,NETWORK:PLAINTEXT";
    let kafka = ours(apache::Kafka::default())
        .with_network(&network)
        .with_container_name(format!("{network}-kafka"))
        .with_env_var("KAFKA_LISTENERS", listeners)
        .with_env_var("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", map)
        .start()
        .await
        .unwrap();
    let broker = apache_broker(&kafka).await;
    produce(&broker, "orders", "one\ntwo\n");
    let id = broker_id(&broker);
    let advertised = format!("advertised.listeners=[NETWORK://{network}-kafka:19092]");
    let command = [
        "kafka-configs",
        "--bootstrap-server",
        "localhost:9093",
        "--alter",
    ]
    .into_iter()
    .chain(["--entity-type", "brokers", "--entity-name", &id])
    .chain(["--add-config", &advertised]);
    let mut told = kafka.exec(ExecCommand::new(command)).await.unwrap();
    let told = String::from_utf8(told.stdout_to_vec().await.unwrap()).unwrap();
    assert!(told.contains("Completed updating config"), "{told}");
    let server = format!("{network}-kafka:19092");
    assert_eq!(from_container(&network, &server, "orders"), "one\ntwo\n");
    assert_eq!(consume(&broker, "orders"), "one\ntwo\n");
}

/// The broker's id, as clients are told.
fn broker_id(broker: &str) -> String {
    let listed = run("kcat", &["-L", "-J", "-b", broker], "");
    let (_, after) = listed.split_once(r#""brokers":[{"id":"#).unwrap();
    after.chars().take_while(char::is_ascii_digit).collect()
}

#[tokio::test]
async fn a_restarted_container_has_its_records() {
    // A port that Docker chooses would be another one afterwards.
    let kafka = ours(apache::Kafka::default())
        .with_mapped_port(free_port(), apache::KAFKA_PORT)
        .start()
        .await
        .unwrap();
    let broker = apache_broker(&kafka).await;
    produce(&broker, "orders", "before\n");
    run("docker", &["restart", "--time", "1", kafka.id()], "");
    // kcat gives up on a broker that is not there yet.
    let wait = [
        "ottla",
        "wait",
        "--for",
        "ready",
        "--bootstrap-server",
        "localhost:9093",
    ];
    run("docker", &[&["exec", kafka.id()], &wait[..]].concat(), "");
    produce(&broker, "orders", "after\n");
    assert_eq!(consume(&broker, "orders"), "before\nafter\n");
}

#[tokio::test]
async fn two_at_once_know_nothing_of_each_other() {
    let one = ours(apache::Kafka::default()).start().await.unwrap();
    let other = ours(confluent::Kafka::default()).start().await.unwrap();
    let brokers = [apache_broker(&one).await, confluent_broker(&other).await];
    assert_ne!(brokers[0], brokers[1]);
    for broker in &brokers {
        produce(broker, "orders", &format!("{broker}\n"));
    }
    for broker in &brokers {
        assert_eq!(consume(broker, "orders"), format!("{broker}\n"));
    }
}
