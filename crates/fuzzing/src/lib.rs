//! What the fuzzer runs: one function for each target, which panics when something that must hold does not. The programs of `fuzz/` call
//! them with inputs that libFuzzer makes; `tests/seeds.rs` with those that are kept, on any toolchain. fuzz/README.md lists which
//! decoder is covered by which target.

pub mod codec;
pub mod session;
pub mod text;

/// A target: its name, which is that of its seeds' directory, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("answer", codec::answer),
    ("batch", codec::batch),
    ("dead_letter", text::dead_letter),
    ("decompress", codec::decompression),
    ("disk", session::disk::target),
    ("frame", codec::frame),
    ("http", text::http),
    ("pattern", text::pattern),
    ("produce", codec::produce),
    ("properties", text::properties),
    ("records", codec::records),
    ("request_body", codec::request_body),
    ("request_header", codec::request_header),
    ("rewrite", codec::rewrite),
    ("rows", text::rows),
    ("session", session::target),
    ("telemetry", text::telemetry),
    ("walk", codec::walk_records),
];
