//! A broker inside a test: ephemeral port, temporary directory, ready in milliseconds, stopped on drop. Many fit in one process.
