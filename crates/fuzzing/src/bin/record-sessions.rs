//! Records what a client's program says to a broker: a session for each of its checks.
//!   record-sessions OTTLA DIRECTORY NAME PROGRAM [ARGUMENT]... [-- CHECK...]
//!
//! OTTLA is the binary. The program is one of those that tests/ drives: it gets a bootstrap address and names of checks, and tells in lines of
//! JSON when a check is over and when it wants the broker ended. Sessions become DIRECTORY/NAME-CHECK.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use ottla_fuzzing::session::Recorder;
use serde_json::Value;

type Shared = Arc<Mutex<Recorder>>;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [ottla, directory, name, program @ ..] = &args[..] else {
        bail!("record-sessions OTTLA DIRECTORY NAME PROGRAM [ARGUMENT]... [-- CHECK...]");
    };
    let (program, checks) = match program.iter().position(|arg| arg == "--") {
        Some(at) => (&program[..at], &program[at + 1..]),
        None => (program, &[][..]),
    };
    let [program, arguments @ ..] = program else {
        bail!("no program");
    };
    let proxy = TcpListener::bind("127.0.0.1:0")?;
    let address = proxy.local_addr()?;
    let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let data = tempfile::tempdir()?;
    let mut broker = start(ottla, data.path(), free, address.port())?;
    let recorder = Shared::default();
    let accepting = recorder.clone();
    std::thread::spawn(move || accept(&proxy, free, &accepting));

    let mut client = Command::new(program)
        .args(arguments)
        .arg(address.to_string())
        .args(checks)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{program} cannot be started"))?;
    let mut input = client.stdin.take().context("its input is a pipe")?;
    let output = client.stdout.take().context("its output is a pipe")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        if said["control"].is_string() {
            broker.kill()?;
            broker.wait()?;
            lock(&recorder).ended();
            broker = start(ottla, data.path(), free, address.port())?;
            input.write_all(b"restarted\n")?;
        } else if let Some(check) = said["check"].as_str() {
            let session = lock(&recorder).take();
            println!("{name}-{check}: {} bytes, ok {}", session.len(), said["ok"]);
            let path = Path::new(directory).join(format!("{name}-{check}"));
            std::fs::write(path, session)?;
        }
    }
    client.wait()?;
    broker.kill()?;
    broker.wait()?;
    Ok(())
}

fn lock(recorder: &Shared) -> std::sync::MutexGuard<'_, Recorder> {
    recorder.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start(ottla: &str, data: &Path, port: u16, advertised: u16) -> anyhow::Result<Child> {
    let port_text = port.to_string();
    let told = format!("advertised.listeners=PLAINTEXT://127.0.0.1:{advertised}");
    let mut broker = Command::new(ottla)
        .args(["serve", "--host", "127.0.0.1", "--port", &port_text])
        .args(["--override", &told, "--override", "http.port=off"])
        .arg("--data-dir")
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{ottla} cannot be started"))?;
    for _ in 0..2000 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(broker);
        }
        if let Some(status) = broker.try_wait()? {
            bail!("{ottla} ended at its start: {status}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bail!("{ottla} does not listen")
}

fn accept(proxy: &TcpListener, port: u16, recorder: &Shared) {
    for (number, client) in proxy.incoming().enumerate() {
        let Ok(client) = client else { continue };
        let recorder = recorder.clone();
        // A client that comes while there is no broker is turned away, as by the system.
        std::thread::spawn(move || relay(number, &client, port, &recorder));
    }
}

fn relay(number: usize, client: &TcpStream, port: u16, recorder: &Shared) -> anyhow::Result<()> {
    let broker = TcpStream::connect(("127.0.0.1", port))?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let answers = {
        let (from, to) = (broker.try_clone()?, client.try_clone()?);
        let recorder = recorder.clone();
        std::thread::spawn(move || {
            let _ = frames(&from, &to, |frame| lock(&recorder).answer(number, frame));
            let _ = to.shutdown(Shutdown::Both);
        })
    };
    let _ = frames(client, &broker, |frame| {
        lock(recorder).request(number, frame);
    });
    let _ = broker.shutdown(Shutdown::Both);
    lock(recorder).closed(number);
    let _ = answers.join();
    Ok(())
}

/// Hands frames on until there are no more. Each is seen before it is handed on, so that what it leads to is seen after it.
fn frames(
    mut from: &TcpStream,
    mut to: &TcpStream,
    mut see: impl FnMut(&[u8]),
) -> std::io::Result<()> {
    loop {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let mut frame = Vec::new();
        let len = u64::from(u32::from_be_bytes(length));
        from.take(len).read_to_end(&mut frame)?;
        see(&frame);
        to.write_all(&length)?;
        to.write_all(&frame)?;
    }
}
