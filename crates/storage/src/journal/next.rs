//! The journal's next file, made before it is needed. Filling megabytes with zeros and syncing them takes long enough to be the longest
//! wait of a commit, so the background thread does it while the writer fills the file before.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::fs::{File, Fs, OpenMode};

/// A file that holds no records that anybody needs.
pub(super) struct Spare {
    pub path: PathBuf,
    pub file: Arc<dyn File>,
    pub len: u64,
}

impl Spare {
    /// Makes a file of `head` and zeros whose name and blocks are on the device, so that a sync of what is written into it writes no
    /// metadata.
    pub fn make(fs: &dyn Fs, path: PathBuf, len: u64, head: &[u8]) -> io::Result<Spare> {
        let file = fs.open(&path, OpenMode::Truncate)?;
        let dir = path.parent().unwrap_or(Path::new("."));
        let fill = || {
            fill_with_zeros(&*file, len)?;
            file.write_at(0, &[head])?;
            file.sync_data()?;
            fs.sync_dir(dir)
        };
        if let Err(e) = fill() {
            // Leaves the space to those who can use it; the error at hand is the one to tell.
            let _ = fs.remove_file(&path);
            return Err(e);
        }
        Ok(Spare { path, file, len })
    }
}

/// Where the writer asks for its next file and finds it.
#[derive(Default)]
pub(crate) struct NextFile(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Nothing,
    Wanted {
        path: PathBuf,
        len: u64,
    },
    BeingMade,
    Made(Spare),
}

impl NextFile {
    /// Asks for a file, unless one is on its way. Returns whether it is to be made now.
    pub(super) fn ask(&self, path: impl FnOnce() -> PathBuf, len: u64) -> bool {
        let mut state = self.0.lock();
        let asked = matches!(*state, State::Nothing);
        if asked {
            *state = State::Wanted { path: path(), len };
        }
        asked
    }

    /// The file, if it is there by now. One that is being made is for the change after this one.
    pub(super) fn take(&self) -> Option<Spare> {
        let mut state = self.0.lock();
        match std::mem::take(&mut *state) {
            State::Made(spare) => Some(spare),
            // Needed now: the writer makes it by itself.
            State::Nothing | State::Wanted { .. } => None,
            State::BeingMade => {
                *state = State::BeingMade;
                None
            }
        }
    }

    /// Makes the file that is asked for, if one is. What goes wrong the writer meets again, and says.
    pub(crate) fn make(&self, fs: &dyn Fs) {
        let wanted = {
            let mut state = self.0.lock();
            match std::mem::replace(&mut *state, State::BeingMade) {
                State::Wanted { path, len } => Some((path, len)),
                other => {
                    *state = other;
                    None
                }
            }
        };
        if let Some((path, len)) = wanted {
            let made = Spare::make(fs, path, len, &[]);
            *self.0.lock() = made.map_or(State::Nothing, State::Made);
        }
    }
}

pub(super) fn fill_with_zeros(file: &dyn File, len: u64) -> io::Result<()> {
    const BLOCK: usize = 256 << 10;
    let zeros = vec![0; BLOCK.min(len as usize)];
    let mut at = 0;
    while at < len {
        let n = (len - at).min(BLOCK as u64);
        file.write_at(at, &[&zeros[..n as usize]])?;
        at += n;
    }
    Ok(())
}
