//! Compose files: the services, and of each what says that it is Kafka.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;
use serde_saphyr::options::PropertySyntax;

use super::dotenv;

/// The largest file that is read: a compose file has some kilobytes.
const MAX_BYTES: u64 = 4 << 20;

/// A compose file, its variables filled in.
pub struct ComposeFile {
    /// As it is on disk.
    pub text: String,
    pub services: Vec<Service>,
}

/// A service.
#[derive(Debug, Default)]
pub struct Service {
    pub name: String,
    /// The lines of the service in the file, counted from 0; empty if they do not stand alone.
    pub lines: Range<usize>,
    pub image: Option<Image>,
    /// The words of `command`.
    pub command: Vec<String>,
    /// Whether it says itself what runs in its container.
    pub has_command: bool,
    /// In their order; files' first. A later one goes before an earlier one of its name.
    pub variables: Vec<Variable>,
    pub env_files: Vec<EnvFile>,
    pub ports: Vec<Port>,
    /// Whether it takes more from another service, which is not followed.
    pub extends: bool,
}

#[derive(Debug)]
pub struct Image {
    pub name: String,
    /// Where it is in the text, with its quotes, if it is written where it is used.
    pub at: Option<Range<usize>>,
}

/// A variable of a container's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    pub value: String,
    /// The line in the compose file, counted from 1; `None` for one of another file.
    pub line: Option<u64>,
}

/// What `env_file` names.
#[derive(Debug)]
pub struct EnvFile {
    pub path: String,
    /// Why it was not read.
    pub failure: Option<String>,
}

/// A port of a container that the host has too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    pub container: u16,
    pub host: u16,
}

/// Reads a file. Variables in it come from `shell`, and from the file `.env` beside it.
pub fn read(path: &Path, shell: &HashMap<String, String>) -> anyhow::Result<ComposeFile> {
    let shown = path.display();
    let failed = || format!("cannot read {shown}");
    let bytes = std::fs::metadata(path).with_context(failed)?.len();
    if bytes > MAX_BYTES {
        bail!("{shown} has {bytes} bytes: a compose file of more than {MAX_BYTES} is not read");
    }
    let text = std::fs::read_to_string(path).with_context(failed)?;
    let beside = path.parent().unwrap_or(Path::new(""));
    let mut properties = HashMap::new();
    let env = beside.join(".env");
    if env.is_file() {
        for line in dotenv::read(&env)? {
            properties.extend(line.value.map(|value| (line.name, value)));
        }
    }
    properties.extend(shell.clone());
    let document = parse(&text, properties.clone()).map_err(|error| {
        let place = error.location().map_or(0, |location| location.line());
        let reason = reason(&error);
        match place {
            0 => anyhow!("{shown}: {reason}"),
            line => anyhow!("{shown}:{line}: {reason}"),
        }
    })?;
    let Some(services) = document.and_then(|document| document.services) else {
        bail!("{shown} has no services: is it a compose file?");
    };
    let services = services
        .0
        .into_iter()
        .filter_map(|(name, raw)| Some((name, raw.referenced.line(), raw.value?)))
        .map(|(name, line, raw)| service(&text, beside, &properties, name, line, raw))
        .collect::<anyhow::Result<_>>()
        .with_context(|| shown.to_string())?;
    Ok(ComposeFile { text, services })
}

fn parse(
    text: &str,
    properties: HashMap<String, String>,
) -> Result<Option<Document>, serde_saphyr::Error> {
    let options = serde_saphyr::options! { property_syntax: PropertySyntax::DockerCompose };
    serde_saphyr::from_str_with_options(text, options.with_properties(properties))
}

/// What is wrong, without the place, which stands before it.
fn reason(error: &serde_saphyr::Error) -> String {
    let told = error.without_snippet().to_string();
    match told.rsplit_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => told,
    }
}

fn service(
    text: &str,
    beside: &Path,
    properties: &HashMap<String, String>,
    name: String,
    line: u64,
    raw: RawService,
) -> anyhow::Result<Service> {
    let mut service = Service {
        lines: lines_of(text, &name, line),
        has_command: raw.command.is_some() || raw.entrypoint.is_some(),
        extends: raw.extends.is_some(),
        command: raw.command.map_or_else(Vec::new, Words::split),
        ..Service::default()
    };
    for file in raw.env_file.map_or_else(Vec::new, EnvFiles::paths) {
        let path: PathBuf = beside.join(&file);
        let failure = match dotenv::read(&path) {
            Ok(lines) => {
                service
                    .variables
                    .extend(lines.into_iter().filter_map(|line| {
                        let value = line.value.or_else(|| properties.get(&line.name).cloned())?;
                        Some(Variable {
                            name: line.name,
                            value,
                            line: None,
                        })
                    }));
                None
            }
            Err(error) => Some(format!("{error:#}")),
        };
        service.env_files.push(EnvFile {
            path: file,
            failure,
        });
    }
    let variables = raw
        .environment
        .map_or_else(Vec::new, Environment::variables);
    service
        .variables
        .extend(variables.into_iter().filter_map(|(name, value, line)| {
            // A name alone is a variable of the shell.
            let value = value.or_else(|| properties.get(&name).cloned())?;
            Some(Variable {
                name,
                value,
                line: Some(line),
            })
        }));
    service.image = raw.image.map(|image| Image {
        at: (image.referenced == image.defined)
            .then(|| image.defined.span())
            .and_then(|span| {
                let start = usize::try_from(span.byte_offset()?).ok()?;
                let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
                text.get(start..end).map(|_| start..end)
            }),
        name: image.value,
    });
    for port in raw.ports.unwrap_or_default() {
        service.ports.extend(port.published());
    }
    service.name = name;
    Ok(service)
}

/// The lines of a service that is written as a block: from its name to the next line that is not further in.
fn lines_of(text: &str, name: &str, inside: u64) -> Range<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let inside = usize::try_from(inside).unwrap_or(0).saturating_sub(1);
    let key = |line: &&str| {
        let line = line.trim_start();
        let line = line.trim_start_matches(['"', '\'']);
        line.strip_prefix(name).is_some_and(|rest| {
            rest.trim_start_matches(['"', '\''])
                .trim_start()
                .starts_with(':')
        })
    };
    let Some(above) = lines.get(..=inside) else {
        return 0..0;
    };
    let Some(first) = above.iter().rposition(key) else {
        return 0..0;
    };
    let indent = |line: &str| line.len() - line.trim_start().len();
    let depth = indent(lines[first]);
    let is_outside = |line: &&str| {
        let words = line.trim_start();
        !words.is_empty() && !words.starts_with('#') && indent(line) <= depth
    };
    let mut end = lines[first + 1..]
        .iter()
        .position(is_outside)
        .map_or(lines.len(), |after| first + 1 + after);
    // Blank lines and comments before the next service are that one's.
    while end > first + 1 {
        let line = lines[end - 1];
        if !line.trim().is_empty() && indent(line) > depth {
            break;
        }
        end -= 1;
    }
    first..end
}

#[derive(Deserialize)]
struct Document {
    services: Option<Pairs<Spanned<Option<RawService>>>>,
}

#[derive(Deserialize)]
struct RawService {
    image: Option<Spanned<String>>,
    command: Option<Words>,
    entrypoint: Option<Words>,
    environment: Option<Environment>,
    env_file: Option<EnvFiles>,
    ports: Option<Vec<RawPort>>,
    extends: Option<IgnoredAny>,
}

/// `command`: a line, or a list of words.
enum Words {
    Line(String),
    List(Vec<String>),
}

impl Words {
    fn split(self) -> Vec<String> {
        match self {
            Words::Line(line) => line.split_whitespace().map(str::to_owned).collect(),
            Words::List(words) => words,
        }
    }
}

/// `environment`: a mapping, or a list of `NAME=value`.
enum Environment {
    Map(Pairs<Spanned<Option<String>>>),
    List(Vec<Spanned<String>>),
}

impl Environment {
    /// Names, values and lines.
    fn variables(self) -> Vec<(String, Option<String>, u64)> {
        match self {
            Environment::Map(map) => map
                .0
                .into_iter()
                .map(|(name, value)| (name, value.value, value.defined.line()))
                .collect(),
            Environment::List(list) => list
                .into_iter()
                .map(|entry| {
                    let line = entry.defined.line();
                    match entry.value.split_once('=') {
                        Some((name, value)) => (name.to_owned(), Some(value.to_owned()), line),
                        None => (entry.value, None, line),
                    }
                })
                .collect(),
        }
    }
}

/// `env_file`: a path, or a list of paths or of mappings with a path.
enum EnvFiles {
    One(String),
    Many(Vec<OnePath>),
}

impl EnvFiles {
    fn paths(self) -> Vec<String> {
        match self {
            EnvFiles::One(path) => vec![path],
            EnvFiles::Many(paths) => paths.into_iter().map(|path| path.0).collect(),
        }
    }
}

struct OnePath(String);

/// `ports`: `[address:][host:]container[/protocol]`, or a mapping.
enum RawPort {
    Short(String),
    Long {
        target: String,
        published: Option<String>,
    },
}

impl RawPort {
    /// The ports, if the host has one: those of ranges one by one.
    fn published(self) -> Vec<Port> {
        let (host, container) = match self {
            RawPort::Long { target, published } => (published, target),
            RawPort::Short(text) => {
                let text = text.split('/').next().unwrap_or_default().to_owned();
                let mut parts = text.rsplitn(3, ':').map(str::to_owned);
                let container = parts.next().unwrap_or_default();
                (parts.next(), container)
            }
        };
        let Some(host) = host else {
            return Vec::new();
        };
        let range = |text: &str| -> Option<Range<u32>> {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
            Some(u32::from(first)..u32::from(last) + 1)
        };
        match (range(&container), range(&host)) {
            (Some(container), Some(host)) => container
                .zip(host)
                .filter_map(|(container, host)| {
                    Some(Port {
                        container: u16::try_from(container).ok()?,
                        host: u16::try_from(host).ok()?,
                    })
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// Implements `Deserialize` for a value that may be written in several shapes, keeping the places of what is in it.
macro_rules! shapes {
    ($type:ident, $expecting:literal $(, str($str:ident) => $from_str:expr)? $(, seq($seq:ident) => $from_seq:expr)? $(, map($map:ident) => $from_map:expr)?) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Shapes;
                impl<'de> Visitor<'de> for Shapes {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    $(
                    fn visit_str<E: serde::de::Error>(self, $str: &str) -> Result<$type, E> {
                        Ok($from_str)
                    }
                    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<$type, E> {
                        self.visit_str(&number.to_string())
                    }
                    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$type, E> {
                        self.visit_str(&number.to_string())
                    }
                    )?
                    $(
                    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<$type, A::Error> {
                        let $seq = Deserialize::deserialize(SeqAccessDeserializer::new(access))?;
                        Ok($from_seq)
                    }
                    )?
                    $(
                    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<$type, A::Error> {
                        let $map = Deserialize::deserialize(MapAccessDeserializer::new(access))?;
                        Ok($from_map)
                    }
                    )?
                }
                deserializer.deserialize_any(Shapes)
            }
        }
    };
}

/// A mapping, in its order.
struct Pairs<V>(Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for InOrder<V> {
            type Value = Pairs<V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<V>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(InOrder(PhantomData))
    }
}

#[derive(Deserialize)]
struct LongPort {
    target: String,
    published: Option<String>,
}

#[derive(Deserialize)]
struct LongPath {
    path: String,
}

shapes!(Words, "a command, or a list of its words",
    str(line) => Words::Line(line.to_owned()), seq(list) => Words::List(list));
shapes!(Environment, "a mapping of variables, or a list of NAME=value",
    seq(list) => Environment::List(list), map(map) => Environment::Map(map));
shapes!(EnvFiles, "a path, or a list of paths",
    str(path) => EnvFiles::One(path.to_owned()), seq(list) => EnvFiles::Many(list));
shapes!(OnePath, "a path, or a mapping with one",
    str(path) => OnePath(path.to_owned()), map(long) => { let long: LongPath = long; OnePath(long.path) });
shapes!(RawPort, "a port, or a mapping with target and published",
    str(text) => RawPort::Short(text.to_owned()),
    map(long) => { let long: LongPort = long; RawPort::Long { target: long.target, published: long.published } });

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> anyhow::Result<ComposeFile> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("compose.yml");
        std::fs::write(&path, text).unwrap();
        std::fs::write(dir.path().join(".env"), "TAG=7.5\nPORT=1\n").unwrap();
        std::fs::write(dir.path().join("kafka.env"), "A=file\nD=4\nSHELL_TOO\n").unwrap();
        let shell = [("PORT", "19092"), ("FROM_SHELL", "s"), ("SHELL_TOO", "t")];
        let shell = shell.map(|(name, value)| (name.to_owned(), value.to_owned()));
        read(&path, &HashMap::from(shell))
    }

    fn variables(service: &Service) -> Vec<(&str, &str, Option<u64>)> {
        let variables = service.variables.iter();
        variables
            .map(|v| (v.name.as_str(), v.value.as_str(), v.line))
            .collect()
    }

    const FILE: &str = r#"
x-common: &common
  A: 1
  B: "two"
services:
  # the broker
  kafka:
    image: "cp-kafka:${TAG:-7}"
    ports: ["9092:9092", "127.0.0.1:${PORT}:9093/tcp", 9999, "7000-7001:8000-8001"]
    env_file: [kafka.env, {path: missing.env, required: false}]
    environment:
      <<: *common
      C: ${NOT_SET:-x}-${PORT}
      FROM_SHELL:
      NOWHERE:
      ON: on
    command: redpanda start --smp 1

  # another
  "other":
    image: &image busybox
    environment: &list
      - K=a=b
      - FROM_SHELL
    command: [sh, -c, "x y"]
    ports:
      - target: 1
        published: "2"
  third:
    image: *image
    environment: *list
  fourth: {image: x, extends: {service: third}}
  fifth:
"#;

    #[test]
    fn services_are_read_with_variables_merges_files_and_ports() {
        let file = read_text(FILE).unwrap();
        let [kafka, other, third, fourth] = file.services.as_slice() else {
            panic!("{} services", file.services.len());
        };
        let image = kafka.image.as_ref().unwrap();
        assert_eq!(image.name, "cp-kafka:7.5");
        assert_eq!(
            &file.text[image.at.clone().unwrap()],
            "\"cp-kafka:${TAG:-7}\""
        );
        assert_eq!(
            variables(kafka),
            [
                ("A", "file", None),
                ("D", "4", None),
                ("SHELL_TOO", "t", None),
                ("C", "x-19092", Some(13)),
                ("FROM_SHELL", "s", Some(14)),
                ("ON", "on", Some(16)),
                ("A", "1", Some(3)),
                ("B", "two", Some(4)),
            ]
        );
        let port = |container, host| Port { container, host };
        assert_eq!(
            kafka.ports,
            [
                port(9092, 9092),
                port(9093, 19092),
                port(8000, 7000),
                port(8001, 7001)
            ]
        );
        assert_eq!(kafka.command, ["redpanda", "start", "--smp", "1"]);
        let [read, missing] = kafka.env_files.as_slice() else {
            panic!("two files");
        };
        assert!(read.failure.is_none() && missing.failure.is_some());
        assert_eq!(kafka.lines, 6..17);
        assert_eq!(other.name, "other");
        assert_eq!(
            variables(other),
            [("K", "a=b", Some(23)), ("FROM_SHELL", "s", Some(24))]
        );
        assert_eq!(other.command, ["sh", "-c", "x y"]);
        assert_eq!(other.ports, [port(1, 2)]);
        assert_eq!(variables(third), variables(other));
        assert!(third.image.as_ref().unwrap().at.is_none());
        assert_eq!(fourth.image.as_ref().unwrap().name, "x");
        assert!(fourth.extends && !third.extends);
    }

    #[test]
    fn what_is_malformed_is_told_with_its_line() {
        for (text, parts) in [
            (
                "services:\n  k:\n\timage: x\n",
                &["compose.yml:3", "tabs"][..],
            ),
            (
                "services:\n  k:\n    image: [a]\n",
                &["compose.yml:3", "string"],
            ),
            (
                "services:\n  k:\n    image: a\n    image: b\n",
                &["compose.yml:4", "duplicate"],
            ),
            (
                "services:\n  k:\n    image: ${A:?set A}\n",
                &["compose.yml:3", "set A"],
            ),
            (
                "services:\n  k:\n    environment: 3\n",
                &["compose.yml:3", "a mapping of variables"],
            ),
            ("services:\n  k:\n    image: *no\n", &["compose.yml:3"]),
            ("services: 3\n", &["compose.yml:1"]),
            ("kafka:\n  image: x\n", &["no services"]),
            ("", &["no services"]),
        ] {
            let Err(error) = read_text(text) else {
                panic!("{text:?} was read");
            };
            let told = format!("{error:#}");
            for part in parts {
                assert!(told.contains(part), "{text:?} without {part:?}: {told}");
            }
        }
    }

    #[test]
    fn aliases_that_grow_without_end_are_refused() {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..30 {
            let before = format!("*a{},", i - 1).repeat(9);
            text.push_str(&format!("a{i}: &a{i} [{before}]\n"));
        }
        text.push_str("services: {k: {image: x, command: *a29}}\n");
        assert!(read_text(&text).is_err());
    }
}
