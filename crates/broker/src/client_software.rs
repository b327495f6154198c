//! What a client says of the library it is made of (KIP-511).

use ottla_codec::StrBytes;

/// Name and version of a client library.
#[derive(Debug)]
#[allow(missing_docs)]
pub(crate) struct ClientSoftware {
    pub name: StrBytes,
    pub version: StrBytes,
}

impl ClientSoftware {
    /// `None` if one of the two is not as KIP-511 has it: letters and digits at both ends, `-` and `.` between.
    pub fn new(name: StrBytes, version: StrBytes) -> Option<ClientSoftware> {
        (is_valid(&name) && is_valid(&version)).then_some(ClientSoftware { name, version })
    }

    /// Major and minor version of librdkafka, if this is made of it. Libraries around it that give their own name have it in
    /// their version, as in `confluent-kafka-python` and `2.16.1-rdkafka-2.16.0`.
    pub fn librdkafka(&self) -> Option<(u32, u32)> {
        let version = match self.version.rsplit_once("rdkafka-") {
            Some((_, version)) => version,
            None if &*self.name == "librdkafka" => &self.version,
            None => return None,
        };
        let mut numbers = version.split(['.', '-']).map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    }
}

fn is_valid(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends_well = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    ends_well(bytes.first())
        && ends_well(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn software(name: &'static str, version: &'static str) -> Option<ClientSoftware> {
        let text = StrBytes::from_static_str;
        ClientSoftware::new(text(name), text(version))
    }

    #[test]
    fn names_and_versions_are_checked_as_in_kip_511() {
        for good in ["a", "apache-kafka-java", "librdkafka", "2.3.0-RC1"] {
            assert!(software(good, good).is_some(), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "ä"] {
            assert!(software(bad, "1").is_none(), "{bad}");
            assert!(software("a", bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn librdkafka_is_known_by_its_name_or_as_what_another_library_is_made_of() {
        for (name, version, known) in [
            ("librdkafka", "2.12.1", Some((2, 12))),
            ("librdkafka", "v2.12.1", None),
            ("librdkafka", "2.10-RC1", Some((2, 10))),
            (
                "confluent-kafka-python",
                "2.16.1-rdkafka-2.16.0",
                Some((2, 16)),
            ),
            ("confluent-kafka-go", "1.9.2-librdkafka-2.3.0", Some((2, 3))),
            ("apache-kafka-java", "4.3.1", None),
            ("kgo", "v1.20.0", None),
        ] {
            let software = software(name, version).unwrap();
            assert_eq!(software.librdkafka(), known, "{name} {version}");
        }
    }
}
