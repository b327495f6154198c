//! The system calls that neither the standard library nor a crate in use wraps.
#![allow(unsafe_code)]

use std::ffi::{OsString, c_int, c_long};
use std::fs::File;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;

use libc::{seccomp_notif, seccomp_notif_addfd, seccomp_notif_resp};

/// Signals do not interrupt a call that the supervisor has begun to carry out: it would be made twice (Linux 5.19).
const WAIT_KILLABLE_RECV: libc::c_ulong = 1 << 5;

fn check(result: c_long) -> io::Result<c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Lets a command install a filter before it runs its program; returns the end at which [`receive_listener`] gets the
/// listener of the filter. With `trace` the program stops at its start, for [`at_start`].
pub fn filtered(
    command: &mut Command,
    filter: Vec<libc::sock_filter>,
    trace: bool,
) -> io::Result<OwnedFd> {
    let mut ends = [0; 2];
    // SAFETY: two numbers are written to an array of two.
    check(
        unsafe {
            libc::socketpair(
                libc::AF_UNIX,
                libc::SOCK_DGRAM | libc::SOCK_CLOEXEC,
                0,
                ends.as_mut_ptr(),
            )
        }
        .into(),
    )?;
    // SAFETY: nobody else has them.
    let (ours, theirs) = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
    let install = move || {
        let program = libc::sock_fprog {
            len: filter.len() as u16,
            filter: filter.as_ptr().cast_mut(),
        };
        // SAFETY: plain system calls on memory that lives here; nothing allocates between fork and exec.
        unsafe {
            let [yes, no]: [libc::c_ulong; 2] = [1, 0];
            check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, yes, no, no, no).into())?;
            if trace {
                check(libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0))?;
            }
            let listener = check(libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | WAIT_KILLABLE_RECV,
                &raw const program,
            ))?;
            send_fd(theirs.as_raw_fd(), listener as RawFd)
        }
    };
    // SAFETY: the closure makes system calls only.
    unsafe { command.pre_exec(install) };
    Ok(ours)
}

#[repr(C, align(8))]
struct Control([u8; 32]);

fn send_fd(socket: RawFd, fd: RawFd) -> io::Result<()> {
    let mut byte = [0u8];
    let mut control = Control([0; 32]);
    // SAFETY: the buffers outlive the call, and are as long as said.
    unsafe {
        let mut part = libc::iovec {
            iov_base: byte.as_mut_ptr().cast(),
            iov_len: 1,
        };
        let mut message: libc::msghdr = mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(4) as _;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(header).cast::<c_int>().write_unaligned(fd);
        check(libc::sendmsg(socket, &raw const message, 0) as c_long)?;
    }
    Ok(())
}

/// The listener of a filter that a started program has installed.
pub fn receive_listener(socket: &OwnedFd) -> io::Result<OwnedFd> {
    let mut byte = [0u8];
    let mut control = Control([0; 32]);
    // SAFETY: as in `send_fd`; the descriptor that was sent is ours.
    unsafe {
        let mut part = libc::iovec {
            iov_base: byte.as_mut_ptr().cast(),
            iov_len: 1,
        };
        let mut message: libc::msghdr = mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = control.0.len() as _;
        check(
            libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) as c_long,
        )?;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if header.is_null() {
            return Err(io::Error::other("the program sent no listener"));
        }
        let fd = libc::CMSG_DATA(header).cast::<c_int>().read_unaligned();
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// A handle on a process.
pub fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: a system call on numbers; the descriptor is ours.
    unsafe {
        let fd = check(libc::syscall(libc::SYS_pidfd_open, pid, 0))?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// A duplicate of a process's open file, which shares its cursor.
pub fn file_of(process: &OwnedFd, fd: u64) -> io::Result<File> {
    // SAFETY: a system call on numbers; the descriptor is ours.
    unsafe {
        let fd = check(libc::syscall(
            libc::SYS_pidfd_getfd,
            process.as_raw_fd(),
            fd as c_int,
            0,
        ))?;
        Ok(File::from_raw_fd(fd as RawFd))
    }
}

/// Whether there is something to receive; `None` when the program is gone.
pub fn wait(listener: &OwnedFd, at_most: Duration) -> io::Result<Option<bool>> {
    let mut poll = libc::pollfd {
        fd: listener.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let millis = at_most.as_millis().try_into().unwrap_or(c_int::MAX);
    // SAFETY: one structure is given and said to be one.
    match unsafe { libc::poll(&raw mut poll, 1, millis) } {
        -1 if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted => {
            Err(io::Error::last_os_error())
        }
        _ if poll.revents & libc::POLLIN != 0 => Ok(Some(true)),
        _ if poll.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0 => Ok(None),
        _ => Ok(Some(false)),
    }
}

/// The next call that waits for an answer; `None` if its thread has died meanwhile.
pub fn receive(listener: &OwnedFd) -> io::Result<Option<seccomp_notif>> {
    // SAFETY: the structure may be all zeros, and has to be when given.
    let mut call: seccomp_notif = unsafe { mem::zeroed() };
    // SAFETY: the kernel fills the structure that this call is for.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_RECV,
            &raw mut call,
        )
    };
    match check(result.into()) {
        Ok(_) => Ok(Some(call)),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => Ok(None),
        Err(e) => Err(e),
    }
}

/// An answer to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The kernel carries it out.
    Continue,
    Value(i64),
    /// An `errno`.
    Error(i32),
}

/// Answers a call. It is no error if its thread has died.
pub fn answer(listener: &OwnedFd, id: u64, answer: Answer) -> io::Result<()> {
    let mut response = seccomp_notif_resp {
        id,
        val: 0,
        error: 0,
        flags: 0,
    };
    match answer {
        Answer::Continue => response.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
        Answer::Value(value) => response.val = value,
        Answer::Error(errno) => response.error = -errno,
    }
    // SAFETY: the kernel reads the structure that this call is for.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SEND,
            &raw mut response,
        )
    };
    ignore_dead(check(result.into()))
}

/// Answers a call with a new descriptor of the program, close-on-exec.
pub fn answer_with_file(listener: &OwnedFd, id: u64, file: &File) -> io::Result<()> {
    let mut add = seccomp_notif_addfd {
        id,
        flags: libc::SECCOMP_ADDFD_FLAG_SEND as u32,
        srcfd: file.as_raw_fd() as u32,
        newfd: 0,
        newfd_flags: libc::O_CLOEXEC as u32,
    };
    // SAFETY: as above.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_ADDFD,
            &raw mut add,
        )
    };
    ignore_dead(check(result.into()))
}

fn ignore_dead(result: io::Result<c_long>) -> io::Result<()> {
    match result {
        Err(e) if e.raw_os_error() != Some(libc::ENOENT) => Err(e),
        _ => Ok(()),
    }
}

/// Memory of a process. Less than asked for where it ends.
pub fn read_memory(pid: u32, at: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let local = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: len,
    };
    let remote = libc::iovec {
        iov_base: at as *mut _,
        iov_len: len,
    };
    // SAFETY: the kernel writes at most `len` bytes to a buffer of this length.
    let read =
        unsafe { libc::process_vm_readv(pid as i32, &raw const local, 1, &raw const remote, 1, 0) };
    bytes.truncate(check(read as c_long)? as usize);
    Ok(bytes)
}

/// Changes memory of a process.
pub fn write_memory(pid: u32, at: u64, bytes: &[u8]) -> io::Result<()> {
    let local = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let remote = libc::iovec {
        iov_base: at as *mut _,
        iov_len: bytes.len(),
    };
    // SAFETY: the kernel reads what the slice holds.
    let written = unsafe {
        libc::process_vm_writev(pid as i32, &raw const local, 1, &raw const remote, 1, 0)
    };
    match check(written as c_long)? as usize {
        n if n == bytes.len() => Ok(()),
        _ => Err(io::Error::from_raw_os_error(libc::EFAULT)),
    }
}

/// A string of a process, up to its end.
pub fn read_path(pid: u32, at: u64) -> io::Result<OsString> {
    let mut path = Vec::new();
    while path.len() < libc::PATH_MAX as usize {
        // Not beyond a page at once: the next one may not be there.
        let from = at + path.len() as u64;
        let piece = read_memory(pid, from, 4096 - (from % 4096) as usize)?;
        if piece.is_empty() {
            break;
        }
        match piece.iter().position(|b| *b == 0) {
            Some(end) => {
                path.extend_from_slice(&piece[..end]);
                return Ok(OsString::from_vec(path));
            }
            None => path.extend(piece),
        }
    }
    Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG))
}

/// The cursor of an open file.
pub fn cursor(file: &File) -> io::Result<u64> {
    // SAFETY: a system call on numbers.
    Ok(check(unsafe { libc::lseek(file.as_raw_fd(), 0, libc::SEEK_CUR) })? as u64)
}

/// The flags with which a file is open.
pub fn flags(file: &File) -> io::Result<c_int> {
    // SAFETY: a system call on numbers.
    Ok(check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) }.into())? as c_int)
}

/// The state of the file system that an open file is on.
pub fn file_system(file: &File) -> io::Result<libc::statfs> {
    let mut state = MaybeUninit::zeroed();
    // SAFETY: the kernel fills the structure, which may be all zeros.
    unsafe {
        check(libc::fstatfs(file.as_raw_fd(), state.as_mut_ptr()).into())?;
        Ok(state.assume_init())
    }
}

/// The bytes of a plain structure of the kernel's.
pub fn bytes_of<T: Copy>(value: &T) -> &[u8] {
    // SAFETY: used for `statfs` and `timespec`, made from zeroed memory; as many bytes as the type has.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// Opens a file as a program asked for it, with its own flags and mode.
pub fn open(path: &std::path::Path, flags: c_int, mode: u32) -> io::Result<File> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path ends with a zero; the descriptor is ours.
    unsafe {
        let fd = check(libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, mode).into())?;
        Ok(File::from_raw_fd(fd as RawFd))
    }
}

/// The time of day now.
pub fn time_of_day() -> io::Result<libc::timespec> {
    let mut now = MaybeUninit::zeroed();
    // SAFETY: the kernel fills the structure.
    unsafe {
        check(libc::clock_gettime(libc::CLOCK_REALTIME, now.as_mut_ptr()).into())?;
        Ok(now.assume_init())
    }
}

/// Runs `change` on a traced program that has stopped at its first instruction, with its stack pointer; then lets it go.
/// To be called by the thread that started it.
pub fn at_start(child: &Child, change: impl FnOnce(u32, u64) -> io::Result<()>) -> io::Result<()> {
    let pid = child.id() as i32;
    // SAFETY: plain system calls; the registers are written to a structure of their type.
    unsafe {
        let mut status = 0;
        check(libc::waitpid(pid, &raw mut status, 0).into())?;
        if !libc::WIFSTOPPED(status) {
            return Err(io::Error::other("the program ended at its start"));
        }
        let mut registers: MaybeUninit<libc::user_regs_struct> = MaybeUninit::zeroed();
        let mut part = libc::iovec {
            iov_base: registers.as_mut_ptr().cast(),
            iov_len: size_of::<libc::user_regs_struct>(),
        };
        check(libc::ptrace(
            libc::PTRACE_GETREGSET,
            pid,
            libc::NT_PRSTATUS,
            &raw mut part,
        ))?;
        let registers = registers.assume_init();
        #[cfg(target_arch = "x86_64")]
        let stack = registers.rsp;
        #[cfg(target_arch = "aarch64")]
        let stack = registers.sp;
        let changed = change(pid as u32, stack);
        check(libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0))?;
        changed
    }
}
