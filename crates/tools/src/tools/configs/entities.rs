//! Whose settings: `--entity-type topics --entity-name orders`, or `--topic orders`.

use crate::options::{Options, Parsed};
use crate::stop::Stop;

/// What has settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntityType {
    Topics,
    Clients,
    Users,
    Brokers,
    Ips,
    ClientMetrics,
    Groups,
    BrokerLoggers,
}

/// All of them, in the order in which messages list them.
const TYPES: [EntityType; 8] = [
    EntityType::Topics,
    EntityType::Clients,
    EntityType::Users,
    EntityType::Brokers,
    EntityType::Ips,
    EntityType::ClientMetrics,
    EntityType::Groups,
    EntityType::BrokerLoggers,
];

impl EntityType {
    pub fn name(self) -> &'static str {
        match self {
            EntityType::Topics => "topics",
            EntityType::Clients => "clients",
            EntityType::Users => "users",
            EntityType::Brokers => "brokers",
            EntityType::Ips => "ips",
            EntityType::ClientMetrics => "client-metrics",
            EntityType::Groups => "groups",
            EntityType::BrokerLoggers => "broker-loggers",
        }
    }

    /// What one of them is called in output: the name without its last letter.
    pub fn singular(self) -> &'static str {
        let name = self.name();
        &name[..name.len() - 1]
    }

    pub fn list() -> String {
        TYPES.map(EntityType::name).join(", ")
    }

    /// Whether there are settings that all of the type have by default.
    pub fn has_default(self) -> bool {
        self.is_of_quotas() || self == EntityType::Brokers
    }

    pub fn is_of_quotas(self) -> bool {
        matches!(
            self,
            EntityType::Clients | EntityType::Users | EntityType::Ips
        )
    }
}

/// The flags that name a type and an entity of it at once.
const FLAGS: [(&str, EntityType); 8] = [
    ("topic", EntityType::Topics),
    ("client", EntityType::Clients),
    ("user", EntityType::Users),
    ("broker", EntityType::Brokers),
    ("broker-logger", EntityType::BrokerLoggers),
    ("ip", EntityType::Ips),
    ("client-metrics", EntityType::ClientMetrics),
    ("group", EntityType::Groups),
];

/// Those that name a type's default.
const DEFAULTS: [(&str, EntityType); 4] = [
    ("client-defaults", EntityType::Clients),
    ("user-defaults", EntityType::Users),
    ("broker-defaults", EntityType::Brokers),
    ("ip-defaults", EntityType::Ips),
];

pub(super) fn add_flags(mut options: Options) -> Options {
    for (flag, entity_type) in FLAGS {
        let description = format!(
            "The same as --entity-type {} --entity-name.",
            entity_type.name()
        );
        options = options.value(flag, "name", &description);
    }
    for (flag, entity_type) in DEFAULTS {
        let description = format!(
            "The same as --entity-type {} --entity-default.",
            entity_type.name()
        );
        options = options.flag(flag, &description);
    }
    options
}

/// Whose settings a command is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entities {
    pub entity_type: EntityType,
    /// The name; empty for the default of all, `None` for each of them.
    pub name: Option<String>,
}

impl Entities {
    /// Takes them from the options; the error is a message.
    pub fn of(parsed: &Parsed) -> Result<Entities, String> {
        let mut types: Vec<&str> = parsed
            .values("entity-type")
            .iter()
            .map(|name| &**name)
            .collect();
        let mut names: Vec<String> = parsed.values("entity-name").to_vec();
        if parsed.has("entity-default") {
            names.push(String::new());
        }
        let mut flags = false;
        for (flag, entity_type) in FLAGS {
            if let Some(name) = parsed.value(flag).map_err(message)? {
                types.push(entity_type.name());
                names.push(name.to_owned());
                flags = true;
            }
        }
        for (flag, entity_type) in DEFAULTS {
            if parsed.has(flag) {
                types.push(entity_type.name());
                names.push(String::new());
                flags = true;
            }
        }
        check_bootstrap(parsed)?;
        let entity_type = one_type(&types)?;
        if flags
            && !parsed
                .given(&["entity-type", "entity-name", "entity-default"])
                .is_empty()
        {
            return Err("--entity-{type,name,default} should not be used in conjunction with specific entity flags".to_owned());
        }
        let is_broker = matches!(entity_type, EntityType::Brokers | EntityType::BrokerLoggers);
        if is_broker
            && let Some(name) = names.iter().find(|name| !name.is_empty())
            && name.parse::<i32>().is_err()
        {
            return Err(format!(
                "The entity name for {} must be a valid integer broker id, but it is: {name}",
                entity_type.name()
            ));
        }
        let entities = Entities {
            entity_type,
            name: names.into_iter().next(),
        };
        if parsed.has("describe") {
            entities.check_describe()?;
        }
        Ok(entities)
    }

    fn check_describe(&self) -> Result<(), String> {
        let kind = self.entity_type;
        if !kind.has_default() && self.name.as_deref() == Some("") {
            return Err(format!(
                "--entity-default must not be specified with --describe of {}",
                kind.name()
            ));
        }
        if kind == EntityType::BrokerLoggers && self.name.is_none() {
            return Err(format!(
                "An entity name must be specified with --describe of {}",
                kind.name()
            ));
        }
        Ok(())
    }
}

fn check_bootstrap(parsed: &Parsed) -> Result<(), String> {
    match (
        parsed.has("bootstrap-server"),
        parsed.has("bootstrap-controller"),
    ) {
        (true, false) => Ok(()),
        (true, true) => Err(
            "Only one of --bootstrap-server or --bootstrap-controller can be specified".to_owned(),
        ),
        (false, true) => Err(
            "--bootstrap-controller: there is no controller to connect to; use --bootstrap-server"
                .to_owned(),
        ),
        (false, false) => {
            Err("Either --bootstrap-server or --bootstrap-controller must be specified.".to_owned())
        }
    }
}

fn one_type(names: &[&str]) -> Result<EntityType, String> {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if seen.contains(name) {
            return Err(format!("Duplicate entity type(s) specified: {name}"));
        }
        seen.push(name);
    }
    let mut types = Vec::new();
    for name in names {
        match TYPES.into_iter().find(|known| known.name() == *name) {
            Some(known) => types.push(known),
            None => {
                return Err(format!(
                    "Invalid entity type {name}, the entity type must be one of {} with a --bootstrap-server or --bootstrap-controller argument",
                    EntityType::list()
                ));
            }
        }
    }
    match types[..] {
        [] => Err("At least one entity type must be specified".to_owned()),
        [only] => Ok(only),
        [EntityType::Users, EntityType::Clients] | [EntityType::Clients, EntityType::Users] => {
            Ok(EntityType::Users)
        }
        _ => Err("Only 'users' and 'clients' entity types may be specified together".to_owned()),
    }
}

fn message(stop: Stop) -> String {
    match stop {
        Stop::Failed(message) | Stop::Usage { message, .. } => message,
        Stop::Exit(code) => format!("exit code {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::options;
    use super::*;

    fn entities(args: &str) -> Result<Entities, String> {
        let args: Vec<String> = format!("--bootstrap-server h:1 {args}")
            .split(' ')
            .map(str::to_owned)
            .collect();
        Entities::of(&options().parse(&args).unwrap())
    }

    #[test]
    fn an_entity_is_named_in_either_way() {
        let expected = |entity_type, name: Option<&str>| {
            Ok(Entities {
                entity_type,
                name: name.map(str::to_owned),
            })
        };
        for (args, expected) in [
            (
                "--entity-type topics --entity-name a",
                expected(EntityType::Topics, Some("a")),
            ),
            ("--topic a", expected(EntityType::Topics, Some("a"))),
            ("--entity-type topics", expected(EntityType::Topics, None)),
            (
                "--entity-type brokers --entity-default",
                expected(EntityType::Brokers, Some("")),
            ),
            ("--broker-defaults", expected(EntityType::Brokers, Some(""))),
        ] {
            assert_eq!(entities(args), expected, "{args}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_said() {
        for (args, part) in [
            ("--describe", "At least one entity type"),
            ("--entity-type nix", "Invalid entity type nix"),
            ("--entity-type topics --topic a", "Duplicate entity type(s)"),
            ("--topic a --group g", "may be specified together"),
            (
                "--topic a --entity-name b",
                "should not be used in conjunction",
            ),
            ("--broker one", "must be a valid integer broker id"),
            (
                "--describe --entity-type topics --entity-default",
                "--entity-default must not be specified",
            ),
            (
                "--describe --entity-type broker-loggers",
                "An entity name must be specified",
            ),
        ] {
            let message = entities(args).unwrap_err();
            assert!(message.contains(part), "{args}: {message}");
        }
    }
}
