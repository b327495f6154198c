//! The command where no broker answers: exit codes, and messages that say what to do next.

#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

use std::process::{Command, Output};

fn ottla(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ottla"))
        .args(args)
        .env_remove("OTTLA_BOOTSTRAP_SERVER")
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_refused_connection_exits_with_1_and_says_how_to_start_a_broker() {
    let server = format!("127.0.0.1:{}", free_port());
    for args in [
        &["topic", "list"][..],
        &["produce", "t"],
        &["consume", "t"],
        &["group", "list"],
    ] {
        let output = ottla(&[args, &["--bootstrap-server", &server]].concat());
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(output.stdout.is_empty());
        let told = stderr(&output);
        assert!(
            told.contains(&server) && told.contains("ottla serve"),
            "{told}"
        );
    }
}

#[test]
fn a_usage_error_exits_with_2() {
    for args in [
        &["produce"][..],
        &["consume", "t", "--offset", "middle"],
        &["consume", "t", "--format", "%x"],
        &["topic", "create", "t", "--partitions", "0"],
        &["group", "reset-offsets", "g", "--topic", "t"],
        &["serve", "--override", "no-value"],
        &["no-such-command"],
    ] {
        let output = ottla(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            stderr(&output).contains("--help") || stderr(&output).contains("invalid value"),
            "{args:?}"
        );
    }
}

#[test]
fn completions_go_to_stdout() {
    for shell in ["bash", "zsh", "fish"] {
        let output = ottla(&["completions", shell]);
        assert!(output.status.success());
        assert!(
            String::from_utf8(output.stdout)
                .unwrap()
                .contains("reset-offsets")
        );
    }
}

#[test]
fn a_missing_configuration_file_is_named() {
    let output = ottla(&["serve", "--config", "/no/such/server.properties"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/no/such/server.properties"));
}
