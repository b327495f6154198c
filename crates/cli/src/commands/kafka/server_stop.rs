//! `kafka-server-stop`: ends the brokers of this machine, as Kafka's script does; with `--node-id` that of this id alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ottla_broker::settings::properties;
use rustix::process::{Pid, Signal, kill_process};

use crate::talk::say;

pub fn run(args: &[String]) -> ExitCode {
    let Ok(wanted) = Wanted::of(args) else {
        say!("USAGE: kafka-server-stop [--node-id=id] [--process-role=role]");
        return ExitCode::FAILURE;
    };
    let brokers: Vec<Broker> = processes().into_iter().filter_map(Broker::of).collect();
    if brokers.is_empty() {
        println!("No kafka server to stop");
        return ExitCode::FAILURE;
    }
    let mut code = ExitCode::SUCCESS;
    for broker in brokers.iter().filter(|broker| wanted.means(broker)) {
        let ended = Pid::from_raw(broker.pid).map(|pid| kill_process(pid, Signal::TERM));
        if let Some(Err(error)) = ended {
            say!("ottla: cannot end process {}: {error}", broker.pid);
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// Which brokers to end: all, or those whose properties say this.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    node_id: Option<String>,
    role: Option<String>,
}

impl Wanted {
    fn of(args: &[String]) -> Result<Wanted, ()> {
        let mut wanted = Wanted::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (&**arg, args.next().cloned()),
            };
            match name {
                "--node-id" => wanted.node_id = Some(value.ok_or(())?),
                "--process-role" => wanted.role = Some(value.ok_or(())?),
                _ => return Err(()),
            }
        }
        Ok(wanted)
    }

    /// The id comes before the role, as with Kafka's script.
    fn means(&self, broker: &Broker) -> bool {
        match (&self.node_id, &self.role) {
            (Some(id), _) => {
                let own = broker.setting("node.id").or(broker.setting("broker.id"));
                own.is_some_and(|own| own == *id)
            }
            (None, Some(role)) => broker.setting("process.roles").as_ref() == Some(role),
            (None, None) => true,
        }
    }
}

struct Process {
    pid: i32,
    args: Vec<String>,
    directory: PathBuf,
}

/// A process that is a broker of Ottla's.
#[derive(Debug)]
struct Broker {
    pid: i32,
    args: Vec<String>,
    /// The file of its properties, if it was started with one.
    config: Option<PathBuf>,
}

impl Broker {
    fn of(process: Process) -> Option<Broker> {
        let args: Vec<&str> = process.args.iter().map(|arg| &**arg).collect();
        let program = Path::new(args.first()?).file_name()?.to_str()?;
        let config = match (program, &args[1..]) {
            ("ottla", ["serve", rest @ ..]) => option(rest, "--config").or(option(rest, "-c")),
            ("ottla", ["kafka", tool, rest @ ..]) => server_config(tool, rest)?,
            (tool, rest) => server_config(tool, rest)?,
        };
        Some(Broker {
            pid: process.pid,
            config: config.map(|file| process.directory.join(file)),
            args: process.args,
        })
    }

    /// What it was told of a setting, by an override or its file.
    fn setting(&self, name: &str) -> Option<String> {
        let mut overrides = self.args.iter().filter_map(|arg| {
            let arg = arg.strip_prefix("--override=").unwrap_or(arg);
            arg.strip_prefix(name)?.strip_prefix('=')
        });
        overrides.next_back().map(str::to_owned).or_else(|| {
            let text = fs::read_to_string(self.config.as_ref()?).ok()?;
            properties::parse(&text).ok()?.remove(name)
        })
    }
}

/// The file of `kafka-server-start`, or of `kafka-run-class kafka.Kafka`; `None` for what is neither.
fn server_config<'a>(tool: &str, args: &[&'a str]) -> Option<Option<&'a str>> {
    let tool = tool.strip_suffix(".sh").unwrap_or(tool);
    let file = |args: &[&'a str]| args.iter().copied().find(|arg| !arg.starts_with('-'));
    match tool.strip_prefix("kafka-").unwrap_or(tool) {
        "server-start" => Some(file(args)),
        "run-class" => {
            let class = args.iter().position(|arg| *arg == super::SERVER_CLASS)?;
            Some(file(&args[class + 1..]))
        }
        _ => None,
    }
}

fn option<'a>(args: &[&'a str], name: &str) -> Option<&'a str> {
    args.iter().enumerate().find_map(|(at, arg)| {
        if *arg == name {
            return args.get(at + 1).copied();
        }
        arg.strip_prefix(name)?.strip_prefix('=')
    })
}

/// All processes but this one, as far as they can be looked at.
fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let own = std::process::id();
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            (pid.cast_unsigned() != own).then(|| Process {
                pid,
                args: line
                    .split(|byte| *byte == 0)
                    .map(|arg| String::from_utf8_lossy(arg).into_owned())
                    .collect(),
                directory: fs::read_link(entry.path().join("cwd")).unwrap_or_default(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(line: &str) -> Option<Broker> {
        Broker::of(Process {
            pid: 7,
            args: line.split(' ').map(str::to_owned).collect(),
            directory: PathBuf::from("/srv"),
        })
    }

    #[test]
    fn a_broker_is_known_by_how_it_was_started() {
        for (line, config) in [
            ("/usr/local/bin/ottla serve", None),
            ("ottla serve --port 0 --config a", Some("/srv/a")),
            ("ottla serve --config=/etc/a", Some("/etc/a")),
            ("ottla serve -c a", Some("/srv/a")),
            (
                "/opt/kafka/bin/kafka-server-start.sh a --override x=y",
                Some("/srv/a"),
            ),
            ("ottla kafka server-start a", Some("/srv/a")),
            ("kafka-run-class -name x kafka.Kafka a", Some("/srv/a")),
        ] {
            let found = broker(line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(found.config, config.map(PathBuf::from), "{line}");
        }
        for line in [
            "",
            "ottla topic list",
            "vi ottla serve",
            "kafka-topics.sh --list",
            "ottla kafka topics --list",
            "kafka-server-stop.sh",
            "kafka-run-class kafka.tools.GetOffsetShell",
        ] {
            assert!(broker(line).is_none(), "{line}");
        }
    }

    #[test]
    fn a_node_is_chosen_by_its_override_or_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("server.properties");
        fs::write(&file, "node.id=3\nprocess.roles=broker,controller\n").unwrap();
        let line = format!("ottla serve --config {}", file.display());
        let wanted = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            Wanted::of(&args).unwrap()
        };
        let from_file = broker(&line).unwrap();
        let overridden = broker(&format!("{line} --override node.id=4")).unwrap();
        assert!(wanted(&[]).means(&from_file));
        assert!(wanted(&["--node-id=3"]).means(&from_file));
        assert!(!wanted(&["--node-id", "4"]).means(&from_file));
        assert!(wanted(&["--node-id", "4"]).means(&overridden));
        assert!(wanted(&["--process-role=broker,controller"]).means(&from_file));
        assert!(!wanted(&["--process-role=broker"]).means(&from_file));
        assert!(!wanted(&["--node-id=3"]).means(&broker("ottla serve").unwrap()));
        assert!(Wanted::of(&["--all".to_owned()]).is_err());
    }
}
