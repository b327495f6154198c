//! What two runs of a tool must have in common: their output without addresses, ids, times, log lines and stack traces.

use ottla_tests::harness::Finished;

/// Whether the order of lines counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Kept,
    Any,
}

/// A run's output in a form to compare.
#[derive(Debug, PartialEq, Eq)]
pub struct Normal {
    code: Option<i32>,
    stdout: Vec<String>,
    stderr: Vec<String>,
}

pub fn of(run: &Finished, server: &str, order: Order) -> Normal {
    let lines = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(|line| constant(line, server)).collect();
        if order == Order::Any {
            lines.sort();
        }
        lines
    };
    Normal {
        code: run.code,
        stdout: lines(&run.stdout),
        stderr: lines(&without_logs(&run.stderr, &run.stdout)),
    }
}

/// Puts constants of the same length in the place of what differs between two brokers: columns keep their widths.
fn constant(line: &str, server: &str) -> String {
    let line = line.replace(server, &"S".repeat(server.len()));
    without_uuids(&line)
}

/// Member ids end in a UUID.
fn without_uuids(line: &str) -> String {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    let mut out = line.as_bytes().to_vec();
    let length = GROUPS.iter().sum::<usize>() + 4;
    for start in 0..(out.len() + 1).saturating_sub(length) {
        let candidate = &out[start..start + length];
        let mut groups = candidate.split(|byte| *byte == b'-');
        let is_uuid = GROUPS.iter().all(|size| {
            groups
                .next()
                .is_some_and(|g| g.len() == *size && g.iter().all(u8::is_ascii_hexdigit))
        });
        if is_uuid {
            out[start..start + length].fill(b'U');
        }
    }
    String::from_utf8(out).expect("ASCII was put in the place of ASCII")
}

/// Leaves out what goes to a log in the original (`[main] WARN ...`, or `[2026-01-01 ...] WARN ...` in the layout of Kafka's own
/// scripts), stack traces below their first line, the table of options, and what the original says of its own future.
fn without_logs(stderr: &str, stdout: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut logged = false;
    for line in stderr.lines() {
        if line.starts_with("Option ") && line.trim_end().ends_with("Description") {
            break;
        }
        if line.starts_with("The consumer rebalance protocol (KIP-848)") || is_below_trace(line) {
            continue;
        }
        logged = is_log(line) || (logged && is_exception(line));
        // Some print a message, then the trace that it is from.
        let repeated = is_exception(line)
            && line.split_once(": ").is_some_and(|(_, message)| {
                kept.iter().any(|line| line.ends_with(message)) || stdout.contains(message)
            });
        if !logged && !repeated {
            kept.push(uncaught(line));
        }
    }
    while kept.last().is_some_and(|line| line.is_empty()) {
        kept.pop();
    }
    kept.join("\n")
}

fn is_below_trace(line: &str) -> bool {
    // The last two: Jackson's, which the original prints while it finds out which kind of file it has.
    line.starts_with("\tat ")
        || line.starts_with("Caused by: ")
        || line.starts_with("\tSuppressed: ")
        || (line.starts_with("\t... ") && line.ends_with(" more"))
        || line.starts_with(" at [Source: ")
        || line.starts_with("com.fasterxml.jackson.")
}

/// `org.apache.kafka.common.KafkaException: message`
fn is_exception(line: &str) -> bool {
    let class = line.split(": ").next().unwrap_or_default();
    class.contains('.') && (class.ends_with("Exception") || class.ends_with("Error"))
}

/// The message of an exception that nobody caught, which a shim tells without Java's words around it.
fn uncaught(line: &str) -> &str {
    match line.strip_prefix("Exception in thread \"main\" ") {
        Some(thrown) => thrown
            .split_once(": ")
            .map_or(thrown, |(_, message)| message),
        None => line,
    }
}

fn is_log(line: &str) -> bool {
    let Some((source, rest)) = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
    else {
        return false;
    };
    !source.is_empty()
        && ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"]
            .iter()
            .any(|level| rest.starts_with(level))
}

#[test]
fn addresses_ids_logs_and_traces_do_not_count_and_all_else_does() {
    let run = |port: u16, id: &str, offset: u32| Finished {
        code: Some(1),
        stdout: format!("g 127.0.0.1:{port} consumer-1-{id} {offset}\n"),
        stderr: format!(
            "[main] WARN org.apache - {port}\njava.lang.AnError: {port}\n\tat a.B.c(D.java:{port})\n\t... 3 more\nsaid\n"
        ),
    };
    let first = run(10001, "0a1b2c3d-0000-4000-8000-00000000000a", 5);
    let second = run(10002, "ffffffff-1111-4222-9333-44444444444b", 5);
    let normal = |run: &Finished, port: u16| of(run, &format!("127.0.0.1:{port}"), Order::Kept);
    assert_eq!(normal(&first, 10001), normal(&second, 10002));
    let moved = run(10002, "ffffffff-1111-4222-9333-44444444444b", 6);
    assert_ne!(normal(&first, 10001), normal(&moved, 10002));
    let mut ended = second.clone();
    ended.code = Some(0);
    assert_ne!(normal(&first, 10001), normal(&ended, 10002));
    ended = second.clone();
    ended.stderr.push_str("more\n");
    assert_ne!(normal(&first, 10001), normal(&ended, 10002));
    let lines = |text: &str| Finished {
        code: Some(0),
        stdout: text.to_owned(),
        stderr: String::new(),
    };
    let any = |text| of(&lines(text), "none", Order::Any);
    assert_eq!(any("a\nb\n"), any("b\na\n"));
    assert_ne!(any("a\nb\n"), any("a\na\n"));
}
