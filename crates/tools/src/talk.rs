//! Lines to stdout and stderr. As with Java's `System.out`, nobody hears of a reader that went away (`println!` would panic).

/// Prints a line to stdout.
macro_rules! print_line {
    ($($arg:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($arg)*);
    }};
}
pub(crate) use print_line;

/// Prints a line to stderr.
macro_rules! say {
    ($($arg:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($arg)*);
    }};
}
pub(crate) use say;

/// Logs a line to stderr, in the layout of Kafka's tools: `log!("WARN", ...)`.
macro_rules! log {
    ($level:literal, $($arg:tt)*) => {
        $crate::talk::say!(
            "[{}] {} {}",
            jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S,%3f"),
            $level,
            format_args!($($arg)*)
        )
    };
}
pub(crate) use log;
