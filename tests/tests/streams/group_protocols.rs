//! Applications that ask for a group protocol which is not there.

use ottla_tests::harness::{Broker, Target, original};

use super::application::Application;
use super::topics::make;

#[test]
fn the_streams_group_protocol_is_refused_at_once_and_says_why() {
    let broker = Broker::start_target(Target::Ottla, &[]);
    make(&broker, &["lines", "counts"], 1);
    let settings = [("group.protocol", "streams")];
    let application = Application::new(&broker, "word-count", &settings);
    let mut instance = application.start("one");
    let died = instance.await_line("died", |line| line.starts_with("died "));
    assert!(died.contains("UnsupportedVersionException"), "{died}");
    assert!(died.contains("STREAMS"), "{died}");
    instance.await_end();
}

#[test]
fn the_consumer_group_protocol_is_refused_at_once_and_says_why() {
    let broker = Broker::start_target(Target::Ottla, &[]);
    make(&broker, &["lines"], 1);
    let server = broker.bootstrap();
    let said = original(
        "console-consumer",
        &[
            "--bootstrap-server",
            &server,
            "--topic",
            "lines",
            "--command-property",
            "group.protocol=consumer",
        ],
        "",
    );
    let said = said.stderr;
    assert!(said.contains("UnsupportedVersionException"), "{said}");
    assert!(said.contains("group.protocol=classic"), "{said}");
}
