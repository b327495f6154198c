//! Features (KIP-584): what clients may switch their behaviour on. A feature is here when what its level stands for is done.

/// A feature, at the one level there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Feature {
    /// As `kafka-features` shows it.
    pub name: &'static str,
    /// The level: supported and finalised.
    pub level: i16,
}

/// All of them.
pub(crate) const FEATURES: &[Feature] = &[
    Feature {
        // Stands for the release of Kafka that answers are held against, 4.3; administration tools read the version from it.
        name: "metadata.version",
        level: 30,
    },
    Feature {
        // KIP-890: every end of a transaction bumps the epoch, and a partition joins with its first batch.
        name: "transaction.version",
        level: 2,
    },
];

/// Changes whenever a finalised level does: never.
pub(crate) const EPOCH: i64 = 1;

/// The feature of this name.
pub(crate) fn by_name(name: &str) -> Option<Feature> {
    FEATURES.iter().copied().find(|f| f.name == name)
}
