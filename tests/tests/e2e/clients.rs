//! Client libraries of other languages. Each test is a check of that client's program (tests/python, tests/java, tests/go,
//! tests/node), which asserts in the client's own terms.

use ottla_tests::harness::{Client, check, checks_of};

macro_rules! client {
    ($module:ident, $client:expr, [$($name:ident),* $(,)?]) => {
        mod $module {
            use super::*;
            $(
                #[test]
                fn $name() {
                    check($client, stringify!($name));
                }
            )*
            #[test]
            fn every_check_of_the_program_is_a_test_here() {
                let mut named = vec![$(stringify!($name)),*];
                named.sort_unstable();
                assert_eq!(checks_of($client), named);
            }
        }
    };
}

client!(
    confluent_kafka,
    Client::ConfluentKafka,
    [
        creates_topics_and_describes_them,
        produces_and_consumes_with_every_codec,
        seeks_by_offset_and_by_time,
        broadcasts_between_groups,
        shares_partitions_among_members_that_join_and_leave,
        rebalances_cooperatively,
        static_members_keep_their_partitions_over_a_restart,
        commits_and_resumes,
        alters_and_describes_configs,
        adds_partitions,
        deletes_topics,
        lists_describes_and_deletes_groups,
        lists_and_alters_offsets,
        deletes_records,
        accepts_large_messages_and_refuses_too_large_ones,
        reports_unknown_topics_and_bad_requests,
        calls_every_method_of_the_admin_client,
        commits_and_aborts_transactions,
        copies_exactly_once,
        fences_the_producer_before,
        goes_on_over_sigkill_and_restart,
        goes_on_over_sigterm_and_restart,
    ]
);

client!(
    java,
    Client::Java,
    [
        creates_topics_and_describes_them,
        describes_the_cluster_and_its_log_dirs,
        alters_and_describes_configs,
        adds_partitions,
        deletes_topics,
        lists_describes_and_deletes_groups,
        lists_and_alters_offsets,
        deletes_records,
        elects_reassigns_and_moves_as_a_cluster_of_one,
        describes_the_quorum_and_the_features,
        sets_the_levels_of_loggers,
        pushes_its_own_metrics_when_they_are_subscribed_to,
        removes_members_from_a_group,
        looks_at_transactions_and_fences_their_producers,
        says_at_once_what_the_broker_does_not_do,
        calls_every_method_of_the_admin_client,
        produces_and_consumes_with_every_codec,
        seeks_by_offset_and_by_time,
        stamps_records_with_the_append_time_where_a_topic_says_so,
        accepts_large_messages_and_refuses_too_large_ones,
        reports_unknown_topics_and_bad_requests,
        commits_and_aborts_transactions,
        copies_exactly_once,
        fences_the_producer_before,
        lists_describes_and_aborts_transactions,
        shows_a_user_interface_the_cluster,
        shows_a_user_interface_many_topics_in_batches,
        shows_a_user_interface_groups_and_their_lag,
        produces_without_waiting_for_acknowledgements,
        broadcasts_between_groups,
        shares_partitions_among_members_that_join_and_leave,
        rebalances_cooperatively,
        static_members_keep_their_partitions_over_a_restart,
        commits_and_resumes,
        a_member_that_stops_polling_loses_its_partitions,
        goes_on_over_sigkill_and_restart,
        goes_on_over_sigterm_and_restart,
    ]
);

client!(
    franz_go,
    Client::FranzGo,
    [
        creates_topics_and_describes_them,
        produces_and_consumes_with_every_codec,
        seeks_by_offset_and_by_time,
        broadcasts_between_groups,
        shares_partitions_among_members_that_join_and_leave,
        rebalances_cooperatively,
        static_members_keep_their_partitions_over_a_restart,
        commits_and_resumes,
        alters_and_describes_configs,
        adds_partitions_and_deletes_topics,
        lists_describes_and_deletes_groups,
        lists_offsets_and_deletes_records,
        accepts_large_messages_and_refuses_too_large_ones,
        reports_unknown_topics_and_bad_requests,
        describes_the_cluster_and_its_log_dirs,
        validates_without_changing_anything,
        alters_and_deletes_the_offsets_of_groups,
        elects_and_reassigns_as_a_cluster_of_one,
        says_at_once_what_the_broker_does_not_do,
        commits_and_aborts_transactions,
        copies_exactly_once,
        fences_the_producer_before,
        looks_at_transactions,
        goes_on_over_sigkill_and_restart,
        goes_on_over_sigterm_and_restart,
    ]
);

client!(
    sarama,
    Client::Sarama,
    [
        creates_grows_and_deletes_topics,
        produces_and_consumes_with_every_codec,
        seeks_by_offset_and_by_time,
        broadcasts_between_groups,
        shares_partitions_among_members_that_join_and_leave,
        static_members_keep_their_partitions_over_a_restart,
        commits_and_resumes,
        alters_and_describes_configs,
        lists_describes_and_deletes_groups,
        deletes_records,
        accepts_large_messages_and_refuses_too_large_ones,
        speaks_the_older_versions_of_the_protocol,
        calls_every_method_of_the_admin_client,
        commits_and_aborts_transactions,
        copies_exactly_once,
        fences_the_producer_before,
        goes_on_over_sigkill_and_restart,
        goes_on_over_sigterm_and_restart,
    ]
);

client!(
    kafkajs,
    Client::Kafkajs,
    [
        creates_grows_and_deletes_topics,
        produces_and_consumes_with_every_codec,
        seeks_by_offset_and_by_time,
        broadcasts_between_groups,
        shares_partitions_among_members_that_join_and_leave,
        commits_and_resumes,
        alters_and_describes_configs,
        lists_describes_and_deletes_groups,
        deletes_records,
        accepts_large_messages_and_refuses_too_large_ones,
        produces_idempotently,
        calls_every_method_of_the_admin_client,
        commits_and_aborts_transactions,
        copies_exactly_once,
        fences_the_producer_before,
        goes_on_over_sigkill_and_restart,
        goes_on_over_sigterm_and_restart,
    ]
);

client!(
    aiokafka,
    Client::Aiokafka,
    [
        creates_topics_and_describes_them,
        produces_and_consumes_with_every_codec,
        seeks_by_offset_and_by_time,
        broadcasts_between_groups,
        shares_partitions_among_members_that_join_and_leave,
        static_members_keep_their_partitions_over_a_restart,
        commits_and_resumes,
        alters_and_describes_configs,
        accepts_large_messages_and_refuses_too_large_ones,
        calls_every_method_of_the_admin_client,
        commits_and_aborts_transactions,
        copies_exactly_once,
        fences_the_producer_before,
        goes_on_over_sigkill_and_restart,
        goes_on_over_sigterm_and_restart,
    ]
);
