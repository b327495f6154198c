//! What is known of one setting, and how a value is held against it.

/// A setting's type. The numbers are those of DescribeConfigs (KIP-569).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Bool = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
    Class = 8,
    /// Never shown.
    Password = 9,
}

/// Which values of the type are allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub enum Valid {
    Any,
    AtLeast(i64),
    Between(i64, i64),
    BetweenReal(f64, f64),
    /// The value, or each element of a list, is one of these.
    OneOf(&'static [&'static str]),
    /// What may stand in the name of a topic: letters, digits, `.`, `_`, `-`; at most 249 of them.
    TopicNamePart,
}

/// How much a setting matters to most users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// What a setting belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Scope {
    Broker,
    Topic,
    Group,
    /// A subscription to what clients measure.
    ClientMetrics,
}

impl Scope {
    /// As in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Scope::Broker => "broker",
            Scope::Topic => "topic",
            Scope::Group => "group",
            Scope::ClientMetrics => "client metrics",
        }
    }
}

/// Whether a broker setting can change while the broker runs. Settings of topics and groups always can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// Read at start only.
    ReadOnly,
    /// For one broker.
    PerBroker,
    /// For one broker or as the default of all.
    ClusterWide,
}

/// The unit of a synonym, relative to the milliseconds of the setting it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Unit {
    Same,
    Minutes,
    Hours,
}

/// Another name under which a value can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synonym {
    /// The broker setting.
    pub name: &'static str,
    /// The unit its value is in.
    pub unit: Unit,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// As in Kafka; Ottla's own start with `ottla.`.
    pub name: &'static str,
    /// The type.
    pub kind: Kind,
    /// `None`: unset.
    pub default: Option<&'static str>,
    /// The range.
    pub valid: Valid,
    /// How much it matters.
    pub importance: Importance,
    /// Broker, topic or group.
    pub scope: Scope,
    /// When it can change.
    pub update: Update,
    /// Whether Ottla does anything with it. Names without effect are accepted so that files written for Kafka work.
    pub has_effect: bool,
    /// For a setting of a topic or a group: the broker settings that give its default, first match wins.
    /// For a broker setting: all settings of its family, itself included, first match wins.
    pub synonyms: &'static [Synonym],
    /// What it does, in a sentence or two.
    pub doc: &'static str,
}

/// A broker setting with a default.
pub(super) const fn broker(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> Definition {
    let mut definition = unset(name, kind, doc);
    definition.default = Some(default);
    definition
}

/// A broker setting that is unset by default.
pub(super) const fn unset(name: &'static str, kind: Kind, doc: &'static str) -> Definition {
    Definition {
        name,
        kind,
        default: None,
        valid: Valid::Any,
        importance: Importance::Medium,
        scope: Scope::Broker,
        update: Update::ReadOnly,
        has_effect: true,
        synonyms: &[],
        doc,
    }
}

/// A topic setting.
pub(super) const fn topic(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    synonyms: &'static [Synonym],
    doc: &'static str,
) -> Definition {
    let mut definition = broker(name, kind, default, doc);
    definition.scope = Scope::Topic;
    definition.update = Update::ClusterWide;
    definition.synonyms = synonyms;
    definition
}

impl Definition {
    pub(super) const fn at_least(mut self, min: i64) -> Definition {
        self.valid = Valid::AtLeast(min);
        self
    }
    pub(super) const fn between(mut self, min: i64, max: i64) -> Definition {
        self.valid = Valid::Between(min, max);
        self
    }
    pub(super) const fn between_real(mut self, min: f64, max: f64) -> Definition {
        self.valid = Valid::BetweenReal(min, max);
        self
    }
    pub(super) const fn one_of(mut self, values: &'static [&'static str]) -> Definition {
        self.valid = Valid::OneOf(values);
        self
    }
    pub(super) const fn topic_name_part(mut self) -> Definition {
        self.valid = Valid::TopicNamePart;
        self
    }
    pub(super) const fn high(mut self) -> Definition {
        self.importance = Importance::High;
        self
    }
    pub(super) const fn low(mut self) -> Definition {
        self.importance = Importance::Low;
        self
    }
    pub(super) const fn per_broker(mut self) -> Definition {
        self.update = Update::PerBroker;
        self
    }
    pub(super) const fn cluster_wide(mut self) -> Definition {
        self.update = Update::ClusterWide;
        self
    }
    pub(super) const fn no_effect(mut self) -> Definition {
        self.has_effect = false;
        self
    }
    pub(super) const fn family(mut self, synonyms: &'static [Synonym]) -> Definition {
        self.synonyms = synonyms;
        self
    }

    /// Whether the value is kept from everybody who asks.
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// A value as tools read it back: without spaces around it or between the elements of a list, booleans in lower case.
    pub fn normalize(&self, value: &str) -> String {
        match self.kind {
            Kind::List => list(value).collect::<Vec<_>>().join(","),
            Kind::Bool => value.trim().to_ascii_lowercase(),
            _ => value.trim().to_owned(),
        }
    }

    /// Holds a value against type and range. The message is worded like Kafka's, since tools print it.
    pub fn check(&self, value: &str) -> Result<(), String> {
        self.reason_against(value).map_or(Ok(()), |reason| {
            Err(format!(
                "Invalid value {} for configuration {}: {reason}",
                if self.is_sensitive() {
                    "[hidden]"
                } else {
                    value
                },
                self.name
            ))
        })
    }

    /// Why a value cannot be taken; `None` if it can.
    pub fn reason_against(&self, value: &str) -> Option<String> {
        let trimmed = value.trim();
        match self.kind {
            Kind::Bool => (!trimmed.eq_ignore_ascii_case("true")
                && !trimmed.eq_ignore_ascii_case("false"))
            .then(|| "Expected value to be either true or false".to_owned()),
            Kind::Short => self.integer(trimmed, i64::from(i16::MIN), i64::from(i16::MAX), "SHORT"),
            Kind::Int => self.integer(trimmed, i64::from(i32::MIN), i64::from(i32::MAX), "INT"),
            Kind::Long => self.integer(trimmed, i64::MIN, i64::MAX, "LONG"),
            Kind::Double => match trimmed.parse::<f64>() {
                Err(_) => Some("Not a number of type DOUBLE".to_owned()),
                Ok(number) => match self.valid {
                    Valid::BetweenReal(min, _) if number < min || number.is_nan() => {
                        Some(format!("Value must be at least {min}"))
                    }
                    Valid::BetweenReal(_, max) if number > max => {
                        Some(format!("Value must be no more than {max}"))
                    }
                    _ => None,
                },
            },
            Kind::List => list(value)
                .find(|element| !self.allows(element))
                .map(|element| format!("{element} is not one of {}", self.allowed())),
            // Empty is for "not set", which a setting with a default cannot be.
            Kind::String if self.valid == Valid::TopicNamePart && trimmed.is_empty() => self
                .default
                .is_some_and(|default| !default.is_empty())
                .then(|| "String must not be empty".to_owned()),
            Kind::String if self.valid == Valid::TopicNamePart => (!is_topic_name_part(trimmed))
                .then(|| {
                    "String must be made of letters, digits, `.`, `_` and `-`, at most 249 of them, and not be `.` or `..`"
                        .to_owned()
                }),
            Kind::String | Kind::Class => (!self.allows(trimmed))
                .then(|| format!("String must be one of: {}", self.allowed())),
            Kind::Password => None,
        }
    }

    fn integer(&self, value: &str, min: i64, max: i64, kind: &str) -> Option<String> {
        let number = match value.parse::<i64>() {
            Ok(number) if (min..=max).contains(&number) => number,
            _ => return Some(format!("Not a number of type {kind}")),
        };
        match self.valid {
            Valid::AtLeast(least) | Valid::Between(least, _) if number < least => {
                Some(format!("Value must be at least {least}"))
            }
            Valid::Between(_, most) if number > most => {
                Some(format!("Value must be no more than {most}"))
            }
            _ => None,
        }
    }

    fn allows(&self, value: &str) -> bool {
        match self.valid {
            Valid::OneOf(values) => values.contains(&value),
            _ => true,
        }
    }

    fn allowed(&self) -> String {
        match self.valid {
            Valid::OneOf(values) => values.join(", "),
            _ => String::new(),
        }
    }
}

fn is_topic_name_part(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.len() <= 249 && text.chars().all(allowed) && text != "." && text != ".."
}

/// The elements of a list value: separated by commas, spaces around them dropped, empty ones left out.
pub(super) fn list(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(',')
        .map(str::trim)
        .filter(|element| !element.is_empty())
}

/// A value in the unit of the setting it is a synonym of. A negative number means "without limit" in every unit.
pub(super) fn convert(value: &str, unit: Unit) -> Option<String> {
    let factor: i64 = match unit {
        Unit::Same => return Some(value.to_owned()),
        Unit::Minutes => 60_000,
        Unit::Hours => 3_600_000,
    };
    let number: i64 = value.trim().parse().ok()?;
    if number < 0 {
        return Some("-1".to_owned());
    }
    Some(number.saturating_mul(factor).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_held_against_type_and_range() {
        let int = broker("x", Kind::Int, "1", "").at_least(1);
        let list_of = broker("x", Kind::List, "delete", "").one_of(&["compact", "delete"]);
        let ratio = broker("x", Kind::Double, "0.5", "").between_real(0.0, 1.0);
        let level = broker("x", Kind::Int, "3", "").between(1, 22);
        let flag = broker("x", Kind::Bool, "true", "");
        for (definition, value, error) in [
            (&int, "1", None),
            (&int, " 7 ", None),
            (
                &int,
                "0",
                Some("Invalid value 0 for configuration x: Value must be at least 1"),
            ),
            (
                &int,
                "one",
                Some("Invalid value one for configuration x: Not a number of type INT"),
            ),
            (
                &int,
                "2147483648",
                Some("Invalid value 2147483648 for configuration x: Not a number of type INT"),
            ),
            (&list_of, "compact,delete", None),
            (&list_of, "", None),
            (
                &list_of,
                "compact, purge",
                Some(
                    "Invalid value compact, purge for configuration x: purge is not one of compact, delete",
                ),
            ),
            (&ratio, "0.25", None),
            (
                &ratio,
                "1.5",
                Some("Invalid value 1.5 for configuration x: Value must be no more than 1"),
            ),
            (
                &ratio,
                "NaN",
                Some("Invalid value NaN for configuration x: Value must be at least 0"),
            ),
            (
                &level,
                "23",
                Some("Invalid value 23 for configuration x: Value must be no more than 22"),
            ),
            (&flag, "TRUE", None),
            (
                &flag,
                "yes",
                Some(
                    "Invalid value yes for configuration x: Expected value to be either true or false",
                ),
            ),
        ] {
            assert_eq!(
                definition.check(value),
                error.map_or(Ok(()), |e| Err(e.to_owned())),
                "{value:?}"
            );
        }
    }

    #[test]
    fn hours_and_minutes_become_milliseconds_and_minus_one_stays() {
        for (value, unit, expected) in [
            ("168", Unit::Hours, Some("604800000")),
            ("3", Unit::Minutes, Some("180000")),
            ("-1", Unit::Hours, Some("-1")),
            ("5", Unit::Same, Some("5")),
            ("x", Unit::Hours, None),
        ] {
            assert_eq!(convert(value, unit).as_deref(), expected);
        }
    }
}
