//! Which system calls are supervised: those that change files or names, sync, or tell how much room there is; and the time of
//! day where a clock is to jump. All others cost nothing.
//!
//! [`KINDS`] is the one list: the filter, and what the supervisor does, come from it.

use libc::{BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, c_long};

/// What a system call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `open(path, flags, mode)`, and the same below a directory.
    Open,
    OpenAt,
    /// At the cursor; of one buffer, or of several.
    Write,
    WriteVector,
    /// At a position.
    WriteAt,
    WriteVectorAt,
    SetLen,
    Allocate,
    Rename,
    RenameAt,
    Link,
    LinkAt,
    Unlink,
    UnlinkAt,
    RemoveDir,
    MakeDir,
    MakeDirAt,
    Sync,
    SyncFileSystem,
    SyncAll,
    /// Starts writing and promises nothing.
    SyncRange,
    /// A mapping that is shared and writable.
    MapShared,
    FileSystemState,
    /// Calls whose callers fall back to others when the kernel does not know them.
    NotThere,
    /// Calls that copy from file to file inside of the kernel.
    CopyTo(usize),
    Clock,
}

/// Every supervised call. The older ones are not there on newer architectures.
pub const KINDS: &[(c_long, Kind)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, Kind::Open),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat, Kind::NotThere),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rename, Kind::Rename),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_link, Kind::Link),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_unlink, Kind::Unlink),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rmdir, Kind::RemoveDir),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mkdir, Kind::MakeDir),
    (libc::SYS_openat, Kind::OpenAt),
    (libc::SYS_openat2, Kind::NotThere),
    (libc::SYS_write, Kind::Write),
    (libc::SYS_writev, Kind::WriteVector),
    (libc::SYS_pwrite64, Kind::WriteAt),
    (libc::SYS_pwritev, Kind::WriteVectorAt),
    (libc::SYS_pwritev2, Kind::NotThere),
    (libc::SYS_ftruncate, Kind::SetLen),
    (libc::SYS_truncate, Kind::NotThere),
    (libc::SYS_fallocate, Kind::Allocate),
    (libc::SYS_renameat, Kind::RenameAt),
    (libc::SYS_renameat2, Kind::RenameAt),
    (libc::SYS_linkat, Kind::LinkAt),
    (libc::SYS_unlinkat, Kind::UnlinkAt),
    (libc::SYS_mkdirat, Kind::MakeDirAt),
    (libc::SYS_fsync, Kind::Sync),
    (libc::SYS_fdatasync, Kind::Sync),
    (libc::SYS_syncfs, Kind::SyncFileSystem),
    (libc::SYS_sync, Kind::SyncAll),
    (libc::SYS_sync_file_range, Kind::SyncRange),
    (libc::SYS_mmap, Kind::MapShared),
    (libc::SYS_fstatfs, Kind::FileSystemState),
    (libc::SYS_statfs, Kind::FileSystemState),
    (libc::SYS_io_uring_setup, Kind::NotThere),
    (libc::SYS_copy_file_range, Kind::NotThere),
    (libc::SYS_sendfile, Kind::CopyTo(0)),
    (libc::SYS_splice, Kind::CopyTo(2)),
    (libc::SYS_clock_gettime, Kind::Clock),
];

/// What a call of this number does.
pub fn kind(number: i32) -> Option<Kind> {
    KINDS
        .iter()
        .find(|(n, _)| *n == c_long::from(number))
        .map(|(_, kind)| *kind)
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const ASK: u32 = libc::SECCOMP_RET_USER_NOTIF;

fn statement(code: u32, k: u32) -> libc::sock_filter {
    jump(code, k, 0, 0)
}

fn jump(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}

/// Where in `seccomp_data` the lower half of an argument is (little-endian).
fn argument(number: u32) -> u32 {
    16 + 8 * number
}

/// The filter. Calls of another architecture than that of this program are let through: there are none.
pub fn program(clock: bool) -> Vec<libc::sock_filter> {
    let load = |at| statement(BPF_LD | BPF_W | BPF_ABS, at);
    let give = |what| statement(BPF_RET | BPF_K, what);
    let skip_unless =
        |value: u32, count: usize| jump(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count as u8);
    let mut program = vec![
        load(4),
        jump(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
        give(ALLOW),
        load(0),
    ];
    for (number, kind) in KINDS {
        let ask = match kind {
            Kind::MapShared => {
                let of_both = libc::MAP_SHARED as u32;
                vec![
                    load(argument(2)),
                    statement(BPF_ALU | BPF_AND | BPF_K, libc::PROT_WRITE as u32),
                    skip_unless(libc::PROT_WRITE as u32, 4),
                    load(argument(3)),
                    statement(BPF_ALU | BPF_AND | BPF_K, of_both),
                    skip_unless(of_both, 1),
                    give(ASK),
                    give(ALLOW),
                ]
            }
            Kind::Clock if !clock => continue,
            // The others of its clocks do not jump.
            Kind::Clock => vec![
                load(argument(0)),
                skip_unless(libc::CLOCK_REALTIME as u32, 1),
                give(ASK),
                skip_unless(libc::CLOCK_REALTIME_COARSE as u32, 1),
                give(ASK),
                give(ALLOW),
            ],
            _ => vec![give(ASK)],
        };
        program.push(skip_unless(*number as u32, ask.len()));
        program.extend(ask);
    }
    program.push(give(ALLOW));
    program
}
