//! `zookeeper-server-start FILE`: start scripts of old images call it, and go on once its port is open.
//!
//! There is no ZooKeeper here, and nobody needs one. Node's Testcontainers module waits for the port all the same, and health
//! checks send it `ruok`.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Tool;
use crate::stop::Stop;
use crate::talk::say;

/// What ZooKeeper listens on when nothing is set.
const PORT: u16 = 2181;
/// How long a client may take to say its word.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) const TOOL: Tool = Tool {
    name: "zookeeper-server-start",
    classes: &["org.apache.zookeeper.server.quorum.QuorumPeerMain"],
    run,
};

fn run(args: &[String]) -> Result<(), Stop> {
    if args.iter().any(|arg| arg == "-daemon") {
        return in_the_background(args)
            .map_err(|e| Stop::Failed(format!("Cannot start in the background: {e}")));
    }
    let port = match args.iter().find(|arg| !arg.starts_with('-')) {
        Some(file) => client_port(file).map_err(Stop::Failed)?,
        None => PORT,
    };
    let listener = TcpListener::bind(("0.0.0.0", port))
        .map_err(|e| Stop::Failed(format!("Cannot listen on port {port}: {e}")))?;
    say!("Ottla needs no ZooKeeper: port {port} is open for those who wait for it.");
    answer(&listener);
    Ok(())
}

/// Starts another one of this program, and does not wait for it.
fn in_the_background(args: &[String]) -> std::io::Result<()> {
    Command::new(std::env::current_exe()?)
        .args(["kafka", TOOL.name])
        .args(args.iter().filter(|arg| *arg != "-daemon"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(drop)
}

/// `clientPort` of a properties file.
fn client_port(file: &str) -> Result<u16, String> {
    let opened = File::open(file).map_err(|e| format!("Cannot read {file}: {e}"))?;
    let properties =
        java_properties::read(BufReader::new(opened)).map_err(|e| format!("{file}: {e}"))?;
    match properties.get("clientPort").map(|port| port.trim()) {
        None => Ok(PORT),
        Some(port) => port
            .parse()
            .map_err(|_| format!("{file}: clientPort={port} is not a port (0 to 65535)")),
    }
}

/// Answers until the listener fails.
fn answer(listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        // Who went away again wanted to know that the port is open.
        let _ = answer_one(stream);
    }
}

/// Says that it is well to whoever asks in ZooKeeper's way; any other client is let go.
fn answer_one(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut word = [0; 4];
    stream.read_exact(&mut word)?;
    match &word {
        b"ruok" => stream.write_all(b"imok"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_open_and_is_well() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || answer(&listener));
        for (word, expected) in [("ruok", "imok"), ("what", "")] {
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(word.as_bytes()).unwrap();
            let mut told = String::new();
            client.read_to_string(&mut told).unwrap();
            assert_eq!(told, expected, "{word}");
        }
        // Neither does who says nothing keep the others waiting for good.
        let _silent = TcpStream::connect(address).unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"ruok").unwrap();
        let mut told = String::new();
        client.read_to_string(&mut told).unwrap();
        assert_eq!(told, "imok");
    }

    #[test]
    fn the_port_is_that_of_the_file() {
        let dir = std::env::temp_dir().join(format!("ottla-zookeeper-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("zookeeper.properties");
        let path = file.to_str().unwrap();
        for (text, expected) in [
            ("clientPort=2182\ndataDir=/var/lib/zookeeper\n", Ok(2182)),
            ("dataDir=/tmp\n", Ok(2181)),
            (
                "clientPort=many\n",
                Err(format!(
                    "{path}: clientPort=many is not a port (0 to 65535)"
                )),
            ),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(client_port(path), expected);
        }
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(client_port(path).unwrap_err().contains("Cannot read"));
    }
}
