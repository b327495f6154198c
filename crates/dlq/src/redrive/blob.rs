//! Bytes as people and JSON see them: text where they are UTF-8, base64 where not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Bytes. In JSON `{"text": "..."}`, or `{"base64": "..."}` where they are no UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blob {
    /// UTF-8.
    Text(String),
    /// Base64 with padding (RFC 4648, section 4).
    Base64(String),
}

/// Base64 that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not base64: {0}")]
pub struct NotBase64(String);

impl Blob {
    /// From bytes.
    pub fn new(bytes: &[u8]) -> Blob {
        match std::str::from_utf8(bytes) {
            Ok(text) => Blob::Text(text.to_owned()),
            Err(_) => Blob::Base64(STANDARD.encode(bytes)),
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> Result<Bytes, NotBase64> {
        match self {
            Blob::Text(text) => Ok(Bytes::from(text.clone())),
            Blob::Base64(text) => STANDARD
                .decode(text)
                .map(Bytes::from)
                .map_err(|e| NotBase64(e.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes: Vec<u8>) {
            prop_assert_eq!(&Blob::new(&bytes).bytes().unwrap()[..], &bytes[..]);
        }
    }

    #[test]
    fn text_stays_readable_and_other_bytes_are_told_apart() {
        assert_eq!(Blob::new("tée".as_bytes()), Blob::Text("tée".into()));
        assert_eq!(Blob::new(&[0xff]), Blob::Base64("/w==".into()));
        assert!(Blob::Base64("/w=".into()).bytes().is_err());
    }
}
