//! Kafka's command line tools beside Ottla's: the same arguments, on brokers in the same state, give the same output and exit
//! code. One file per tool.

mod brokers;
mod cluster;
mod configs;
mod console_consumer;
mod console_producer;
mod consumer_groups;
mod groups;
mod names;
mod normal;
mod offsets;
mod topics;
mod transactions;
mod view;

use std::process::Command;
use std::time::Duration;

use ottla_tests::harness::{Broker, Finished, original, ottla_binary, run};

use normal::Order;

/// Two brokers in the same state: what the original did to the one, the shim did to the other.
struct Twins {
    for_original: Broker,
    for_shim: Broker,
}

impl Twins {
    fn start() -> Twins {
        Twins::start_with(&[])
    }

    fn start_with(settings: &[&str]) -> Twins {
        Twins {
            for_original: Broker::start_with(settings),
            for_shim: Broker::start_with(settings),
        }
    }

    /// Does the same to both.
    fn prepare(&self, what: impl Fn(&Broker)) {
        what(&self.for_original);
        what(&self.for_shim);
    }

    /// Runs the original and the shim. Panics unless they said the same, apart from what differs from run to run, and ended
    /// with the same exit code. Returns what both said.
    #[track_caller]
    fn same(&self, tool: &str, args: &[&str]) -> Finished {
        self.compare(tool, args, "", Order::Kept)
    }

    /// The same for a tool that reads standard input.
    #[track_caller]
    fn same_with_input(&self, tool: &str, args: &[&str], input: &str) -> Finished {
        self.compare(tool, args, input, Order::Kept)
    }

    /// The same where the original's order of lines is that of a hash table.
    #[track_caller]
    fn same_in_any_order(&self, tool: &str, args: &[&str]) -> Finished {
        self.compare(tool, args, "", Order::Any)
    }

    #[track_caller]
    fn compare(&self, tool: &str, args: &[&str], input: &str, order: Order) -> Finished {
        let (server, other) = (self.for_original.bootstrap(), self.for_shim.bootstrap());
        let expected = original(tool, &with_server(&server, args), input);
        let said = shim(tool, &with_server(&other, args), input);
        let normal = normal::of(&expected, &server, order);
        assert_eq!(
            normal,
            normal::of(&said, &other, order),
            "kafka-{tool} {args:?}: the original is on the left; what it said:\n{}{}\nthe shim:\n{}{}",
            expected.stdout,
            expected.stderr,
            said.stdout,
            said.stderr,
        );
        said
    }
}

/// The argument `SERVER` is the broker's address; without one the usual option comes first.
fn with_server<'a>(server: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    let mut all = Vec::new();
    if !args.contains(&"SERVER") {
        all.extend(["--bootstrap-server", server]);
    }
    all.extend(args.iter().map(|arg| match *arg {
        "SERVER" => server,
        arg => arg,
    }));
    all
}

/// Runs Ottla's own tool.
fn shim(tool: &str, args: &[&str], input: &str) -> Finished {
    let mut command = Command::new(ottla_binary());
    command.args(["kafka", tool]).args(args);
    run(&mut command, input.as_bytes(), Duration::from_secs(120))
}

/// What both say about arguments that are wrong, without a broker.
#[track_caller]
fn same_refusal(tool: &str, args: &[&str]) -> Finished {
    let expected = original(tool, args, "");
    let said = shim(tool, args, "");
    let (left, right) = (
        normal::of(&expected, "none", Order::Kept),
        normal::of(&said, "none", Order::Kept),
    );
    assert_eq!(left, right, "kafka-{tool} {args:?}");
    assert_ne!(said.code, Some(0), "kafka-{tool} {args:?}");
    said
}
