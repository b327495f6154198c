//! The floor: raw programs that answer the same loads with nothing but what any server must do. The distance to them is what a
//! broker costs.
//!
//! The benchmark starts itself as the server (`ottla-bench floor`), so that it is a process of its own whose CPU time is counted as
//! a broker's is. What comes before a load and what counts its records afterwards is in [`setup`].

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ValueEnum;

mod large;
mod setup;
mod small;

/// What a floor does with what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// Takes it and answers: what the sockets cost.
    Answer,
    /// Writes and syncs it before it answers: what the device costs beside.
    Synced,
}

impl Kind {
    /// As on the command line.
    fn name(self) -> &'static str {
        match self {
            Kind::Answer => "answer",
            Kind::Synced => "synced",
        }
    }
}

/// The loads that have a floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Load {
    /// Many connections, small requests.
    Small,
    /// A few connections, batches of about 1 MB, written and then read.
    Large,
}

impl Load {
    /// As on the command line.
    fn name(self) -> &'static str {
        match self {
            Load::Small => "small",
            Load::Large => "large",
        }
    }
}

/// `ottla-bench floor`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The load that will come
    #[arg(long, value_enum)]
    load: Load,
    /// What is done with it
    #[arg(long, value_enum)]
    kind: Kind,
    /// The port on the loopback address
    #[arg(long)]
    port: u16,
    /// Where files go
    data: PathBuf,
}

/// What comes on the command line before the directory.
pub fn command_line(load: Load, kind: Kind, port: u16) -> [String; 7] {
    [
        "floor",
        "--load",
        load.name(),
        "--kind",
        kind.name(),
        "--port",
        &port.to_string(),
    ]
    .map(str::to_owned)
}

/// Serves until the process is killed.
pub async fn serve(arguments: Arguments) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} is taken"))?;
    std::fs::create_dir_all(&arguments.data)?;
    match arguments.load {
        Load::Small => small::serve(listener, arguments.kind, &arguments.data).await,
        Load::Large => large::serve(listener, arguments.kind, &arguments.data).await,
    }
}
