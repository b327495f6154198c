//! What a broker answers all day beside records: heartbeats, commits of offsets, metadata, versions. Fifty connections with one request
//! in flight each.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, HeartbeatRequest, MetadataRequest, OffsetCommitRequest,
    ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Request, StrBytes};

use super::members::{self, Member};
use super::{Meter, Sample, Scene, TOPIC, WARM_UP_SHARE, closed_loop, higher, lower, raw};
use crate::stats::percentile_ms;

const CONNECTIONS: usize = 50;
const PARTITIONS: i32 = 6;
const FULL: Duration = Duration::from_secs(4);
const HEARTBEAT_VERSION: i16 = 4;
const COMMIT_VERSION: i16 = 8;
const METADATA_VERSION: i16 = 12;
const API_VERSIONS_VERSION: i16 = 3;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// By the members of one classic group.
    Heartbeats,
    /// One partition's offset, by the members of one group.
    OffsetCommits,
    /// Of one topic.
    Metadata,
    /// As each connection begins.
    ApiVersions,
}

impl Asked {
    /// All of them.
    pub const ALL: [Asked; 4] = [
        Asked::Heartbeats,
        Asked::OffsetCommits,
        Asked::Metadata,
        Asked::ApiVersions,
    ];

    /// As in tables.
    pub fn name(self) -> &'static str {
        match self {
            Asked::Heartbeats => "heartbeats of 50 members",
            Asked::OffsetCommits => "offset commits of 50 members",
            Asked::Metadata => "metadata of a topic",
            Asked::ApiVersions => "API versions",
        }
    }

    fn needs_members(self) -> bool {
        matches!(self, Asked::Heartbeats | Asked::OffsetCommits)
    }

    fn frame(self, number: usize, members: &[Member]) -> Result<Bytes> {
        let member = || members.get(number).context("too few members");
        match self {
            Asked::Heartbeats => heartbeat_frame(member()?),
            Asked::OffsetCommits => commit_frame(number, member()?),
            Asked::Metadata => {
                let topic = MetadataRequestTopic::default().with_name(Some(topic()));
                let request = MetadataRequest::default().with_topics(Some(vec![topic]));
                raw::frame(METADATA_VERSION, &request)
            }
            Asked::ApiVersions => {
                let request = ApiVersionsRequest::default()
                    .with_client_software_name(StrBytes::from_static_str("bench"))
                    .with_client_software_version(StrBytes::from_static_str("1"));
                raw::frame(API_VERSIONS_VERSION, &request)
            }
        }
    }

    /// An error unless the broker did what was asked.
    fn check(self, answer: Bytes) -> Result<()> {
        let errors = match self {
            Asked::Heartbeats => vec![heartbeat_error(answer)?],
            Asked::OffsetCommits => {
                let answer = decode::<OffsetCommitRequest>(COMMIT_VERSION, answer)?;
                let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.map(|partition| partition.error_code).collect()
            }
            Asked::Metadata => {
                let answer = decode::<MetadataRequest>(METADATA_VERSION, answer)?;
                answer.topics.iter().map(|topic| topic.error_code).collect()
            }
            Asked::ApiVersions => {
                let answer = decode::<ApiVersionsRequest>(API_VERSIONS_VERSION, answer)?;
                vec![answer.error_code]
            }
        };
        ensure!(
            errors == [0],
            "{} are answered with errors {errors:?}",
            self.name()
        );
        Ok(())
    }
}

/// Runs it once.
pub async fn run(scene: &Scene, asked: Asked) -> Result<Vec<Sample>> {
    let server = scene.server(PARTITIONS).await?;
    let members = match asked.needs_members() {
        true => members::join(&server.address, CONNECTIONS).await?,
        false => Vec::new(),
    };
    let frames = (0..CONNECTIONS)
        .map(|number| asked.frame(number, &members))
        .collect::<Result<Vec<_>>>()?;
    let length = scene.time(FULL).max(Duration::from_secs(1));
    closed_loop::run(&server.address, &frames, length / WARM_UP_SHARE).await?;
    let meter = Meter::start(&server)?;
    let answered = closed_loop::run(&server.address, &frames, length).await?;
    let (wall, cpu) = meter.stop()?;
    // What went wrong in between would have gone on.
    answered
        .last
        .into_iter()
        .try_for_each(|last| asked.check(last))?;
    let mut times = answered.times;
    Ok(vec![
        higher("requests", "per s", times.len() as f64 / wall),
        lower("CPU", "s per 100,000", cpu / times.len() as f64 * 1e5),
        lower("p99", "ms", percentile_ms(&mut times, 99.0)),
    ])
}

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}

/// A heartbeat of a member, as a whole frame.
pub fn heartbeat_frame(member: &Member) -> Result<Bytes> {
    let request = HeartbeatRequest::default()
        .with_group_id(members::group_id())
        .with_generation_id(member.generation)
        .with_member_id(member.id.clone());
    raw::frame(HEARTBEAT_VERSION, &request)
}

/// The error code of the answer to [`heartbeat_frame`], without its length.
pub fn heartbeat_error(answer: Bytes) -> Result<i16> {
    Ok(decode::<HeartbeatRequest>(HEARTBEAT_VERSION, answer)?.error_code)
}

fn commit_frame(number: usize, member: &Member) -> Result<Bytes> {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(number as i32 % PARTITIONS)
        .with_committed_offset(5)
        .with_committed_leader_epoch(-1)
        .with_committed_metadata(Some(StrBytes::from_static_str("")));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic())
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(members::group_id())
        .with_generation_id_or_member_epoch(member.generation)
        .with_member_id(member.id.clone())
        .with_topics(vec![topic]);
    raw::frame(COMMIT_VERSION, &request)
}

fn decode<R: Request>(version: i16, mut answer: Bytes) -> Result<R::Response> {
    let api = ApiKey::try_from(R::KEY).map_err(|()| anyhow::anyhow!("unknown API"))?;
    ResponseHeader::decode(&mut answer, api.response_header_version(version))?;
    R::Response::decode(&mut answer, version)
}
