//! The marker in a commit's metadata by which any client reports a failed record.

/// What a client says of the record at the offset that it commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// `!nack [reason]`: processing failed; try again until `dlq.max.attempts`.
    Nack(String),
    /// `!dead [reason]`: dead-letter it at once.
    Dead(String),
}

/// Metadata that begins like a marker and is none: refused, since the client would believe that it was understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no marker: write \"!nack REASON\" or \"!dead REASON\"")]
pub struct Malformed(pub String);

/// Reads a commit's metadata. `Ok(None)`: ordinary metadata, to be kept as it is.
///
/// The word is followed by the end or by one space and the reason. Everything else that begins with `!nack` or `!dead` is an error.
///
/// NULs at the end are no part of it: confluent-kafka for Python sends the one that ends a string in C.
pub fn parse(metadata: &str) -> Result<Option<Marker>, Malformed> {
    let metadata = metadata.trim_end_matches('\0');
    let reason = |rest: &str| match rest.strip_prefix(' ') {
        Some(reason) => Ok(reason.trim().to_owned()),
        None if rest.is_empty() => Ok(String::new()),
        None => Err(Malformed(metadata.to_owned())),
    };
    if let Some(rest) = metadata.strip_prefix("!nack") {
        return reason(rest).map(|r| Some(Marker::Nack(r)));
    }
    if let Some(rest) = metadata.strip_prefix("!dead") {
        return reason(rest).map(|r| Some(Marker::Dead(r)));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_told_from_other_metadata() {
        let nack = |r: &str| Ok(Some(Marker::Nack(r.to_owned())));
        let dead = |r: &str| Ok(Some(Marker::Dead(r.to_owned())));
        let malformed = |m: &str| Err(Malformed(m.to_owned()));
        for (metadata, expected) in [
            ("", Ok(None)),
            ("host-7", Ok(None)),
            (" !nack", Ok(None)),
            ("!", Ok(None)),
            ("!NACK", Ok(None)),
            ("!nack", nack("")),
            ("!nack ", nack("")),
            ("!nack\0", nack("")),
            ("!dead too old\0", dead("too old")),
            ("!nack no such customer: 7", nack("no such customer: 7")),
            ("!dead ünlesbar", dead("ünlesbar")),
            ("!nackx", malformed("!nackx")),
            ("!nack:reason", malformed("!nack:reason")),
            ("!deadline", malformed("!deadline")),
        ] {
            assert_eq!(parse(metadata), expected, "{metadata:?}");
        }
    }
}
