//! Carries out a program's calls on the live directory, and tells the simulated disk.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

use libc::{c_int, seccomp_notif};
use rand::rngs::StdRng;

use crate::clock;
use crate::content::Change;
use crate::disk::Disk;
use crate::faults::Let;
use crate::filter::Kind;
use crate::names::{NameChange, NodeId};
use crate::sys::{self, Answer};
use crate::{Faults, Stats};

/// How a call is answered.
pub(crate) enum Outcome {
    Now(Answer),
    /// With a file that has been opened.
    File(File),
    /// When the sync is over: of one file or directory, or of all.
    Synced(Option<NodeId>),
}

/// What the calls of a run work on.
pub(crate) struct Machine {
    pub disk: Disk,
    pub faults: Faults,
    pub rng: StdRng,
    /// How far the time of day is off, in seconds.
    pub clock_offset: i64,
    pub process: OwnedFd,
    pub pid: u32,
    /// The disk has stopped: no call is answered any more.
    pub is_off: bool,
    /// Changes and syncs until it stops.
    pub fuse: Option<u64>,
    /// Calls that this simulation cannot follow.
    pub unsupported: Vec<String>,
    pub stats: Stats,
}

const CONTINUE: Outcome = Outcome::Now(Answer::Continue);

fn value(value: u64) -> io::Result<Outcome> {
    Ok(Outcome::Now(Answer::Value(value as i64)))
}

fn refuse(errno: c_int) -> io::Result<Outcome> {
    Ok(Outcome::Now(Answer::Error(errno)))
}

/// Another name of an open file, by which it can be read whatever it was opened for.
fn by_descriptor(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

impl Machine {
    /// Carries out a call. An error is the program's own (a missing file), and is handed to it.
    pub fn call(&mut self, kind: Kind, call: &seccomp_notif) -> io::Result<Outcome> {
        let args = call.data.args;
        match kind {
            Kind::Open => self.open(call.pid, None, args[0], args[1], args[2]),
            Kind::OpenAt => self.open(call.pid, Some(args[0]), args[1], args[2], args[3]),
            Kind::Write => self.write(args[0], None, || {
                sys::read_memory(call.pid, args[1], args[2] as usize)
            }),
            Kind::WriteVector => self.write(args[0], None, || gather(call.pid, args[1], args[2])),
            Kind::WriteAt => self.write(args[0], Some(args[3]), || {
                sys::read_memory(call.pid, args[1], args[2] as usize)
            }),
            Kind::WriteVectorAt => self.write(args[0], Some(args[3]), || {
                gather(call.pid, args[1], args[2])
            }),
            Kind::SetLen => self.set_len(args[0], args[1]),
            Kind::Allocate => self.allocate(args[0], args[1] as c_int, args[2] + args[3]),
            Kind::Rename => self.rename(call.pid, [None, None], [args[0], args[1]]),
            Kind::RenameAt => {
                self.rename(call.pid, [Some(args[0]), Some(args[2])], [args[1], args[3]])
            }
            Kind::Link => self.link(call.pid, [None, None], [args[0], args[1]]),
            Kind::LinkAt => self.link(call.pid, [Some(args[0]), Some(args[2])], [args[1], args[3]]),
            Kind::Unlink => self.unlink(call.pid, None, args[0], false),
            Kind::RemoveDir => self.unlink(call.pid, None, args[0], true),
            Kind::UnlinkAt => {
                let is_dir = args[2] as c_int & libc::AT_REMOVEDIR != 0;
                self.unlink(call.pid, Some(args[0]), args[1], is_dir)
            }
            Kind::MakeDir => self.make_dir(call.pid, None, args[0]),
            Kind::MakeDirAt => self.make_dir(call.pid, Some(args[0]), args[1]),
            Kind::Sync => self.sync(args[0]),
            Kind::SyncFileSystem | Kind::SyncAll => {
                self.burn()?;
                Ok(Outcome::Synced(None))
            }
            Kind::SyncRange => value(0),
            Kind::MapShared => {
                self.refuse_for_data(args[4], libc::EACCES, "a shared, writable mapping")
            }
            Kind::CopyTo(target) => self.refuse_for_data(args[target], libc::EINVAL, ""),
            Kind::NotThere => refuse(libc::ENOSYS),
            Kind::FileSystemState => self.file_system_state(call),
            Kind::Clock => {
                sys::write_memory(
                    call.pid,
                    args[1],
                    sys::bytes_of(&clock::shifted(self.clock_offset)?),
                )?;
                value(0)
            }
        }
    }

    /// A path of the program's, absolute, without `.` and `..`.
    fn path(&self, thread: u32, dir: Option<u64>, path: u64) -> io::Result<PathBuf> {
        let path = PathBuf::from(sys::read_path(thread, path)?);
        let base = match dir {
            _ if path.is_absolute() => PathBuf::new(),
            Some(fd) if fd as c_int != libc::AT_FDCWD => {
                fs::read_link(format!("/proc/{}/fd/{}", self.pid, fd as c_int))?
            }
            _ => fs::read_link(format!("/proc/{}/cwd", self.pid))?,
        };
        let mut clean = PathBuf::new();
        for part in base.join(path).components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir => {
                    clean.pop();
                }
                part => clean.push(part),
            }
        }
        Ok(clean)
    }

    /// The file or directory of ours that a descriptor of the program's is.
    fn ours(&self, fd: u64) -> io::Result<Option<(File, NodeId)>> {
        let Ok(file) = sys::file_of(&self.process, fd) else {
            return Ok(None);
        };
        Ok(self.disk.node_of(&file)?.map(|node| (file, node)))
    }

    /// Counts a change or sync that is about to be made. The last one before the disk stops is not made.
    fn burn(&mut self) -> io::Result<()> {
        match &mut self.fuse {
            Some(0) => self.is_off = true,
            Some(left) => *left -= 1,
            None => {}
        }
        match self.is_off {
            true => Err(io::Error::other("the disk has stopped")),
            false => Ok(()),
        }
    }

    fn unsupported(&mut self, what: impl Into<String>) {
        self.unsupported.push(what.into());
    }

    fn refuse_for_data(&mut self, fd: u64, errno: c_int, what: &str) -> io::Result<Outcome> {
        if self.ours(fd)?.is_none() {
            return Ok(CONTINUE);
        }
        if !what.is_empty() {
            self.unsupported(what);
        }
        refuse(errno)
    }

    fn open(
        &mut self,
        thread: u32,
        dir: Option<u64>,
        path: u64,
        flags: u64,
        mode: u64,
    ) -> io::Result<Outcome> {
        let flags = flags as c_int;
        if flags & (libc::O_CREAT | libc::O_TRUNC) == 0 {
            return Ok(CONTINUE);
        }
        let path = self.path(thread, dir, path)?;
        let Some(relative) = self.disk.relative(&path) else {
            return Ok(CONTINUE);
        };
        if flags & libc::O_TMPFILE == libc::O_TMPFILE {
            self.unsupported("a file without a name");
            return refuse(libc::EOPNOTSUPP);
        }
        match self.disk.find(relative) {
            None => Ok(CONTINUE),
            Some((place, None)) => {
                self.burn()?;
                let file = sys::open(&path, flags, mode as u32)?;
                self.disk.created(place, &file.metadata()?);
                Ok(Outcome::File(file))
            }
            Some((_, Some(node))) => {
                let freed = self.disk.len(node);
                if flags & libc::O_TRUNC != 0 && freed > 0 {
                    self.burn()?;
                    self.disk.before_change(node, &path)?;
                    let file = sys::open(&path, flags, mode as u32)?;
                    self.disk.changed(node, Change::SetLen(0));
                    self.faults.shrink(freed);
                    return Ok(Outcome::File(file));
                }
                Ok(CONTINUE)
            }
        }
    }

    fn write(
        &mut self,
        fd: u64,
        at: Option<u64>,
        bytes: impl FnOnce() -> io::Result<Vec<u8>>,
    ) -> io::Result<Outcome> {
        let Some((file, node)) = self.ours(fd)? else {
            return Ok(CONTINUE);
        };
        self.burn()?;
        let mut bytes = bytes()?;
        let appends = sys::flags(&file)? & libc::O_APPEND != 0;
        let from = match at {
            _ if appends => file.metadata()?.len(),
            Some(at) => at,
            None => sys::cursor(&file)?,
        };
        let growth = (from + bytes.len() as u64).saturating_sub(self.disk.len(node));
        match self.faults.write(bytes.len(), growth, &mut self.rng) {
            Let::Refuse(errno) => {
                match errno {
                    libc::ENOSPC => self.stats.refused_writes += 1,
                    _ => self.stats.short_writes += 1,
                }
                return refuse(errno);
            }
            Let::Write(take) => {
                self.stats.short_writes += u64::from(take < bytes.len());
                bytes.truncate(take);
            }
        }
        self.disk.before_change(node, &by_descriptor(&file))?;
        match at {
            Some(at) if !appends => file.write_all_at(&bytes, at)?,
            // Moves the cursor that it shares with the program's descriptor.
            _ => io::Write::write_all(&mut &file, &bytes)?,
        }
        let written = bytes.len() as u64;
        self.stats.writes += 1;
        self.disk.changed(node, Change::Write { at: from, bytes });
        value(written)
    }

    fn set_len(&mut self, fd: u64, len: u64) -> io::Result<Outcome> {
        let Some((file, node)) = self.ours(fd)? else {
            return Ok(CONTINUE);
        };
        self.burn()?;
        self.disk.before_change(node, &by_descriptor(&file))?;
        file.set_len(len)?;
        // What is added is a hole, which takes no room.
        self.faults.shrink(self.disk.len(node).saturating_sub(len));
        self.disk.changed(node, Change::SetLen(len));
        value(0)
    }

    fn allocate(&mut self, fd: u64, mode: c_int, end: u64) -> io::Result<Outcome> {
        let Some((_, node)) = self.ours(fd)? else {
            return Ok(CONTINUE);
        };
        if mode != 0 {
            return refuse(libc::EOPNOTSUPP);
        }
        let growth = end.saturating_sub(self.disk.len(node));
        if self.faults.free.is_some_and(|free| growth > free) {
            return refuse(libc::ENOSPC);
        }
        if growth == 0 {
            return value(0);
        }
        self.set_len(fd, end)?;
        self.faults.grow(growth);
        value(0)
    }

    fn rename(
        &mut self,
        thread: u32,
        dirs: [Option<u64>; 2],
        paths: [u64; 2],
    ) -> io::Result<Outcome> {
        let [from, to] = [
            self.path(thread, dirs[0], paths[0])?,
            self.path(thread, dirs[1], paths[1])?,
        ];
        let Some((source, target)) = self.both(&from, &to)? else {
            return Ok(CONTINUE);
        };
        let ((from_place, Some(node)), (to_place, replaced)) = (source, target) else {
            return refuse(libc::ENOENT);
        };
        self.burn()?;
        if let Some(replaced) = replaced {
            self.before_losing_name(replaced, &to)?;
        }
        fs::rename(&from, &to)?;
        self.disk.renamed(NameChange::Rename {
            from: from_place,
            to: to_place,
            node,
        });
        value(0)
    }

    fn link(
        &mut self,
        thread: u32,
        dirs: [Option<u64>; 2],
        paths: [u64; 2],
    ) -> io::Result<Outcome> {
        let [from, to] = [
            self.path(thread, dirs[0], paths[0])?,
            self.path(thread, dirs[1], paths[1])?,
        ];
        let Some(((_, Some(node)), (place, _))) = self.both(&from, &to)? else {
            return Ok(CONTINUE);
        };
        self.burn()?;
        fs::hard_link(&from, &to)?;
        self.disk.renamed(NameChange::Link(place, node));
        value(0)
    }

    /// What two paths name; `None` when the kernel may have the call, since both are elsewhere or not to be found.
    #[allow(clippy::type_complexity)]
    fn both(
        &mut self,
        from: &Path,
        to: &Path,
    ) -> io::Result<
        Option<(
            (crate::names::Place, Option<NodeId>),
            (crate::names::Place, Option<NodeId>),
        )>,
    > {
        match (self.disk.relative(from), self.disk.relative(to)) {
            (None, None) => Ok(None),
            (Some(a), Some(b)) => Ok(self.disk.find(a).zip(self.disk.find(b))),
            _ => {
                self.unsupported(format!("{} to {}", from.display(), to.display()));
                Err(io::Error::from_raw_os_error(libc::EXDEV))
            }
        }
    }

    fn before_losing_name(&mut self, node: NodeId, path: &Path) -> io::Result<()> {
        if self.disk.names.names_of(node) == 1 {
            self.faults.shrink(self.disk.len(node));
        }
        self.disk.before_unlink(node, path)
    }

    fn unlink(
        &mut self,
        thread: u32,
        dir: Option<u64>,
        path: u64,
        is_dir: bool,
    ) -> io::Result<Outcome> {
        let path = self.path(thread, dir, path)?;
        let Some((place, Some(node))) = self.disk.relative(&path).and_then(|p| self.disk.find(p))
        else {
            return Ok(CONTINUE);
        };
        self.burn()?;
        if is_dir {
            fs::remove_dir(&path)?;
        } else if self.disk.names.is_dir(node) {
            return refuse(libc::EISDIR);
        } else {
            self.before_losing_name(node, &path)?;
            fs::remove_file(&path)?;
        }
        self.disk.renamed(NameChange::Unlink(place, node));
        value(0)
    }

    fn make_dir(&mut self, thread: u32, dir: Option<u64>, path: u64) -> io::Result<Outcome> {
        let path = self.path(thread, dir, path)?;
        let Some((place, None)) = self.disk.relative(&path).and_then(|p| self.disk.find(p)) else {
            return Ok(CONTINUE);
        };
        self.burn()?;
        fs::create_dir(&path)?;
        self.disk.created(place, &fs::metadata(&path)?);
        value(0)
    }

    fn sync(&mut self, fd: u64) -> io::Result<Outcome> {
        let Some((_, node)) = self.ours(fd)? else {
            return Ok(CONTINUE);
        };
        self.burn()?;
        self.stats.syncs += 1;
        if !self.disk.names.is_dir(node) && self.faults.fail_sync() {
            self.stats.failed_syncs += 1;
            self.disk.fail_sync(node, &mut self.rng)?;
            return refuse(libc::EIO);
        }
        Ok(Outcome::Synced(Some(node)))
    }

    fn file_system_state(&mut self, call: &seccomp_notif) -> io::Result<Outcome> {
        let [target, buffer, ..] = call.data.args;
        let Some(free) = self.faults.free else {
            return Ok(CONTINUE);
        };
        let file = if i64::from(call.data.nr) == libc::SYS_fstatfs {
            sys::file_of(&self.process, target)?
        } else {
            File::open(self.path(call.pid, None, target)?)?
        };
        let mut state = sys::file_system(&file)?;
        let blocks = free / (state.f_bsize as u64).max(1);
        state.f_bavail = blocks;
        state.f_bfree = blocks;
        sys::write_memory(call.pid, buffer, sys::bytes_of(&state))?;
        value(0)
    }
}

/// The buffers of a vectored write, one after the other.
fn gather(thread: u32, vector: u64, count: u64) -> io::Result<Vec<u8>> {
    if count > 1024 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let vector = sys::read_memory(thread, vector, 16 * count as usize)?;
    let mut all = Vec::new();
    for part in vector.chunks_exact(16) {
        let word = |at: usize| {
            let bytes = part[at..at + 8].try_into().expect("eight bytes of sixteen");
            u64::from_ne_bytes(bytes)
        };
        all.extend(sys::read_memory(thread, word(0), word(8) as usize)?);
    }
    Ok(all)
}
