//! The names that the binary answers to, and the tools that are no client: kafka-storage, kafka-run-class, kafka-server-start.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ottla_tests::harness::{Broker, Finished, ottla_binary, run};

use super::view;

const TIMEOUT: Duration = Duration::from_secs(60);

/// Calls the binary by another name.
fn called(name: &str, args: &[&str]) -> Finished {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let link = dir.path().join(name);
    symlink(ottla_binary(), &link).expect("a link can be made");
    run(Command::new(link).args(args), b"", TIMEOUT)
}

#[test]
fn the_binary_is_the_tool_that_it_is_called_by() {
    let broker = Broker::start();
    let server = broker.bootstrap();
    let create = ["--bootstrap-server", &server, "--create", "--topic", "a"];
    let created = called("kafka-topics", &create);
    assert_eq!(created.success(), "Created topic a.\n");
    let list = ["--bootstrap-server", &server, "--list"];
    assert_eq!(called("kafka-topics.sh", &list).success(), "a\n");
    let args = ["kafka.tools.GetOffsetShell", "--bootstrap-server", &server];
    assert_eq!(called("kafka-run-class.sh", &args).success(), "a:0:0\n");
    for (name, args) in [
        ("kafka-nix.sh", &[][..]),
        ("kafka-run-class", &["kafka.tools.Nix"]),
        ("kafka-run-class", &[]),
        ("kafka-server-start", &[]),
        ("zookeeper-server-start.sh", &["nix.properties"]),
        ("kafka-server-stop", &["--nix"]),
    ] {
        assert!(!called(name, args).failure().is_empty(), "{name} {args:?}");
    }
}

fn write_properties(dir: &Path, more: &str) -> String {
    let file = dir.join("server.properties");
    let data = dir.join("data");
    let text = format!(
        "process.roles=broker,controller\nnode.id=1\nlog.dirs={}\nhttp.port=off\n{more}",
        data.display()
    );
    std::fs::write(&file, text).expect("a file can be written");
    file.to_str().expect("the path is UTF-8").to_owned()
}

#[test]
fn a_prepared_directory_is_the_one_that_a_broker_starts_on_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    // An id of its own, so that no other broker of this machine is meant when this one is stopped.
    let node_id = std::process::id().to_string();
    let config = write_properties(
        dir.path(),
        &format!("listeners=PLAINTEXT://127.0.0.1:0\nnode.id={node_id}\n"),
    );
    let format = ["format", "-t", "test-cluster", "-c", &config];
    let said = called("kafka-storage.sh", &format);
    assert!(said.success().starts_with("Formatting metadata directory "));
    called("kafka-storage", &format).failure();
    let again = [
        "format",
        "--ignore-formatted",
        "-t",
        "another",
        "-c",
        &config,
    ];
    called("kafka-storage", &again).success();
    let info = called("kafka-storage", &["info", "-c", &config]);
    assert!(info.success().contains("cluster.id=test-cluster"));

    let port_file = dir.path().join("port");
    let link = dir.path().join("kafka-server-start.sh");
    symlink(ottla_binary(), &link).unwrap();
    let mut broker = Command::new(&link)
        .arg(&config)
        .args(["--override", "num.partitions=4", "--port-file"])
        .arg(&port_file)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = broker.stdout.take().unwrap();
    // The line that says where it listens is the last thing before it serves.
    let line = std::io::BufRead::lines(std::io::BufReader::new(stdout))
        .next()
        .unwrap()
        .unwrap();
    let server = line.rsplit(' ').next().unwrap();
    let id = called("kafka-cluster", &["cluster-id", "-b", server]);
    assert_eq!(id.success(), "Cluster ID: test-cluster\n");
    called("kafka-server-stop", &[&format!("--node-id={node_id}")]).success();
    assert!(broker.wait().unwrap().success());
}

#[test]
fn what_kafka_storage_needs_is_asked_for() {
    for args in [
        &[][..],
        &["nix"],
        &["format", "-t", "x"],
        &["format", "-c", "x"],
        &["info"],
    ] {
        assert!(view::same_misuse("storage", args).contains("kafka-storage: error: "));
    }
    let uuid = called("kafka-storage", &["random-uuid"]);
    assert_eq!(uuid.success().trim_end().len(), 22);
    let mapping = view_without_broker("storage", &["version-mapping"]);
    assert!(mapping.starts_with("metadata.version="));
}

/// What both say where no broker is asked.
fn view_without_broker(tool: &str, args: &[&str]) -> String {
    let expected = ottla_tests::harness::original(tool, args, "");
    let said = super::shim(tool, args, "");
    assert_eq!(expected.success(), said.success());
    said.stdout
}
