package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	. "ottla/tests/checks"
)

func controller() int32 {
	return Get(admin.BrokerMetadata(ctx)).Controller
}

func describesTheCluster() {
	topic := create(1, nil)
	fill(topic, 50, 1)
	metadata := Get(admin.Metadata(ctx, topic))
	That(metadata.Cluster != "", "a cluster id")
	That(metadata.Topics.Has(topic), "the topic")
	brokers := Get(admin.ListBrokers(ctx))
	Equal(brokers.NodeIDs(), []int32{controller()}, "brokers")
	Equal(fmt.Sprintf("%s:%d", brokers[0].Host, brokers[0].Port), bootstrap, "address")
	That(Get(admin.ListTopicsWithInternal(ctx)).Has(topic), "listed")
	versions := Get(admin.ApiVersions(ctx))[controller()]
	Must(versions.Err)
	newest, found := versions.KeyMaxVersion(0)
	That(found && newest >= 10, fmt.Sprint("versions of Produce: up to ", newest))
	dirs := Get(admin.DescribeAllLogDirs(ctx, Get(admin.ListTopics(ctx, topic)).TopicsSet()))[controller()]
	That(dirs.Size() > 100, fmt.Sprint("size of the topic: ", dirs.Size()))
	That(Get(admin.DescribeBrokerLogDirs(ctx, controller(), nil)).Size() >= dirs.Size(), "all topics are not smaller")
	found = false
	for _, config := range Get(Get(admin.DescribeBrokerConfigs(ctx, controller())).On(fmt.Sprint(controller()), nil)).Configs {
		found = found || config.Key == "node.id" && config.MaybeValue() == fmt.Sprint(controller())
	}
	That(found, "node.id")
	group := Unique("g")
	Must(admin.FindGroupCoordinators(ctx, group)[group].Err)
}

func validates() {
	topic, missing := create(1, nil), Unique("t")
	_, err := admin.ValidateCreateTopics(ctx, 1, 1, nil, missing)
	Must(err)
	Must(Get(admin.ValidateCreatePartitions(ctx, 2, topic))[topic].Err)
	Must(Get(admin.ValidateUpdatePartitions(ctx, 3, topic))[topic].Err)
	value := "1000"
	change := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}
	Must(Get(admin.ValidateAlterTopicConfigs(ctx, change, topic))[0].Err)
	Must(Get(admin.ValidateAlterTopicConfigsState(ctx, change, topic))[0].Err)
	Must(Get(admin.CreatePartitions(ctx, 2, topic))[topic].Err)
	Until("three partitions", func() bool { return len(Get(admin.ListTopics(ctx, topic))[topic].Partitions) == 3 })
	That(!Get(admin.ListTopics(ctx)).Has(missing), "not created")
	described := Get(Get(admin.DescribeTopicConfigs(ctx, topic)).On(topic, nil))
	for _, config := range described.Configs {
		That(config.Key != "retention.ms" || config.MaybeValue() == "604800000", "not altered")
	}
	Must(Get(admin.AlterTopicConfigsState(ctx, change, topic))[0].Err)
	Until("the state is set", func() bool {
		for _, config := range Get(Get(admin.DescribeTopicConfigs(ctx, topic)).On(topic, nil)).Configs {
			if config.Key == "retention.ms" {
				return config.MaybeValue() == value
			}
		}
		return false
	})
}

func altersOffsets() {
	topic, group := create(2, nil), Unique("altered")
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 7, -1)
	offsets.AddOffset(topic, 1, 8, -1)
	Must(admin.CommitAllOffsets(ctx, group, offsets))
	fetched := Get(admin.FetchOffsetsForTopics(ctx, group, topic))
	at, _ := fetched.Lookup(topic, 1)
	Equal(at.At, int64(8), "committed")
	many := admin.FetchManyOffsets(ctx, group)
	Must(many[group].Err)
	at, _ = many[group].Fetched.Lookup(topic, 0)
	Equal(at.At, int64(7), "of one of several groups")
	one := kadm.TopicsSet{}
	one.Add(topic, 0)
	Must(Get(admin.DeleteOffsets(ctx, group, one)).Error())
	left := Get(admin.FetchOffsets(ctx, group))
	_, found := left.Lookup(topic, 0)
	That(!found, "deleted")
	_, found = left.Lookup(topic, 1)
	That(found, "the other one is left")
	That(slices.Contains(Get(admin.ListGroupsByType(ctx, []string{"classic"})).Groups(), group), "listed by type")
	That(!slices.Contains(Get(admin.ListGroups(ctx, "Stable")).Groups(), group), "an empty group is not stable")
}

func electsAndReassigns() {
	topic := create(1, nil)
	set := kadm.TopicsSet{}
	set.Add(topic, 0)
	elected := Get(admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, set))[topic][0]
	That(errors.Is(elected.Err, kerr.ElectionNotNeeded), fmt.Sprint("the leader is the preferred one: ", elected.Err))
	assign := func(node int32) error {
		request := kadm.AlterPartitionAssignmentsReq{}
		request.Assign(topic, 0, []int32{node})
		return Get(admin.AlterPartitionAssignments(ctx, request))[topic][0].Err
	}
	Must(assign(controller()))
	That(errors.Is(assign(99), kerr.InvalidReplicaAssignment), "there is no node 99")
	Equal(len(Get(admin.ListPartitionReassignments(ctx, set))), 0, "under way")
	request := kadm.OffsetForLeaderEpochRequest{}
	request.Add(topic, 0, 0)
	Must(Get(admin.OffsetForLeaderEpoch(ctx, request))[topic][0].Err)
}

// Nobody would heed them.
func accessControlLists() {
	acl := kadm.NewACLs().Topics("t").Allow("User:a").AllowHosts("*").Operations(kadm.OpRead).ResourcePatternType(kadm.ACLPatternLiteral)
	for _, described := range Get(admin.DescribeACLs(ctx, acl)) {
		That(errors.Is(described.Err, kerr.SecurityDisabled), fmt.Sprint("describe: ", described.Err))
	}
	for _, created := range Get(admin.CreateACLs(ctx, acl)) {
		That(errors.Is(created.Err, kerr.SecurityDisabled), fmt.Sprint("create: ", created.Err))
	}
	for _, deleted := range Get(admin.DeleteACLs(ctx, acl)) {
		That(errors.Is(deleted.Err, kerr.SecurityDisabled), fmt.Sprint("delete: ", deleted.Err))
	}
}

// Each is refused by franz-go itself, which knows from ApiVersions what the broker has.
func refusals() {
	accessControlLists()
	for name, action := range map[string]func() error{
		"delegation tokens": func() error { _, err := admin.DescribeDelegationTokens(ctx); return err },
		"quotas":            func() error { _, err := admin.DescribeClientQuotas(ctx, false, nil); return err },
		"SCRAM":             func() error { _, err := admin.DescribeUserSCRAMs(ctx); return err },
		"share groups":      func() error { _, err := admin.DescribeShareGroups(ctx, "g"); return err },
		"consumer groups":   func() error { _, err := admin.DescribeConsumerGroups(ctx, "g"); return err },
	} {
		err := action()
		That(err != nil && strings.Contains(err.Error(), "broker is too old"), fmt.Sprint(name, ": ", err))
	}
}
