//! Properties from `--command-property name=value` and the like, over those of a file, and values in them.

use std::str::FromStr;

use crate::cluster::{self, Properties};
use crate::errors::Failure;
use crate::options::Parsed;
use crate::stop::Stop;

/// The properties of a file, over them those given one by one.
pub(crate) fn gather(file: Option<&str>, pairs: &[String]) -> Result<Properties, Stop> {
    let mut properties = cluster::read_properties(file)?;
    for pair in pairs {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        properties.insert(name.to_owned(), value.to_owned());
    }
    Ok(properties)
}

/// Sets a property from an option if that was given, else to the default if nothing has set it yet.
pub(crate) fn merge(
    properties: &mut Properties,
    name: &str,
    parsed: &Parsed,
    option: &str,
    default: &str,
) -> Result<(), Stop> {
    if let Some(value) = parsed.value(option)? {
        properties.insert(name.to_owned(), value.to_owned());
    } else if !properties.contains_key(name) {
        properties.insert(name.to_owned(), default.to_owned());
    }
    Ok(())
}

/// A property that is a number, `kind` in the words of Kafka's error.
pub(crate) fn number<T: FromStr>(
    properties: &Properties,
    name: &str,
    kind: &str,
) -> Result<Option<T>, Failure> {
    let Some(value) = properties.get(name) else {
        return Ok(None);
    };
    value.trim().parse().map(Some).map_err(|_| {
        config(format!(
            "Invalid value {value} for configuration {name}: Not a number of type {kind}"
        ))
    })
}

/// A property that is one of some words.
pub(crate) fn one_of<'a>(
    properties: &'a Properties,
    name: &str,
    valid: &[&str],
) -> Result<Option<&'a str>, Failure> {
    match properties.get(name).map(|value| &**value) {
        Some(value) if !valid.contains(&value) => Err(config(format!(
            "Invalid value {value} for configuration {name}: String must be one of: {}",
            valid.join(", ")
        ))),
        value => Ok(value),
    }
}

/// A setting that cannot be, with the exception's class, as a stack trace begins.
fn config(message: String) -> Failure {
    Failure::new(format!(
        "org.apache.kafka.common.config.ConfigException: {message}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_properties_come_before_the_files_and_values_are_checked() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "acks=1\nlinger.ms=5\n").unwrap();
        let pairs = ["acks=all".to_owned(), "x=a=b".to_owned(), "y".to_owned()];
        let properties = gather(file.path().to_str(), &pairs).unwrap();
        let valid = one_of(&properties, "acks", &["all", "0"]);
        assert_eq!(valid, Ok(Some("all")));
        assert_eq!(number(&properties, "linger.ms", "LONG"), Ok(Some(5)));
        assert_eq!(properties["x"], "a=b");
        assert_eq!(properties["y"], "");
        assert_eq!(
            number::<i64>(&properties, "x", "LONG")
                .unwrap_err()
                .to_string(),
            "org.apache.kafka.common.config.ConfigException: Invalid value a=b for configuration x: Not a number of type LONG"
        );
        assert!(one_of(&properties, "acks", &["0"]).is_err());
        assert!(gather(Some("/nonexistent/file"), &[]).is_err());
    }
}
