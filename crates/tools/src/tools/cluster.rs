//! `kafka-cluster`: the cluster's id, its brokers' endpoints.

use ottla_client::kafka_protocol::messages::{
    BrokerId, DescribeClusterRequest, DescribeClusterResponse, UnregisterBrokerRequest,
};
use ottla_client::{Client, Topics};

use crate::Tool;
use crate::cluster::{self, block_on};
use crate::errors::Failure;
use crate::options::{Options, Parsed, Subcommands};
use crate::stop::Stop;
use crate::talk::print_line;

pub(super) const TOOL: Tool = Tool {
    name: "cluster",
    classes: &[
        "kafka.tools.ClusterTool",
        "org.apache.kafka.tools.ClusterTool",
    ],
    run,
};

fn connection(options: Options) -> Options {
    options
        .aliases(
            &["bootstrap-server", "b"],
            "host:port,...",
            "Where the brokers are.",
        )
        .aliases(
            &["bootstrap-controller", "C"],
            "host:port,...",
            "Where controllers are; there are none to connect to, use --bootstrap-server.",
        )
        .aliases(
            &["command-config", "c"],
            "file",
            "Properties of the client.",
        )
        .value("config", "file", "The old name of --command-config.")
}

fn tool() -> Subcommands {
    Subcommands::new("kafka-cluster", "This tool tells of a cluster.")
        .command("cluster-id", "Show the cluster's id.", connection)
        .command(
            "unregister",
            "Unregister a broker that is gone.",
            |options| connection(options).aliases(&["id", "i"], "id", "REQUIRED. The broker's id."),
        )
        .command(
            "list-endpoints",
            "List the brokers' endpoints.",
            |options| {
                connection(options).flag("include-fenced-brokers", "List fenced brokers too.")
            },
        )
}

fn run(args: &[String]) -> Result<(), Stop> {
    let tool = tool();
    let (_, command, parsed) = tool.parse(args)?;
    let bootstrap = bootstrap(&parsed).map_err(|stop| tool.command_error(command, stop))?;
    let id: Option<i32> = match command {
        "unregister" => parsed
            .number("id")
            .and_then(|id| id.ok_or_else(|| required("--id/-i")).map(Some))
            .map_err(|stop| tool.command_error(command, stop))?,
        _ => None,
    };
    if parsed.has("config") && parsed.has("command-config") {
        return Err(Stop::Failed(
            "--config and --command-config cannot be specified together.".to_owned(),
        ));
    }
    let properties = cluster::client_properties(&parsed, "config")?;
    block_on(async {
        let client = &mut cluster::connect(bootstrap, &properties, "describeCluster").await?;
        match (command, id) {
            ("cluster-id", _) => cluster_id(client).await,
            (_, Some(id)) => unregister(client, id).await,
            _ => list_endpoints(client, parsed.has("include-fenced-brokers")).await,
        }
    })
    .map_err(|failure: Failure| Stop::Failed(failure.as_cause()))
}

/// The brokers to connect to, of which one must be named.
pub(super) fn bootstrap(parsed: &Parsed) -> Result<&str, Stop> {
    let controllers = parsed.has("bootstrap-controller");
    match parsed.value("bootstrap-server")? {
        Some(_) if controllers => Err(Stop::Failed(
            "argument --bootstrap-controller: not allowed with argument --bootstrap-server"
                .to_owned(),
        )),
        Some(bootstrap) => Ok(bootstrap),
        None if controllers => Err(Stop::Failed(
            "--bootstrap-controller: there is no controller to connect to; use --bootstrap-server"
                .to_owned(),
        )),
        None => Err(Stop::Failed(
            "one of the arguments --bootstrap-server --bootstrap-controller is required".to_owned(),
        )),
    }
}

fn required(argument: &str) -> Stop {
    Stop::Failed(format!("argument {argument} is required"))
}

async fn cluster_id(client: &mut Client) -> Result<(), Failure> {
    let metadata = client.metadata(Topics::Named(&[]), false).await?;
    match metadata.cluster_id {
        Some(id) => print_line!("Cluster ID: {id}"),
        None => print_line!("No cluster ID found. The Kafka version is probably too old."),
    }
    Ok(())
}

async fn unregister(client: &mut Client, id: i32) -> Result<(), Failure> {
    let request = UnregisterBrokerRequest::default().with_broker_id(BrokerId(id));
    let answer = client
        .retry(async |client| client.controller().await?.call(&request).await)
        .await?;
    Failure::of_code(answer.error_code, answer.error_message.as_deref())?;
    print_line!("Broker {id} is no longer registered.");
    Ok(())
}

async fn list_endpoints(client: &mut Client, fenced: bool) -> Result<(), Failure> {
    let request = DescribeClusterRequest::default()
        .with_endpoint_type(1)
        .with_include_fenced_brokers(fenced);
    let answer = client
        .retry(async |client| client.any().await?.call(&request).await)
        .await?;
    Failure::of_code(answer.error_code, answer.error_message.as_deref())?;
    print_line!("{}", endpoints(&answer).join("\n"));
    Ok(())
}

fn endpoints(answer: &DescribeClusterResponse) -> Vec<String> {
    let hosts = answer
        .brokers
        .iter()
        .map(|broker| broker.host.chars().count());
    let host_width = hosts.max().unwrap_or(100);
    let racks = answer
        .brokers
        .iter()
        .filter_map(|broker| broker.rack.as_ref());
    let rack_width = racks.map(|rack| rack.chars().count()).max().unwrap_or(10);
    let line = |id: &str, host: &str, port: &str, rack: &str, state: &str, kind: &str| {
        format!(
            "{id:<10} {host:<host_width$} {port:<10} {rack:<rack_width$} {state:<10} {kind:<15}"
        )
    };
    let mut lines = vec![line("ID", "HOST", "PORT", "RACK", "STATE", "ENDPOINT_TYPE")];
    lines.extend(answer.brokers.iter().map(|broker| {
        line(
            &broker.broker_id.0.to_string(),
            &broker.host,
            &broker.port.to_string(),
            broker.rack.as_deref().unwrap_or("null"),
            if broker.is_fenced {
                "fenced"
            } else {
                "unfenced"
            },
            "broker",
        )
    }));
    lines
}

#[cfg(test)]
mod tests {
    use ottla_client::kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
    use ottla_client::kafka_protocol::protocol::StrBytes;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_the_longest_host_and_rack() {
        let broker = |id, host: &str, rack: Option<&str>, fenced| {
            DescribeClusterBroker::default()
                .with_broker_id(BrokerId(id))
                .with_host(StrBytes::from_string(host.to_owned()))
                .with_port(9092)
                .with_rack(rack.map(|rack| StrBytes::from_string(rack.to_owned())))
                .with_is_fenced(fenced)
        };
        let answer = DescribeClusterResponse::default().with_brokers(vec![
            broker(1, "a.example", Some("r1"), false),
            broker(2, "bb.example", None, true),
        ]);
        assert_eq!(
            endpoints(&answer),
            [
                "ID         HOST       PORT       RACK STATE      ENDPOINT_TYPE  ",
                "1          a.example  9092       r1 unfenced   broker         ",
                "2          bb.example 9092       null fenced     broker         ",
            ]
        );
    }
}
