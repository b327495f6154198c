//! Decoders of what a request has inside, for the fuzzer.

/// Bytes as the metrics that a client pushes (OTLP).
pub fn telemetry(bytes: &[u8]) {
    let _ = crate::client_telemetry::otlp::read(bytes);
}

/// A regular expression in RE2's syntax, held against a text.
pub fn pattern(pattern: &str, text: &str) {
    if let Ok(pattern) = crate::re2::whole(pattern) {
        pattern.is_match(text);
    }
}
