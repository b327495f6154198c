//! `zookeeper-server-start`: start scripts of old images call it, and go on once it is there.

use crate::Tool;
use crate::stop::Stop;
use crate::talk::say;

pub(super) const TOOL: Tool = Tool {
    name: "zookeeper-server-start",
    classes: &["org.apache.zookeeper.server.quorum.QuorumPeerMain"],
    run,
};

fn run(_: &[String]) -> Result<(), Stop> {
    say!("Ottla needs no ZooKeeper: nothing is started.");
    Ok(())
}
