package main

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/IBM/sarama"

	. "ottla/tests/checks"
)

// ClusterAdmin's methods that other checks do not call, by what they change; those that the broker has no part of are to say so.
func everyAdminMethod() {
	a := admin()
	defer a.Close()
	topic := create(2, nil)
	fill(topic, 20, 2)
	called := map[string]bool{}
	// In createsTopics, configs, groups, commits and records.
	for _, name := range []string{
		"CreateTopic", "ListTopics", "DescribeTopics", "DeleteTopic", "CreatePartitions", "DescribeConfig", "AlterConfig",
		"IncrementalAlterConfig", "ListConsumerGroups", "DescribeConsumerGroups", "DeleteConsumerGroup",
		"ListConsumerGroupOffsets", "DeleteRecords", "DescribeCluster", "Close",
	} {
		called[name] = true
	}
	for name, check := range adminMethods(a, topic) {
		called[name] = true
		check()
	}
	methods := reflect.TypeFor[sarama.ClusterAdmin]()
	for i := range methods.NumMethod() {
		That(called[methods.Method(i).Name], "no check of "+methods.Method(i).Name)
	}
}

func adminMethods(a sarama.ClusterAdmin, topic string) map[string]func() {
	group := Unique("altered")
	_, controller, err := a.DescribeCluster()
	Must(err)
	acl := sarama.Acl{
		Principal: "User:a", Host: "*", Operation: sarama.AclOperationRead, PermissionType: sarama.AclPermissionAllow,
	}
	everything := sarama.AclFilter{
		ResourceType: sarama.AclResourceAny, ResourcePatternTypeFilter: sarama.AclPatternAny,
		Operation: sarama.AclOperationAny, PermissionType: sarama.AclPermissionAny,
	}
	refused := func(action func() error) func() {
		return func() {
			err := action()
			That(errors.Is(err, sarama.ErrUnsupportedVersion), fmt.Sprint("the broker has no part of this: ", err))
		}
	}
	disabled := func(action func() error) func() {
		return func() {
			err := action()
			That(errors.Is(err, sarama.ErrSecurityDisabled), fmt.Sprint("nobody heeds ACLs: ", err))
		}
	}
	return map[string]func(){
		"Controller":  func() { Equal(Get(a.Controller()).ID(), controller, "controller") },
		"Coordinator": func() { Equal(Get(a.Coordinator(group)).ID(), controller, "coordinator") },
		"DescribeConfigs": func() {
			results := Get(a.DescribeConfigs([]*sarama.ConfigResource{
				{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"cleanup.policy"}},
				{Type: sarama.BrokerResource, Name: fmt.Sprint(controller), ConfigNames: []string{"node.id"}},
			}, sarama.DescribeConfigsOptions{IncludeSynonyms: true}))
			var values []string
			for _, result := range results {
				for _, entry := range result.Configs {
					values = append(values, entry.Name+"="+entry.Value)
				}
			}
			slices.Sort(values)
			Equal(values, []string{"cleanup.policy=delete", fmt.Sprint("node.id=", controller)}, "configs")
		},
		"DescribeLogDirs": func() {
			var size int64
			for _, dir := range Get(a.DescribeLogDirs([]int32{controller}))[controller] {
				for _, described := range dir.Topics {
					for _, partition := range described.Partitions {
						if described.Topic == topic {
							size += partition.Size
						}
					}
				}
			}
			That(size > 100, fmt.Sprint("size ", size))
		},
		"ListOffsets": func() {
			listed := Get(a.ListOffsets(map[string]map[int32]int64{topic: {0: sarama.OffsetNewest, 1: sarama.OffsetOldest}}, nil))
			Equal([]int64{listed[topic][0].Offset, listed[topic][1].Offset}, []int64{10, 0}, "offsets")
		},
		"AlterConsumerGroupOffsets": func() {
			offsets := map[int32]sarama.OffsetAndMetadata{0: {Offset: 7, Metadata: "note", LeaderEpoch: -1}}
			committed := Get(a.AlterConsumerGroupOffsets(group, map[string]map[int32]sarama.OffsetAndMetadata{topic: offsets}, nil))
			Equal(committed.Errors[topic][0], sarama.ErrNoError, "committing")
			fetched := Get(a.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}})).GetBlock(topic, 0)
			Equal([]any{fetched.Offset, fetched.Metadata}, []any{int64(7), "note"}, "committed")
		},
		"ListConsumerGroupOffsetsBatch": func() {
			other := Unique("batch")
			offsets := map[int32]sarama.OffsetAndMetadata{1: {Offset: 3, LeaderEpoch: -1}}
			Get(a.AlterConsumerGroupOffsets(other, map[string]map[int32]sarama.OffsetAndMetadata{topic: offsets}, nil))
			fetched := Get(a.ListConsumerGroupOffsetsBatch(map[string]map[string][]int32{other: {topic: {1}}}))
			Equal(fetched[other].Blocks[topic][1].Offset, int64(3), "of one of several groups")
		},
		"DeleteConsumerGroupOffset": func() {
			other := Unique("deleted")
			offsets := map[int32]sarama.OffsetAndMetadata{0: {Offset: 5, LeaderEpoch: -1}, 1: {Offset: 6, LeaderEpoch: -1}}
			Get(a.AlterConsumerGroupOffsets(other, map[string]map[int32]sarama.OffsetAndMetadata{topic: offsets}, nil))
			Must(a.DeleteConsumerGroupOffset(other, topic, 0))
			left := Get(a.ListConsumerGroupOffsets(other, map[string][]int32{topic: {0, 1}}))
			Equal([]int64{left.GetBlock(topic, 0).Offset, left.GetBlock(topic, 1).Offset}, []int64{-1, 6}, "what is left")
		},
		"RemoveMemberFromConsumerGroup": func() {
			other := Unique("removed")
			c := config()
			c.Consumer.Group.InstanceId = "one"
			m := join(topic, other, c)
			settle([]*member{m}, []int{2}, 2)
			// A static member does not leave by itself.
			m.leave()
			left := Get(a.RemoveMemberFromConsumerGroup(other, []string{"one", "nobody"}))
			var said []sarama.KError
			for _, one := range left.Members {
				said = append(said, one.Err)
			}
			Equal(said, []sarama.KError{sarama.ErrNoError, sarama.ErrUnknownMemberId}, "members")
			Equal(Get(a.DescribeConsumerGroups([]string{other}))[0].State, "Empty", "state")
		},
		"ElectLeaders": func() {
			elected := Get(a.ElectLeaders(sarama.PreferredElection, map[string][]int32{topic: {0}}))
			Equal(elected[topic][0].ErrorCode, sarama.ErrElectionNotNeeded, "the leader is the preferred one")
		},
		"AlterPartitionReassignments": func() {
			Must(a.AlterPartitionReassignments(topic, [][]int32{{controller}, {controller}}))
			That(a.AlterPartitionReassignments(topic, [][]int32{{99}, {99}}) != nil, "there is no node 99")
		},
		"ListPartitionReassignments": func() {
			Equal(len(Get(a.ListPartitionReassignments(topic, []int32{0, 1}))[topic]), 0, "under way")
		},
		"UpdateFeatures": func() {
			results, err := a.UpdateFeatures([]sarama.FeatureUpdate{{Feature: "no.such", MaxVersionLevel: 1}})
			fails := err != nil
			for _, result := range results {
				fails = fails || result.ErrorCode != sarama.ErrNoError
			}
			That(fails, "there is no such feature")
		},
		"CreateACL": disabled(func() error {
			return a.CreateACL(sarama.Resource{ResourceType: sarama.AclResourceTopic, ResourceName: "t"}, acl)
		}),
		"CreateACLs": disabled(func() error {
			return a.CreateACLs([]*sarama.ResourceAcls{{
				Resource: sarama.Resource{ResourceType: sarama.AclResourceTopic, ResourceName: "t"}, Acls: []*sarama.Acl{&acl},
			}})
		}),
		"ListAcls":  disabled(func() error { _, err := a.ListAcls(everything); return err }),
		"DeleteACL": disabled(func() error { _, err := a.DeleteACL(everything, false); return err }),
		"DescribeUserScramCredentials": refused(func() error {
			_, err := a.DescribeUserScramCredentials([]string{"a"})
			return err
		}),
		"DeleteUserScramCredentials": refused(func() error {
			_, err := a.DeleteUserScramCredentials([]sarama.AlterUserScramCredentialsDelete{
				{Name: "a", Mechanism: sarama.SCRAM_MECHANISM_SHA_256},
			})
			return err
		}),
		"UpsertUserScramCredentials": refused(func() error {
			_, err := a.UpsertUserScramCredentials([]sarama.AlterUserScramCredentialsUpsert{{
				Name: "a", Mechanism: sarama.SCRAM_MECHANISM_SHA_256, Iterations: 4096, Salt: []byte("salt"), Password: []byte("secret"),
			}})
			return err
		}),
		"DescribeClientQuotas": refused(func() error {
			_, err := a.DescribeClientQuotas([]sarama.QuotaFilterComponent{
				{EntityType: sarama.QuotaEntityUser, MatchType: sarama.QuotaMatchAny},
			}, false)
			return err
		}),
		"AlterClientQuotas": refused(func() error {
			user := []sarama.QuotaEntityComponent{{EntityType: sarama.QuotaEntityUser, MatchType: sarama.QuotaMatchExact, Name: "a"}}
			return a.AlterClientQuotas(user, sarama.ClientQuotasOp{Key: "producer_byte_rate", Value: 1}, false)
		}),
	}
}
