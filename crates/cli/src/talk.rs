//! Talk for people, on stderr. Whoever reads it may go away: that ends no command, least of all a broker
//! (`eprintln!` would panic).

use ottla_client::ClientError;

/// Prints a line to stderr, if anybody reads it.
macro_rules! say {
    ($($arg:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($arg)*);
    }};
}
pub(crate) use say;

/// Keeps the last failure as the command's own, so that each one is told once.
pub(crate) fn tell_all_but_last(last: &mut Option<ClientError>, error: ClientError) {
    if let Some(earlier) = last.replace(error) {
        say!("ottla: {earlier}");
    }
}
