//! `--ephemeral`: data in a directory that goes with the broker.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use ottla_broker::settings::BrokerConfig;
use tempfile::TempDir;

const PREFIX: &str = "ottla-ephemeral-";
const DURABILITY: &str = "ottla.durability";

/// A directory that is removed with this value. Its lock shows to other starts that it is in use; one without is what a killed broker left.
pub(super) struct Ephemeral {
    dir: TempDir,
    _lock: File,
}

impl Ephemeral {
    /// Removes what killed brokers left, and makes a directory for this one. Nothing there is to survive a power cut, so that
    /// nothing is synced unless the configuration asks for it.
    pub(super) fn for_broker(config: &mut BrokerConfig) -> anyhow::Result<Ephemeral> {
        let parent = std::env::temp_dir();
        let ephemeral = Ephemeral::make(&parent).with_context(|| {
            format!(
                "cannot make a directory for the data in {} (set TMPDIR to another one)",
                parent.display()
            )
        })?;
        config.data_dir = ephemeral.dir.path().join("data");
        let durability = config.values.entry(DURABILITY.to_owned());
        durability.or_insert_with(|| "os".to_owned());
        Ok(ephemeral)
    }

    fn make(parent: &Path) -> io::Result<Ephemeral> {
        remove_leftovers(parent);
        loop {
            let dir = tempfile::Builder::new()
                .prefix(PREFIX)
                .permissions(fs::Permissions::from_mode(0o700))
                .tempdir_in(parent)?;
            // Between these two steps another start may take it for a leftover.
            if let Some(lock) = lock(dir.path())? {
                return Ok(Ephemeral { dir, _lock: lock });
            }
        }
    }
}

/// Locks a directory; `None` if another process has it, or has removed it.
fn lock(dir: &Path) -> io::Result<Option<File>> {
    let gone = |e: &io::Error| e.kind() == io::ErrorKind::NotFound;
    let file = match File::open(dir) {
        Err(e) if gone(&e) => return Ok(None),
        other => other?,
    };
    if file.try_lock().is_err() {
        return Ok(None);
    }
    match fs::symlink_metadata(dir) {
        Ok(found) if found.ino() == file.metadata()?.ino() => Ok(Some(file)),
        Err(e) if !gone(&e) => Err(e),
        _ => Ok(None),
    }
}

/// Removes directories of brokers that were killed, as far as they are ours to remove.
fn remove_leftovers(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    let leftovers = entries
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with(PREFIX))
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
        .map(|e| e.path());
    for dir in leftovers.collect::<Vec<PathBuf>>() {
        if let Ok(Some(_lock)) = lock(&dir) {
            match fs::remove_dir_all(&dir) {
                Ok(()) => tracing::info!("removed {}, which a killed broker left", dir.display()),
                // Another user's.
                Err(e) => tracing::debug!("{} stays: {e}", dir.display()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn names(parent: &Path) -> Vec<String> {
        let entries = fs::read_dir(parent).unwrap();
        entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_directory_goes_with_its_broker_and_leftovers_with_the_next_start() {
        let parent = tempfile::tempdir().unwrap();
        let left = parent.path().join("ottla-ephemeral-left/data/topics");
        fs::create_dir_all(&left).unwrap();
        fs::create_dir(parent.path().join("ottla-other")).unwrap();
        fs::write(parent.path().join("ottla-ephemeral-file"), "").unwrap();
        let first = Ephemeral::make(parent.path()).unwrap();
        let second = Ephemeral::make(parent.path()).unwrap();
        assert!(first.dir.path().exists() && second.dir.path().exists());
        assert!(!left.exists());
        drop((first, second));
        let mut names = names(parent.path());
        names.sort();
        assert_eq!(names, ["ottla-ephemeral-file", "ottla-other"]);
    }

    #[test]
    fn nothing_is_synced_unless_asked_for() {
        for (given, expected) in [(None, "os"), (Some("disk"), "disk")] {
            let values = given.map(|v| (DURABILITY.to_owned(), v.to_owned()));
            let mut config = BrokerConfig {
                data_dir: PathBuf::from("./data"),
                values: values.into_iter().collect::<BTreeMap<_, _>>(),
            };
            let ephemeral = Ephemeral::for_broker(&mut config).unwrap();
            assert_eq!(config.values[DURABILITY], expected);
            assert!(config.data_dir.starts_with(ephemeral.dir.path()));
        }
    }
}
