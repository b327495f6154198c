//! Which settings of listeners a broker takes: Apache Kafka's own reading of them beside Ottla's.

use std::fs;
use std::process::Command;
use std::time::Duration;

use ottla_tests::harness::{cache, installed, ottla_binary, repository, run};

/// Who takes the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Both,
    Neither,
    /// What is harmless in a cluster of one.
    OttlaAlone,
}

use Takes::{Both, Neither, OttlaAlone};

const MAP: &str = "listener.security.protocol.map=IN:PLAINTEXT,OUT:PLAINTEXT,CONTROLLER:PLAINTEXT\ninter.broker.listener.name=IN\n";

/// `listeners`, further settings, who takes them.
const CASES: &[(&str, &str, Takes)] = &[
    ("PLAINTEXT://:9092,CONTROLLER://:9093", "", Both),
    ("plaintext://:9092,controller://:9093", "", Both),
    ("IN://:9092,OUT://:9094,CONTROLLER://:9093", MAP, Both),
    (
        "IN://127.0.0.1:9092,OUT://[::1]:9092,CONTROLLER://:9093",
        MAP,
        Both,
    ),
    ("IN://127.0.0.1:0,OUT://:0,CONTROLLER://:0", MAP, Both),
    ("IN://:9092,OUT://:9092,CONTROLLER://:9093", MAP, Neither),
    (
        "IN://127.0.0.1:9092,OUT://127.0.0.2:9092,CONTROLLER://:9093",
        MAP,
        Neither,
    ),
    ("PLAINTEXT://:9092,CONTROLLER://:9092", "", Neither),
    ("IN://:9092,IN://:9094,CONTROLLER://:9093", MAP, Neither),
    ("OUT://:9092,CONTROLLER://:9093", "", Neither),
    (
        "OUT://:9092,CONTROLLER://:9093",
        "listener.security.protocol.map=OUT:TLS,CONTROLLER:PLAINTEXT\n",
        Neither,
    ),
    ("CONTROLLER://:9093", "", Neither),
    ("PLAINTEXT://host,CONTROLLER://:9093", "", Neither),
    ("9092", "", Neither),
    (
        "PLAINTEXT://:9092,CONTROLLER://:9093",
        "advertised.listeners=PLAINTEXT://h:9092,CONTROLLER://h:9093\n",
        Both,
    ),
    (
        "IN://:9092,OUT://:9094,CONTROLLER://:9093",
        "advertised.listeners=IN://h:1,OUT://h:1\nlistener.security.protocol.map=IN:PLAINTEXT,OUT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=IN\n",
        Both,
    ),
    (
        "IN://:9092,CONTROLLER://:9093",
        "advertised.listeners=IN://h:1,OUT://h:1\nlistener.security.protocol.map=IN:PLAINTEXT,OUT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=IN\n",
        Neither,
    ),
    (
        "PLAINTEXT://:9092,CONTROLLER://:9093",
        "inter.broker.listener.name=BROKER\n",
        Neither,
    ),
    // A trailing comma.
    ("PLAINTEXT://:9092,CONTROLLER://:9093,", "", OttlaAlone),
    // A map without a name that is a protocol's.
    (
        "PLAINTEXT://:9092,CONTROLLER://:9093",
        "listener.security.protocol.map=CONTROLLER:PLAINTEXT\n",
        OttlaAlone,
    ),
    // Nobody can connect there: Ottla tells clients localhost, and warns.
    (
        "PLAINTEXT://:9092,CONTROLLER://:9093",
        "advertised.listeners=PLAINTEXT://0.0.0.0:9092\n",
        OttlaAlone,
    ),
    // There are no other brokers that a listener could be missing for.
    (
        "IN://:9092,CONTROLLER://:9093",
        "listener.security.protocol.map=IN:PLAINTEXT,CONTROLLER:PLAINTEXT\n",
        OttlaAlone,
    ),
];

fn settings(listeners: &str, further: &str) -> String {
    format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n\
         controller.quorum.voters=1@localhost:9093\nlisteners={listeners}\n{}\n",
        further.trim()
    )
}

#[test]
fn ottla_takes_what_kafka_takes_and_refuses_what_contradicts_itself() {
    let blocks: Vec<String> = CASES
        .iter()
        .map(|(listeners, further, _)| settings(listeners, further).trim().to_owned())
        .collect();
    let libs = installed("java/libs", "java").join("*");
    let mut java = Command::new("java");
    java.args(["-XX:TieredStopAtLevel=1", "-Xmx256m"]);
    java.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp"]);
    java.arg(libs);
    java.arg(repository().join("tests/java/src/main/java/ottla/ListenerRules.java"));
    let input = blocks.join("\n\n");
    let said = run(&mut java, input.as_bytes(), Duration::from_secs(120));
    let verdicts: Vec<String> = said
        .success()
        .lines()
        .filter(|line| line.starts_with("accepted") || line.starts_with("refused: "))
        .map(str::to_owned)
        .collect();
    assert_eq!(verdicts.len(), CASES.len(), "{verdicts:#?}");
    let file = cache().join(format!("listeners-{}.properties", std::process::id()));
    let mut differ = Vec::new();
    for (((_, _, takes), block), kafka) in CASES.iter().zip(&blocks).zip(&verdicts) {
        fs::write(&file, block).expect("the cache directory can be written");
        let mut ottla = Command::new(ottla_binary());
        let ottla = ottla.args(["config", "check"]).arg(&file).output();
        let ottla = ottla.expect("the binary runs").status.code();
        let expected = match takes {
            Both => (true, Some(0)),
            Neither => (false, Some(1)),
            OttlaAlone => (false, Some(0)),
        };
        if (kafka == "accepted", ottla) != expected {
            differ.push(format!(
                "{block}\n{takes:?}, but Ottla ends with {ottla:?}, and by Kafka it is {kafka}"
            ));
        }
    }
    fs::remove_file(&file).expect("it was written");
    assert!(differ.is_empty(), "{}", differ.join("\n\n"));
}
