//! The README's minute is true: its commands are run, and print what it says.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// The console sessions of the README: (command, what it prints).
fn sessions() -> Vec<(String, String)> {
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md"))
            .unwrap();
    let mut steps: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if inside {
            match line.strip_prefix("$ ") {
                Some(command) => steps.push((command.to_owned(), String::new())),
                None => {
                    let (_, printed) = steps.last_mut().expect("output follows a command");
                    printed.push_str(line);
                    printed.push('\n');
                }
            }
        }
    }
    steps
}

/// The text with `TIME` for every moment in it: those differ from run to run.
fn without_times(text: &str) -> String {
    let is_time = |word: &str| {
        (20..=24).contains(&word.len())
            && word.starts_with("20")
            && word.as_bytes()[10] == b'T'
            && word.ends_with('Z')
    };
    let line = |line: &str| {
        line.split(' ')
            .map(|word| if is_time(word) { "TIME" } else { word })
            .collect::<Vec<_>>()
            .join(" ")
    };
    text.lines().map(|text| line(text) + "\n").collect()
}

/// A shell that stays for all steps: each prints a line that marks its end.
const END: &str = "-- end of step --";

#[test]
fn the_commands_of_the_readme_print_what_it_says() {
    let steps = sessions();
    assert!(steps.len() >= 8, "the README has its minute: {steps:?}");
    let dir = tempfile::tempdir().unwrap();
    let ottla = Path::new(env!("CARGO_BIN_EXE_ottla"));
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();

    let mut script = format!(
        "PATH={}:$PATH\nexport OTTLA_BOOTSTRAP_SERVER=127.0.0.1:{port}\n",
        ottla.parent().unwrap().display()
    );
    // The README's broker has the default port; here one that is free. Its banner says that it is ready.
    let serve = format!(
        "mkfifo banner.$$ && {{ ottla serve --port {port} --http-port 0 >/dev/null 2>banner.$$ & }} && head -n 1 banner.$$ >/dev/null && rm banner.$$"
    );
    script.push_str(&format!("{serve}\n"));
    for (command, _) in &steps {
        if command.starts_with("ottla serve") {
            script.push_str(&format!("{serve}\n"));
        } else {
            script.push_str(&format!("{command} 2>&1\n"));
        }
        if command.starts_with("kill -9") {
            script.push_str("wait\n");
        }
        script.push_str(&format!("echo '{END}'\n"));
    }
    script.push_str("kill \"$(cat data/.lock)\"; wait\n");

    let mut shell = Command::new("bash")
        .arg("-s")
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    shell
        .stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    let output = shell.wait_with_output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let printed: Vec<&str> = printed.split(&format!("{END}\n")).collect();
    for (index, (command, expected)) in steps.iter().enumerate() {
        let got = printed
            .get(index)
            .copied()
            .unwrap_or("(the shell ended before)");
        assert_eq!(
            without_times(got),
            without_times(expected),
            "`{command}`; stderr: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
