//! Data directories and ports that a broker cannot use: each start that fails says why and what to do.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use support::{Served, fails_to_start, refused, serve_by};

const NONE: &[&str] = &[];

#[test]
fn a_port_that_is_taken_is_named_with_a_way_out_and_nothing_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let data = dir.path().join("data");
    let output = Command::new(env!("CARGO_BIN_EXE_ottla"))
        .args(["serve", "--port", &port, "--data-dir"])
        .arg(&data)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = support::text(&output.stderr);
    assert!(told.contains(&format!("127.0.0.1:{port}")), "{told}");
    assert!(told.contains("in use") && told.contains("--port"), "{told}");
    assert!(!data.exists());
}

#[test]
fn a_directory_in_use_is_refused_with_the_process_that_uses_it_and_free_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let first = Served::start(dir.path());
    let told = refused(dir.path(), NONE);
    assert!(
        told.contains("in use by another broker (process "),
        "{told}"
    );
    assert!(told.contains("--data-dir"), "{told}");
    first.ok(&["topic", "create", "t"]);
    first.kill();
    let second = Served::start(dir.path());
    assert!(second.ok(&["topic", "list"]).contains('t'));
}

#[test]
fn a_newer_format_is_refused_by_name_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    Served::start(dir.path()).stop();
    let properties = dir.path().join("meta.properties");
    let ours = fs::read_to_string(&properties).unwrap();
    let changed = ours.replace("ottla.format=1", "ottla.format=2");
    assert_ne!(ours, changed);
    // With the checksum of another text it is damage that says 2.
    fs::write(&properties, &changed).unwrap();
    let told = refused(dir.path(), NONE);
    assert!(
        told.contains("meta.properties does not fit its checksum"),
        "{told}"
    );
    let (checksum, newer) = changed.split_once('\n').unwrap();
    assert!(checksum.starts_with("crc32c="), "{checksum}");
    fs::write(&properties, newer).unwrap();
    let told = refused(dir.path(), NONE);
    assert!(told.contains("format 2"), "{told}");
    assert!(told.contains("use a newer ottla"), "{told}");
    assert_eq!(fs::read_to_string(&properties).unwrap(), newer);
    fs::write(&properties, ours).unwrap();
    Served::start(dir.path());
}

#[test]
fn a_directory_of_somebody_else_is_refused_and_left_as_it_is() {
    let cases = [
        ("meta.properties", "version=1\nnode.id=1\n", "Apache Kafka"),
        ("meta.properties", "", "ottla.format"),
        ("meta.properties", "ottla.format=one\n", "not a number"),
        ("meta.properties", "ottla.format=1\n", "cluster.id"),
        ("thesis.tex", "unfinished", "thesis.tex"),
    ];
    for (name, content, reason) in cases {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), content).unwrap();
        let told = refused(dir.path(), NONE);
        assert!(told.contains("not an Ottla data directory"), "{told}");
        assert!(told.contains(reason), "{told}");
        assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), content);
    }
}

#[test]
fn a_path_that_is_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data");
    fs::write(&file, "a file").unwrap();
    for path in [file.clone(), file.join("below")] {
        let told = refused(&path, NONE);
        assert!(told.contains(path.to_str().unwrap()), "{told}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "a file");
}

/// The user that owns nothing, by the number that it has on Linux.
const NOBODY: u32 = 65534;

#[test]
fn a_directory_that_cannot_be_written_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let closed = dir.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o555)).unwrap();
    // Root may write everywhere, and gives way to a user who may not. That one may be unable to reach the build's directory.
    let probe = closed.join("probe");
    let is_root = fs::write(&probe, "").is_ok();
    let copy = dir.path().join("ottla");
    if is_root {
        fs::remove_file(probe).unwrap();
        // By another process: a file that this one writes cannot be run while a test beside it is starting a process.
        let mut cp = Command::new("cp");
        let copied = cp.arg(env!("CARGO_BIN_EXE_ottla")).arg(&copy).status();
        assert!(copied.unwrap().success());
    }
    for path in [closed.clone(), closed.join("data")] {
        let told = match is_root {
            true => fails_to_start(serve_by(&copy, &path).uid(NOBODY).gid(NOBODY)),
            false => refused(&path, NONE),
        };
        assert!(told.contains("ermission denied"), "{told}");
        assert!(told.contains(path.to_str().unwrap()), "{told}");
    }
}
