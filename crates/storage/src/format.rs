//! Preparing a data directory before a broker runs on it, and looking at one that is prepared.

use std::path::Path;

use crate::datadir::{self, PROPERTIES};
use crate::error::OpenError;
use crate::fs::{Fs, OsFs};

/// Makes a data directory of this cluster, as a broker that starts on it would. Returns the directory's cluster id, which is
/// another if it was made before.
///
/// Refuses, without a change, a directory that holds anything but Ottla's files, and one that a broker runs on.
pub fn format(dir: &Path, cluster_id: &str) -> Result<String, OpenError> {
    datadir::open(&OsFs, dir, Some(cluster_id)).map(|made| made.cluster_id)
}

/// The cluster id of a data directory; `None` if there is none yet. A broker may run on it.
pub fn cluster_id(dir: &Path) -> Result<Option<String>, OpenError> {
    let path = dir.join(PROPERTIES);
    let there = OsFs.exists(&path).map_err(|source| OpenError::Io {
        path: dir.to_owned(),
        source,
    })?;
    if !there {
        return Ok(None);
    }
    datadir::read_properties(&OsFs, dir, &path).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::OpenError;

    #[test]
    fn a_directory_keeps_the_cluster_id_that_it_was_made_with() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("data");
        assert_eq!(cluster_id(&dir).unwrap(), None);
        assert_eq!(format(&dir, "test-cluster").unwrap(), "test-cluster");
        assert_eq!(format(&dir, "other").unwrap(), "test-cluster");
        assert_eq!(cluster_id(&dir).unwrap().as_deref(), Some("test-cluster"));
    }

    #[test]
    fn somebody_elses_directory_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("precious"), "x").unwrap();
        let refused = format(dir.path(), "id").unwrap_err();
        assert!(matches!(refused, OpenError::NotOurs { .. }), "{refused}");
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 1);
    }
}
