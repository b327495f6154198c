//! What is wrong, in one sentence, and how to set it right.

use super::address::Address;
use super::examine::{Examined, Followed, Place};
use super::peer::Peer;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// For programs; `None` if clients find their way.
    pub problem: Option<&'static str>,
    pub sentence: String,
    /// A setting of the broker, in the form of an environment variable.
    pub setting: Option<String>,
}

/// The first thing to mend: what comes later may be caused by it.
pub(super) fn verdict(examined: &Examined) -> Verdict {
    let starts = examined.start.iter().find_map(start);
    starts
        .or_else(|| two_clusters(examined))
        .or_else(|| {
            examined
                .brokers
                .iter()
                .find_map(|broker| follow(examined, broker))
        })
        .unwrap_or_else(|| {
            let from: Vec<String> = examined
                .start
                .iter()
                .map(|p| p.address.to_string())
                .collect();
            Verdict {
                problem: None,
                sentence: format!(
                    "Clients that start at {} reach every broker from here.",
                    from.join(" or ")
                ),
                setting: None,
            }
        })
}

fn problem(code: &'static str, sentence: String) -> Option<Verdict> {
    Some(Verdict {
        problem: Some(code),
        sentence,
        setting: None,
    })
}

/// What is wrong where a client starts.
fn start(place: &Place) -> Option<Verdict> {
    let at = &place.address;
    let peers = match &place.peers {
        Ok(peers) => peers,
        Err(_) if at.is_unspecified() => {
            return problem(
                "unspecified",
                format!(
                    "{at} stands for all interfaces of the broker's machine: clients start at a name or an address of it."
                ),
            );
        }
        Err(why) if at.is_bare_name() => {
            return problem(
                "unresolved",
                format!(
                    "The name {} {why}: it is likely a container's, which only containers in the same network know; \
                     from here, use localhost and the port that is published.",
                    at.host
                ),
            );
        }
        Err(why) => {
            return problem(
                "unresolved",
                format!(
                    "The name {} {why}: check how it is written, and the resolver.",
                    at.host
                ),
            );
        }
    };
    if place.cluster().is_some() {
        let ids: Vec<_> = place.clusters().map(|cluster| &cluster.id).collect();
        if ids.windows(2).any(|two| two[0] != two[1]) {
            let told: Vec<String> = peers
                .iter()
                .map(|(ip, peer)| format!("{ip} {}", peer.describe()))
                .collect();
            return problem(
                "mixed_addresses",
                format!(
                    "{} stands for several addresses with different clusters behind them ({}): use the address instead of the name.",
                    at.host,
                    told.join("; ")
                ),
            );
        }
        return None;
    }
    // What says something goes before what says nothing.
    let telling = peers
        .iter()
        .map(|(_, peer)| peer)
        .min_by_key(|peer| match peer {
            Peer::Refuses | Peer::Unanswered | Peer::Unreachable(_) => 1,
            _ => 0,
        })?;
    let (code, advice) = match telling {
        Peer::Refuses => (
            "refused",
            "start the broker, or check that it listens on this port, and that a container publishes it (ports: in compose, -p)",
        ),
        Peer::Unanswered | Peer::Unreachable(_) => (
            "unreachable",
            "check the address, the route to it and firewalls between",
        ),
        Peer::Tls => (
            "tls",
            "clients need security.protocol=SSL (or SASL_SSL) there, or a listener without TLS",
        ),
        Peer::Http => (
            "http",
            "this is another server's port, or the broker's for HTTP; clients need that of a Kafka listener",
        ),
        Peer::Sasl => (
            "sasl",
            "clients need security.protocol=SASL_PLAINTEXT and credentials there, or a listener without SASL",
        ),
        Peer::Controller => (
            "controller",
            "clients need the port of a broker's listener, not that of controller.listener.names",
        ),
        Peer::Closes => (
            "closed",
            "likely a published port with nothing behind it: in a container the broker must listen on all interfaces \
             (KAFKA_LISTENERS=PLAINTEXT://:9092), on the port that is published",
        ),
        Peer::Silent => (
            "silent",
            "likely not a broker's port, or a proxy that does not reach it",
        ),
        Peer::Other(_) | Peer::Kafka(_) => (
            "other_protocol",
            "clients need the port of a Kafka listener",
        ),
    };
    problem(code, format!("{at} {}: {advice}.", telling.describe()))
}

fn two_clusters(examined: &Examined) -> Option<Verdict> {
    let id = |place: &Place| place.cluster().and_then(|cluster| cluster.id.clone());
    let first = examined.start.first()?;
    let other = examined.start.iter().find(|place| id(place) != id(first))?;
    problem(
        "two_clusters",
        format!(
            "{} and {} belong to different clusters: clients must start at brokers of one.",
            first.address, other.address
        ),
    )
}

/// What is wrong with an address that a broker advertises.
fn follow(examined: &Examined, broker: &Followed) -> Option<Verdict> {
    let start = &examined.start[broker.told_by];
    let (from, to) = (&start.address, &broker.place.address);
    let told = format!(
        "Clients that start at {from} are sent on to broker {} at {to}",
        broker.id
    );
    let expected = start.cluster().and_then(|cluster| cluster.id.as_ref());
    let wrong = |code: &'static str, why: String| {
        let (how, setting) = remedy(examined, broker, from);
        Some(Verdict {
            problem: Some(code),
            sentence: format!("{told}, {why}: {how}."),
            setting: Some(setting),
        })
    };
    let peers = match &broker.place.peers {
        Ok(peers) => peers,
        Err(_) if to.is_unspecified() => {
            return wrong(
                "advertised_unspecified",
                "which is no place to connect to".to_owned(),
            );
        }
        Err(why) => {
            let whose = match to.is_bare_name() {
                true => ", likely a container's name that only its network knows",
                false => "",
            };
            return wrong("advertised_unresolved", format!("which {why}{whose}"));
        }
    };
    let Some(cluster) = broker.place.cluster() else {
        let (_, peer) = peers.first()?;
        return match to.is_loopback() && !from.is_loopback() {
            true => wrong(
                "advertised_localhost",
                format!(
                    "where each client looks for it on its own machine, and which here {}",
                    peer.describe()
                ),
            ),
            false => wrong(
                "advertised_unreachable",
                format!("which {}", peer.describe()),
            ),
        };
    };
    if cluster.id.as_ref() != expected {
        let id = cluster.id.as_deref().unwrap_or("without an id");
        let why = match to.is_loopback() && !from.is_loopback() {
            true => format!(
                "where each client looks on its own machine, and here another cluster ({id}) answers"
            ),
            false => format!("where another cluster ({id}) answers"),
        };
        return wrong("advertised_other_cluster", why);
    }
    if let Some(words) = &broker.is_another {
        return wrong(
            "advertised_other_broker",
            format!("where another broker answers ({words})"),
        );
    }
    None
}

/// What to do, and the setting. Where there is one broker, it is where clients start.
fn remedy(examined: &Examined, broker: &Followed, from: &Address) -> (String, String) {
    let brokers = examined.start[broker.told_by]
        .cluster()
        .map_or(0, |c| c.brokers.len());
    match brokers {
        1 => {
            let setting = format!("KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://{from}");
            let mut how = format!(
                "for clients that come this way the broker must advertise {from}, as in {setting} with the listener's own name"
            );
            let to = &broker.place.address;
            if to.is_bare_name() {
                how.push_str(&format!(
                    "; where containers need {to}, too, give each side a listener of its own"
                ));
            }
            (how, setting)
        }
        _ => {
            let setting = "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://HOST:PORT".to_owned();
            let how = format!(
                "broker {} must advertise an address by which clients reach it from here, as in {setting} with the listener's own name",
                broker.id
            );
            (how, setting)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::commands::doctor::peer::{Broker, Cluster};

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn kafka(id: &str, advertised: &[&str]) -> Peer {
        let broker = |(id, text): (i32, &&str)| Broker {
            id,
            advertised: address(text),
        };
        Peer::Kafka(Cluster {
            id: Some(id.to_owned()),
            brokers: (1..).zip(advertised).map(broker).collect(),
        })
    }

    fn place(at: &str, peers: Result<Vec<(&str, Peer)>, &str>) -> Place {
        let peers = peers.map_err(str::to_owned).map(|peers| {
            let ip = |text: &str| text.parse::<IpAddr>().unwrap();
            peers.into_iter().map(|(at, peer)| (ip(at), peer)).collect()
        });
        Place {
            address: address(at),
            peers,
        }
    }

    fn started(place: Place) -> Verdict {
        verdict(&Examined {
            start: vec![place],
            brokers: Vec::new(),
        })
    }

    #[test]
    fn another_cluster_behind_one_of_a_names_addresses_is_told() {
        let peers = vec![("::1", kafka("a", &[])), ("127.0.0.1", kafka("b", &[]))];
        let told = started(place("localhost:9092", Ok(peers)));
        assert_eq!(told.problem, Some("mixed_addresses"));
        assert!(
            told.sentence.contains("::1 is a broker of cluster a"),
            "{told:?}"
        );
        let peers = vec![("::1", Peer::Refuses), ("127.0.0.1", kafka("b", &[]))];
        assert_eq!(started(place("localhost:9092", Ok(peers))).problem, None);
    }

    #[test]
    fn what_says_something_is_told_rather_than_what_refuses() {
        let peers = vec![("::1", Peer::Refuses), ("127.0.0.1", Peer::Tls)];
        assert_eq!(
            started(place("localhost:9092", Ok(peers))).problem,
            Some("tls")
        );
    }

    #[test]
    fn a_containers_name_is_known_for_one() {
        let told = started(place("kafka:9092", Err("does not resolve here")));
        assert!(told.sentence.contains("likely a container's"), "{told:?}");
        let followed = Followed {
            id: 1,
            place: place("kafka:9092", Err("does not resolve here")),
            told_by: 0,
            is_another: None,
        };
        let told = verdict(&Examined {
            start: vec![place(
                "localhost:9092",
                Ok(vec![("127.0.0.1", kafka("a", &["kafka:9092"]))]),
            )],
            brokers: vec![followed],
        });
        assert_eq!(
            told.setting.as_deref(),
            Some("KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://localhost:9092")
        );
        assert!(
            told.sentence
                .contains("give each side a listener of its own"),
            "{told:?}"
        );
    }
}
