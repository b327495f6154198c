//! The brokers that are measured: each a process of its own on this machine, with a fresh data directory.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kafka_protocol::messages::MetadataRequest;
use ottla_client::Connection;
use serde::{Serialize, Serializer};
use tempfile::TempDir;

use crate::floor;

/// How long a broker may take to answer for the first time.
const START_DEADLINE: Duration = Duration::from_secs(120);
/// How often a starting broker is asked: finer than what is measured.
const POLL: Duration = Duration::from_micros(500);

const NO_BROKER: &str = "a floor is started for a load";

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// Ottla, fsync before each acknowledgement.
    Ottla,
    /// Apache Kafka as it comes: the page cache, no fsync.
    Kafka,
    /// Apache Kafka with `log.flush.interval.messages=1`.
    KafkaFsync,
    /// A raw program.
    Floor(floor::Kind),
}

impl Target {
    /// As in tables.
    pub fn title(self) -> &'static str {
        match self {
            Target::Ottla => "Ottla (fsync)",
            Target::Kafka => "Kafka (no fsync)",
            Target::KafkaFsync => "Kafka (fsync)",
            Target::Floor(floor::Kind::Answer) => "floor (answer only)",
            Target::Floor(floor::Kind::Synced) => "floor (fsync)",
        }
    }
}

/// The name by which a file of results has it.
impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Target::Ottla => "ottla",
            Target::Kafka => "kafka",
            Target::KafkaFsync => "kafka-fsync",
            Target::Floor(floor::Kind::Answer) => "floor-answer",
            Target::Floor(floor::Kind::Synced) => "floor-synced",
        })
    }
}

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The `ottla` binary.
    pub ottla: PathBuf,
    /// The directory with Apache Kafka's jars.
    pub kafka_jars: PathBuf,
    /// The start command of Ottla's image.
    pub image_start: PathBuf,
    /// Where data directories are made; the device that is measured.
    pub scratch: PathBuf,
    /// Whether data directories stay when their broker is gone.
    pub keep_data: bool,
}

impl Programs {
    /// A new directory for a broker's files.
    fn directory(&self) -> Result<TempDir> {
        let mut builder = tempfile::Builder::new();
        let directory = builder
            .disable_cleanup(self.keep_data)
            .tempdir_in(&self.scratch);
        directory.with_context(|| format!("no directory can be made in {}", self.scratch.display()))
    }
}

/// A running broker. Killed on drop; [`Server::stop`] is the graceful way.
pub struct Server {
    child: Child,
    /// As it was started, and will be again.
    command: Command,
    /// Where it answers.
    pub address: String,
    /// From the start of the process to the first answer.
    pub started_in: Duration,
    data: TempDir,
}

impl Server {
    /// Starts `target` on a free port and an empty directory, and waits for its first Metadata answer.
    pub async fn start(target: Target, programs: &Programs) -> Result<Server> {
        let data = programs.directory()?;
        let port = free_port()?;
        let address = format!("127.0.0.1:{port}");
        let command = match target {
            Target::Ottla => ottla(programs, port, data.path()),
            Target::Kafka | Target::KafkaFsync => {
                kafka(programs, port, data.path(), target == Target::KafkaFsync)?
            }
            Target::Floor(_) => bail!(NO_BROKER),
        };
        Server::run(command, data, address, Instant::now()).await
    }

    /// As [`Server::start`]: the raw program for a load.
    pub async fn start_floor(
        load: floor::Load,
        kind: floor::Kind,
        programs: &Programs,
    ) -> Result<Server> {
        let data = programs.directory()?;
        let port = free_port()?;
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(std::env::current_exe()?);
        command.args(floor::command_line(load, kind, port));
        command.arg(data.path().join("data"));
        Server::run(command, data, address, Instant::now()).await
    }

    /// As [`Server::start`] of Ottla, on a data directory that `prepare` has filled.
    pub async fn start_on(
        programs: &Programs,
        prepare: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Server> {
        let data = programs.directory()?;
        prepare(&data.path().join("data"))?;
        let port = free_port()?;
        let command = ottla(programs, port, data.path());
        Server::run(command, data, format!("127.0.0.1:{port}"), Instant::now()).await
    }

    /// As [`Server::start`], by what an image does when its container starts: settings come from variables, and Kafka's directory is
    /// formatted as a part of it.
    pub async fn start_as_image(target: Target, programs: &Programs) -> Result<Server> {
        let data = programs.directory()?;
        let port = free_port()?;
        let address = format!("127.0.0.1:{port}");
        let started = Instant::now();
        let command = match target {
            Target::Ottla => ottla_of_image(programs, port, data.path()),
            Target::Kafka | Target::KafkaFsync => {
                kafka(programs, port, data.path(), target == Target::KafkaFsync)?
            }
            Target::Floor(_) => bail!(NO_BROKER),
        };
        Server::run(command, data, address, started).await
    }

    async fn run(
        mut command: Command,
        data: TempDir,
        address: String,
        started: Instant,
    ) -> Result<Server> {
        let log = std::fs::File::create(data.path().join("output.log"))?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command
            .spawn()
            .with_context(|| format!("{:?} cannot be run", command.get_program()))?;
        let mut server = Server {
            child,
            command,
            address,
            started_in: Duration::ZERO,
            data,
        };
        server.wait_for_answer(started).await?;
        Ok(server)
    }

    async fn wait_for_answer(&mut self, started: Instant) -> Result<()> {
        loop {
            if first_answer(&self.address).await {
                self.started_in = started.elapsed();
                return Ok(());
            }
            let ended = self.child.try_wait()?;
            if ended.is_some() || started.elapsed() > START_DEADLINE {
                let log = std::fs::read_to_string(self.data.path().join("output.log"))?;
                bail!("the broker did not start ({ended:?}):\n{log}");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its data is.
    pub fn data_dir(&self) -> PathBuf {
        self.data.path().join("data")
    }

    /// Asks it to stop, and says how long that took.
    pub fn stop(mut self) -> Result<Duration> {
        self.end("TERM")
    }

    /// Asks it to stop and starts it again on its data. How long each took.
    pub async fn restart(&mut self) -> Result<(Duration, Duration)> {
        let stopped_in = self.end("TERM")?;
        Ok((stopped_in, self.start_again().await?))
    }

    /// Kills it and starts it again on its data. How long the start took.
    pub async fn crash(&mut self) -> Result<Duration> {
        self.end("KILL")?;
        self.start_again().await
    }

    fn end(&mut self, signal: &str) -> Result<Duration> {
        let started = Instant::now();
        let status = Command::new("kill")
            .args(["-s", signal, &self.pid().to_string()])
            .status()?;
        anyhow::ensure!(status.success(), "kill failed: {status}");
        self.child.wait()?;
        Ok(started.elapsed())
    }

    async fn start_again(&mut self) -> Result<Duration> {
        let started = Instant::now();
        self.child = self.command.spawn()?;
        self.wait_for_answer(started).await?;
        Ok(self.started_in)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended after `stop`: then both answer with an error that means nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn first_answer(address: &str) -> bool {
    let Ok(mut connection) = Connection::connect(address).await else {
        return false;
    };
    let request = MetadataRequest::default().with_topics(None);
    let answer = connection.call(1, &request).await;
    answer.is_ok_and(|answer| !answer.brokers.is_empty())
}

fn free_port() -> Result<u16> {
    let address: SocketAddr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    Ok(address.port())
}

fn ottla(programs: &Programs, port: u16, data: &Path) -> Command {
    let mut command = Command::new(&programs.ottla);
    command
        .args(["serve", "--port", &port.to_string(), "--data-dir"])
        .arg(data.join("data"));
    command
}

/// What a container of the image runs, with the variables of a compose file.
fn ottla_of_image(programs: &Programs, port: u16, data: &Path) -> Command {
    let folder = programs.ottla.parent().unwrap_or(Path::new("."));
    let path = std::env::var("PATH").unwrap_or_default();
    let listener = format!("PLAINTEXT://127.0.0.1:{port}");
    let mut command = Command::new("sh");
    command
        .arg(&programs.image_start)
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("OTTLA_ANNOUNCE", "kafka")
        .env("OTTLA_HTTP_PORT", "0")
        .env("KAFKA_NODE_ID", "1")
        .env("KAFKA_PROCESS_ROLES", "broker,controller")
        .env("KAFKA_LISTENERS", &listener)
        .env("KAFKA_ADVERTISED_LISTENERS", &listener)
        .env("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1")
        .env("KAFKA_LOG_DIRS", data.join("data"));
    command
}

/// Formats the directory (which [`Server::start`] does not measure) and prepares the start, with the heap and the collector of Kafka's own scripts.
fn kafka(programs: &Programs, port: u16, data: &Path, fsync: bool) -> Result<Command> {
    let controller = free_port()?;
    let flush = if fsync {
        "log.flush.interval.messages=1\n"
    } else {
        ""
    };
    let properties = data.join("server.properties");
    let logs = data.join("data");
    let text = format!(
        "process.roles=broker,controller\nnode.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         controller.listener.names=CONTROLLER\nlog.dirs={}\n\
         offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n{flush}",
        logs.display()
    );
    std::fs::write(&properties, text)?;
    let class_path = programs.kafka_jars.join("*");
    let format = Command::new("java")
        .arg("-cp")
        .arg(&class_path)
        .args(["kafka.tools.StorageTool", "format", "--cluster-id"])
        .args(["4L6g3nShT-eMCtK--X86sw", "--config"])
        .arg(&properties)
        .output()
        .context("java cannot be run")?;
    if !format.status.success() {
        bail!(
            "Apache Kafka's directory cannot be formatted (jars from {}; scripts/setup-test-clients.sh java installs them):\n{}",
            programs.kafka_jars.display(),
            String::from_utf8_lossy(&format.stderr)
        );
    }
    let mut command = Command::new("java");
    command
        .args(["-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC"])
        .args([
            "-XX:MaxGCPauseMillis=20",
            "-XX:InitiatingHeapOccupancyPercent=35",
        ])
        .args([
            "-XX:+ExplicitGCInvokesConcurrent",
            "-Djava.awt.headless=true",
            "-cp",
        ])
        .arg(&class_path)
        .arg("kafka.Kafka")
        .arg(&properties);
    Ok(command)
}
