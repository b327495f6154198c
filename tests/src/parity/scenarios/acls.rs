//! Access control lists, where nobody is there to heed them.

use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::{CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest};

use crate::parity::both::Both;
use crate::parity::words::s;

/// The codes of ResourceType, PatternType, AclOperation and AclPermissionType.
const TOPIC: i8 = 2;
const ANY: i8 = 1;
const LITERAL: i8 = 3;
const READ: i8 = 3;
const ALLOW: i8 = 3;

pub async fn without_an_authorizer(both: &mut Both) -> anyhow::Result<()> {
    both.call_in_each_version::<DescribeAclsRequest>("of everything", |_, _| {
        DescribeAclsRequest::default()
            .with_resource_type_filter(ANY)
            .with_resource_name_filter(None)
            .with_pattern_type_filter(ANY)
            .with_principal_filter(None)
            .with_host_filter(None)
            .with_operation(ANY)
            .with_permission_type(ANY)
    })
    .await;
    for count in [0, 1, 3] {
        both.call_in_each_version::<CreateAclsRequest>("of a topic", |_, _| {
            let creation = AclCreation::default()
                .with_resource_type(TOPIC)
                .with_resource_name(s("t"))
                .with_resource_pattern_type(LITERAL)
                .with_principal(s("User:a"))
                .with_host(s("*"))
                .with_operation(READ)
                .with_permission_type(ALLOW);
            CreateAclsRequest::default().with_creations(vec![creation; count])
        })
        .await;
        both.call_in_each_version::<DeleteAclsRequest>("of a topic", |_, _| {
            let filter = DeleteAclsFilter::default()
                .with_resource_type_filter(TOPIC)
                .with_resource_name_filter(Some(s("t")))
                .with_pattern_type_filter(ANY)
                .with_principal_filter(None)
                .with_host_filter(None)
                .with_operation(ANY)
                .with_permission_type(ANY);
            DeleteAclsRequest::default().with_filters(vec![filter; count])
        })
        .await;
    }
    Ok(())
}
