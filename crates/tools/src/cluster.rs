//! Reaching a cluster as Kafka's tools do: the bootstrap list, the properties of `--command-config`, patience with a broker
//! that is still starting.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use ottla_client::kafka_protocol::ResponseError;
use ottla_client::{Client, ClientOptions};
use tokio::time::Instant;

use crate::errors::Failure;
use crate::options::Parsed;
use crate::stop::Stop;
use crate::talk::{print_line, say};

/// Settings by name, as a file of properties has them.
pub(crate) type Properties = HashMap<String, String>;

/// How long Kafka's admin client tries, unless `default.api.timeout.ms` says otherwise.
const API_TIMEOUT: Duration = Duration::from_secs(60);
/// The pause between two tries to connect.
const RECONNECT_BACKOFF: Duration = Duration::from_millis(50);

/// Reads a file of properties; none where no file is given.
pub(crate) fn read_properties(file: Option<&str>) -> Result<Properties, Stop> {
    let Some(file) = file else {
        return Ok(Properties::new());
    };
    read_file(Path::new(file))
        .map_err(|error| Stop::Failed(format!("cannot read the properties in {file}: {error}")))
}

/// The properties of `--command-config`, or of the option that a tool had before it.
pub(crate) fn client_properties(parsed: &Parsed, old: &str) -> Result<Properties, Stop> {
    if !parsed.has(old) {
        return read_properties(parsed.value("command-config")?);
    }
    print_line!(
        "Option --{old} has been deprecated and will be removed in a future version. Use --command-config instead."
    );
    read_properties(parsed.value(old)?)
}

fn read_file(path: &Path) -> Result<Properties, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    java_properties::read(std::io::BufReader::new(file)).map_err(|error| error.to_string())
}

/// Runs what talks to a broker; one thread is enough.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime of one thread needs no more than an epoll descriptor");
    let result = runtime.block_on(future);
    // A read of stdin cannot be cancelled; do not wait for it.
    runtime.shutdown_background();
    result
}

/// Connects to a cluster. A broker that does not answer yet is waited for as long as Kafka's admin client would; `call` is
/// the name of that client's method, which is told when time is up.
pub(crate) async fn connect(
    bootstrap: &str,
    properties: &Properties,
    call: &str,
) -> Result<Client, Failure> {
    let options = client_options(properties)?;
    let addresses = addresses(bootstrap)?;
    resolve(&addresses).await?;
    let deadline = Instant::now() + options.retry_timeout;
    let mut told = false;
    loop {
        match Client::connect(&addresses, options.clone()).await {
            Ok(client) => return Ok(client),
            Err(error) if error.is_retriable() && Instant::now() < deadline => {
                if !told {
                    say!("{error}; trying again");
                    told = true;
                }
                tokio::time::sleep(RECONNECT_BACKOFF).await;
            }
            Err(error) if error.is_retriable() => {
                let mut failure = Failure::new(format!(
                    "Timed out waiting for a node assignment. Call: {call}"
                ));
                failure.error = Some(ResponseError::RequestTimedOut);
                return Err(failure);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// `host:port,host:port`, of which both parts are needed, as Kafka needs them.
fn addresses(bootstrap: &str) -> Result<Vec<String>, Failure> {
    let addresses: Vec<String> = bootstrap
        .split(',')
        .map(|address| address.trim().to_owned())
        .filter(|address| !address.is_empty())
        .collect();
    if addresses.is_empty() {
        return Err(Failure::new(
            "No resolvable bootstrap urls given in bootstrap.servers",
        ));
    }
    for address in &addresses {
        let port = address
            .rsplit_once(':')
            .map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(_))) {
            return Err(Failure::new(format!(
                "Invalid url in bootstrap.servers: {address}"
            )));
        }
    }
    Ok(addresses)
}

/// A name that nobody knows is told at once.
async fn resolve(addresses: &[String]) -> Result<(), Failure> {
    for address in addresses {
        if tokio::net::lookup_host(address).await.is_ok() {
            return Ok(());
        }
    }
    Err(Failure::new(format!(
        "No resolvable bootstrap urls given in bootstrap.servers: {}",
        addresses.join(",")
    )))
}

fn client_options(properties: &Properties) -> Result<ClientOptions, Failure> {
    if let Some(protocol) = properties.get("security.protocol")
        && !protocol.trim().eq_ignore_ascii_case("PLAINTEXT")
    {
        return Err(Failure::new(format!(
            "security.protocol={protocol}: these tools speak PLAINTEXT alone; use a PLAINTEXT listener, or Kafka's own tools"
        )));
    }
    let mut options = ClientOptions {
        retry_timeout: milliseconds(properties, "default.api.timeout.ms")?.unwrap_or(API_TIMEOUT),
        ..ClientOptions::default()
    };
    if let Some(timeout) = milliseconds(properties, "request.timeout.ms")? {
        options.connection.request_timeout = timeout;
    }
    if let Some(timeout) = milliseconds(properties, "socket.connection.setup.timeout.ms")? {
        options.connection.connect_timeout = timeout;
    }
    if let Some(id) = properties.get("client.id") {
        options.connection.client_id.clone_from(id);
    }
    Ok(options)
}

fn milliseconds(properties: &Properties, name: &str) -> Result<Option<Duration>, Failure> {
    let Some(value) = properties.get(name) else {
        return Ok(None);
    };
    match value.trim().parse() {
        Ok(ms) => Ok(Some(Duration::from_millis(ms))),
        Err(_) => Err(Failure::new(format!(
            "Invalid value {value} for configuration {name}: a number of milliseconds is expected"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_needs_a_port() {
        assert_eq!(
            addresses("a:1, [::1]:2,").unwrap(),
            ["a:1".to_owned(), "[::1]:2".to_owned()]
        );
        for (bootstrap, named) in [("a:1,b", "b"), ("a:99999", "a:99999"), ("a:x", "a:x")] {
            let message = addresses(bootstrap).unwrap_err().to_string();
            assert_eq!(
                message,
                format!("Invalid url in bootstrap.servers: {named}")
            );
        }
        assert!(addresses(" ,").is_err());
    }

    #[test]
    fn properties_become_options_and_security_is_refused() {
        let set = |name: &str, value: &str| {
            client_options(&Properties::from([(name.to_owned(), value.to_owned())]))
        };
        let options = set("default.api.timeout.ms", "1500").unwrap();
        assert_eq!(options.retry_timeout, Duration::from_millis(1500));
        assert!(set("security.protocol", "plaintext").is_ok());
        let refused = set("security.protocol", "SASL_SSL").unwrap_err();
        assert!(refused.to_string().contains("SASL_SSL"));
        let wrong = set("request.timeout.ms", "soon").unwrap_err();
        assert!(wrong.to_string().contains("soon"));
    }

    #[test]
    fn a_broker_that_never_answers_is_given_up_on_with_kafkas_words() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let properties = Properties::from([("default.api.timeout.ms".to_owned(), "10".to_owned())]);
        let failure = block_on(connect(&address, &properties, "listTopics")).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "Timed out waiting for a node assignment. Call: listTopics"
        );
    }
}
