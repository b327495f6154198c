//! The original and the shim on one broker, which neither of them changes.

use ottla_tests::harness::{Broker, Finished, kafka_tool, original};

use super::normal::{self, Order};
use super::{shim, with_server};

/// Runs both. Panics unless they said the same and ended with the same exit code. Returns what the shim said.
#[track_caller]
pub fn same(broker: &Broker, tool: &str, args: &[&str]) -> Finished {
    let server = broker.bootstrap();
    let args = with_server(&server, args);
    let expected = original(tool, &args, "");
    let said = shim(tool, &args, "");
    assert_eq!(
        normal::of(&expected, &server, Order::Kept),
        normal::of(&said, &server, Order::Kept),
        "kafka-{tool} {args:?}: the original is on the left; what it said:\n{}{}\nthe shim:\n{}{}",
        expected.stdout,
        expected.stderr,
        said.stdout,
        said.stderr,
    );
    said
}

/// The same where stderr differs, as a usage that the shim shows in words of its own: both fail, and say nothing on
/// stdout. Returns what the shim said on stderr.
#[track_caller]
pub fn same_misuse(tool: &str, args: &[&str]) -> String {
    // Some originals end their Java process themselves, so each has one of its own.
    let expected = kafka_tool(tool, args, b"");
    let said = shim(tool, args, "");
    assert_eq!(
        (expected.code, &*expected.stdout),
        (Some(1), ""),
        "kafka-{tool} {args:?}: {}",
        expected.stderr
    );
    assert_eq!(
        (said.code, &*said.stdout),
        (Some(1), ""),
        "kafka-{tool} {args:?}: {}",
        said.stderr
    );
    said.stderr
}
