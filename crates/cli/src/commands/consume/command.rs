//! One run of the shell command of `--exec`, for one record.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use ottla_client::consumer::ConsumedRecord;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, Command};

/// The longest key that goes into the environment; Linux takes no variable beyond 128 KiB.
const MAX_KEY: usize = 64 << 10;
/// As much of a line is kept as a reason.
const MAX_LINE: usize = 1000;
/// A process that the command left behind may hold its standard error open; what the command itself wrote is there at once.
const AFTER_THE_END: Duration = Duration::from_millis(100);

/// How a command ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Done,
    Failed {
        reason: String,
        /// By a signal, not by itself.
        killed: bool,
    },
}

/// The command, ready to start. It is a process group of its own, so that a terminal's Ctrl-C does not reach it.
pub(super) fn prepare(command: &str, record: &ConsumedRecord) -> Command {
    let mut prepared = Command::new("sh");
    prepared
        .arg("-c")
        .arg(command)
        .env("OTTLA_TOPIC", &*record.topic)
        .env("OTTLA_PARTITION", record.partition.to_string())
        .env("OTTLA_OFFSET", record.offset.to_string())
        .env("OTTLA_TIMESTAMP", record.timestamp.to_string())
        .env_remove("OTTLA_KEY")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let key = record.key.as_deref();
    if let Some(key) = key.filter(|key| key.len() <= MAX_KEY && !key.contains(&0)) {
        prepared.env("OTTLA_KEY", text(key));
    }
    #[cfg(unix)]
    prepared.process_group(0);
    prepared
}

#[cfg(unix)]
fn text(key: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(key)
}

#[cfg(not(unix))]
fn text(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

/// Hands the record's value over and waits for the end. What the command writes goes on to our own output. Dropped, it
/// kills the shell.
pub(super) async fn finish(mut child: Child, record: &ConsumedRecord) -> io::Result<Outcome> {
    let mut stdin = child.stdin.take().expect("standard input is piped");
    let stderr = child.stderr.take().expect("standard error is piped");
    let mut lines = LastLine::default();
    let value = record.value.clone().unwrap_or_default();
    let feed = async move {
        match stdin.write_all(&value).await {
            // It may have read as much as it wanted.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    };
    let status = {
        let mut feed = std::pin::pin!(feed);
        let mut work = std::pin::pin!(work(child, stderr, &mut lines));
        tokio::select! {
            status = &mut work => status?,
            fed = &mut feed => { fed?; work.await? }
        }
    };
    if lost_its_reader(status) {
        let told = "nobody reads the command's output any more (SIGPIPE); its record is not counted as failed";
        return Err(io::Error::other(told));
    }
    Ok(match status.success() {
        true => Outcome::Done,
        false => Outcome::Failed {
            reason: lines.finish().unwrap_or_else(|| describe(status)),
            killed: status.code().is_none(),
        },
    })
}

async fn work(
    mut child: Child,
    stderr: ChildStderr,
    lines: &mut LastLine,
) -> io::Result<ExitStatus> {
    let mut tee = std::pin::pin!(tee(stderr, lines));
    let status = tokio::select! {
        result = &mut tee => {
            result?;
            return child.wait().await;
        }
        status = child.wait() => status?,
    };
    if let Ok(result) = tokio::time::timeout(AFTER_THE_END, tee).await {
        result?;
    }
    Ok(status)
}

/// Whether a closed pipe ended it, as in `ottla consume ... | head`: then every record would fail. A shell reports its
/// command's signal as 128 and the number.
#[cfg(unix)]
fn lost_its_reader(status: ExitStatus) -> bool {
    const SIGPIPE: i32 = 13;
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(SIGPIPE)
        || status.code() == Some(128 + SIGPIPE)
}

#[cfg(not(unix))]
fn lost_its_reader(_: ExitStatus) -> bool {
    false
}

fn describe(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit status {code}"),
        None => status.to_string(),
    }
}

async fn tee(mut stderr: ChildStderr, lines: &mut LastLine) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let read = stderr.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        lines.push(&buffer[..read]);
        // Whoever reads it may go away.
        let _ = io::Write::write_all(&mut io::stderr(), &buffer[..read]);
    }
}

/// The last line that is not blank, of a text that comes in pieces.
#[derive(Debug, Default)]
struct LastLine {
    last: Vec<u8>,
    current: Vec<u8>,
}

impl LastLine {
    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => self.end_line(),
                byte if self.current.len() < MAX_LINE => self.current.push(*byte),
                _ => {}
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.current);
        if !line.trim_ascii().is_empty() {
            self.last = line;
        }
    }

    fn finish(mut self) -> Option<String> {
        self.end_line();
        let line = String::from_utf8_lossy(self.last.trim_ascii()).into_owned();
        Some(line).filter(|line| !line.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_with_something_in_it_is_the_reason() {
        for (pieces, expected) in [
            (&["one\ntw", "o\n"][..], Some("two")),
            (&["one\r\n\n  \n"], Some("one")),
            (&["one\ntwo"], Some("two")),
            (&["\n", " "], None),
            (&[], None),
        ] {
            let mut lines = LastLine::default();
            pieces.iter().for_each(|piece| lines.push(piece.as_bytes()));
            assert_eq!(lines.finish().as_deref(), expected, "{pieces:?}");
        }
        let mut lines = LastLine::default();
        lines.push(&[b'x'; 5000]);
        assert_eq!(lines.finish().map(|line| line.len()), Some(MAX_LINE));
    }
}
