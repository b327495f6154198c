//! Talk for people, on stderr. Whoever reads it may go away: that ends no command, least of all a broker
//! (`eprintln!` would panic).

/// Prints a line to stderr, if anybody reads it.
macro_rules! say {
    ($($arg:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($arg)*);
    }};
}
pub(crate) use say;
