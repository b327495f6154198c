// Checks with franz-go: franz BOOTSTRAP [CHECK...]
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	. "ottla/tests/checks"
)

var (
	bootstrap = os.Args[1]
	ctx       = context.Background()
	admin     = kadm.NewClient(client())
)

func client(opts ...kgo.Opt) *kgo.Client {
	all := append([]kgo.Opt{
		kgo.SeedBrokers(bootstrap),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(50 * time.Millisecond),
	}, opts...)
	return Get(kgo.NewClient(all...))
}

func create(partitions int32, configs map[string]*string) string {
	topic := Unique("t")
	Must(Get(admin.CreateTopic(ctx, partitions, 1, configs, topic)).Err)
	return topic
}

func record(topic string, i, partitions int) *kgo.Record {
	text := []byte(strconv.Itoa(i))
	return &kgo.Record{Topic: topic, Partition: int32(i % partitions), Key: text, Value: text, Timestamp: time.UnixMilli(T0 + int64(i))}
}

func fill(topic string, count, partitions int) {
	producer := client()
	defer producer.Close()
	var records []*kgo.Record
	for i := range count {
		records = append(records, record(topic, i, partitions))
	}
	Must(producer.ProduceSync(ctx, records...).FirstErr())
}

func poll(c *kgo.Client, wait time.Duration) []*kgo.Record {
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	fetches := c.PollFetches(limited)
	for _, failed := range fetches.Errors() {
		if !errors.Is(failed.Err, context.DeadlineExceeded) {
			panic(failed.Err)
		}
	}
	return fetches.Records()
}

func read(c *kgo.Client, count int) []*kgo.Record {
	var records []*kgo.Record
	Until(fmt.Sprintf("%d records", count), func() bool {
		records = append(records, poll(c, 200*time.Millisecond)...)
		return len(records) >= count
	})
	return records
}

func numbers(records []*kgo.Record) []int {
	var all []int
	for _, record := range records {
		all = append(all, Get(strconv.Atoi(string(record.Value))))
	}
	slices.Sort(all)
	return all
}

func span(from, to int) []int {
	var all []int
	for i := from; i < to; i++ {
		all = append(all, i)
	}
	return all
}

func from(topic string, offsets map[int32]kgo.Offset) *kgo.Client {
	return client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}))
}

func createsTopics() {
	retention := "123456"
	topic := create(3, map[string]*string{"retention.ms": &retention})
	details := Get(admin.ListTopics(ctx, topic))[topic]
	Equal(len(details.Partitions), 3, "partitions")
	for _, partition := range details.Partitions {
		Equal(len(partition.ISR), 1, "in-sync replicas")
	}
	_, err := admin.CreateTopic(ctx, 1, 1, nil, topic)
	Equal(err, error(kerr.TopicAlreadyExists), "again")
	_, err = admin.CreateTopic(ctx, 1, 1, nil, "../up")
	Equal(err, error(kerr.InvalidTopicException), "bad name")
	_, err = admin.CreateTopic(ctx, 1, 0, nil, Unique("t"))
	Equal(err, error(kerr.InvalidReplicationFactor), "no replica")
}

func everyCodec() {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	for name, codec := range codecs {
		topic := create(2, nil)
		producer := client(kgo.ProducerBatchCompression(codec))
		var sent []*kgo.Record
		for i := range 300 {
			r := record(topic, i, 2)
			if i%5 == 0 {
				r.Key = nil
			}
			if i%7 == 0 {
				r.Value = nil
			} else {
				r.Value = make([]byte, i*7%900)
			}
			if i%3 == 0 {
				r.Headers = []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2")}, {Key: "null"}}
			}
			sent = append(sent, r)
		}
		Must(producer.ProduceSync(ctx, sent...).FirstErr())
		producer.Close()
		start := kgo.NewOffset().AtStart()
		consumer := from(topic, map[int32]kgo.Offset{0: start, 1: start})
		got := map[int]*kgo.Record{}
		for _, r := range read(consumer, 300) {
			got[int(r.Offset)*2+int(r.Partition)] = r
		}
		consumer.Close()
		for i, expected := range sent {
			r := got[i]
			That(r != nil, fmt.Sprintf("%s: record %d is missing", name, i))
			Equal([]any{r.Key, r.Value, r.Timestamp.UnixMilli()}, []any{expected.Key, expected.Value, T0 + int64(i)}, name)
			Equal(len(r.Headers), len(expected.Headers), "headers")
			for h := range r.Headers {
				Equal(r.Headers[h].Key, expected.Headers[h].Key, "header key")
				Equal(string(r.Headers[h].Value), string(expected.Headers[h].Value), "header value")
			}
		}
	}
}

func seeks() {
	topic := create(2, nil)
	fill(topic, 200, 2)
	first := func(offset kgo.Offset) int64 {
		consumer := from(topic, map[int32]kgo.Offset{0: offset})
		defer consumer.Close()
		return read(consumer, 1)[0].Offset
	}
	Equal(first(kgo.NewOffset().At(90)), int64(90), "at an offset")
	Equal(first(kgo.NewOffset().AtStart()), int64(0), "at the start")
	Equal(first(kgo.NewOffset().AtEnd().Relative(-3)), int64(97), "near the end")
	Equal(first(kgo.NewOffset().AfterMilli(T0+51)), int64(26), "at a time")
	Equal(first(kgo.NewOffset().At(5000)), int64(0), "out of range begins anew")
	consumer := from(topic, map[int32]kgo.Offset{0: kgo.NewOffset().AtStart()})
	defer consumer.Close()
	read(consumer, 100)
	consumer.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {0: {Epoch: -1, Offset: 42}}})
	Equal(read(consumer, 1)[0].Offset, int64(42), "moved back")
}

func broadcasts() {
	topic := create(3, nil)
	fill(topic, 90, 3)
	for range 2 {
		consumer := member(topic, Unique("g"))
		Equal(numbers(read(consumer, 90)), span(0, 90), "all of them")
		consumer.Close()
	}
}

func member(topic, group string, opts ...kgo.Opt) *kgo.Client {
	return client(append([]kgo.Opt{
		kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.HeartbeatInterval(300 * time.Millisecond), kgo.SessionTimeout(10 * time.Second),
	}, opts...)...)
}

// A member that tells what it owns.
type owner struct {
	*kgo.Client
	lock  sync.Mutex
	owned map[int32]bool
	lost  []int32
}

func newOwner(topic, group string, opts ...kgo.Opt) *owner {
	o := &owner{owned: map[int32]bool{}}
	drop := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
		o.lock.Lock()
		defer o.lock.Unlock()
		for _, partition := range partitions[topic] {
			delete(o.owned, partition)
			o.lost = append(o.lost, partition)
		}
	}
	o.Client = member(topic, group, append(opts,
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			o.lock.Lock()
			defer o.lock.Unlock()
			for _, partition := range partitions[topic] {
				o.owned[partition] = true
			}
		}), kgo.OnPartitionsRevoked(drop), kgo.OnPartitionsLost(drop))...)
	return o
}

func (o *owner) share() []int32 {
	o.lock.Lock()
	defer o.lock.Unlock()
	var share []int32
	for partition := range o.owned {
		share = append(share, partition)
	}
	slices.Sort(share)
	return share
}

func settle(members []*owner, sizes []int, partitions int) {
	Until(fmt.Sprint("shares of ", sizes), func() bool {
		all := map[int32]bool{}
		var shares []int
		for _, m := range members {
			poll(m.Client, 50*time.Millisecond)
			share := m.share()
			shares = append(shares, len(share))
			for _, partition := range share {
				all[partition] = true
			}
		}
		slices.Sort(shares)
		return slices.Equal(shares, sizes) && len(all) == partitions
	})
}

func sharedBy(balancer kgo.GroupBalancer) {
	topic := create(6, nil)
	fill(topic, 60, 6)
	group := Unique("shared")
	var members []*owner
	for _, sizes := range [][]int{{6}, {3, 3}, {2, 2, 2}} {
		members = append(members, newOwner(topic, group, kgo.Balancers(balancer)))
		settle(members, sizes, 6)
	}
	described := Get(admin.DescribeGroups(ctx, group))[group]
	Equal(described.State, "Stable", "state")
	Equal(len(described.Members), 3, "members")
	members[0].Close()
	settle(members[1:], []int{3, 3}, 6)
	fill(topic, 60, 6)
	seen := map[string]bool{}
	Until("each new record", func() bool {
		for _, m := range members[1:] {
			for _, r := range poll(m.Client, 50*time.Millisecond) {
				if r.Offset >= 10 {
					seen[fmt.Sprint(r.Partition, "/", r.Offset)] = true
				}
			}
		}
		return len(seen) == 60
	})
	members[1].Close()
	settle(members[2:], []int{6}, 6)
	members[2].Close()
}

func sharesEagerly() {
	sharedBy(kgo.RangeBalancer())
	sharedBy(kgo.RoundRobinBalancer())
	sharedBy(kgo.StickyBalancer())
}

func cooperates() {
	sharedBy(kgo.CooperativeStickyBalancer())
	topic := create(4, nil)
	group := Unique("cooperative")
	first := newOwner(topic, group)
	settle([]*owner{first}, []int{4}, 4)
	second := newOwner(topic, group)
	settle([]*owner{first, second}, []int{2, 2}, 4)
	slices.Sort(first.lost)
	Equal(first.lost, second.share(), "only what moved was revoked")
	first.Close()
	second.Close()
}

func staticMembers() {
	topic := create(4, nil)
	group := Unique("static")
	a := newOwner(topic, group, kgo.InstanceID("a"))
	b := newOwner(topic, group, kgo.InstanceID("b"))
	settle([]*owner{a, b}, []int{2, 2}, 4)
	share := b.share()
	// A static member does not leave when it closes.
	b.Close()
	b = newOwner(topic, group, kgo.InstanceID("b"))
	Until("the old share is back", func() bool {
		poll(a.Client, 50*time.Millisecond)
		poll(b.Client, 50*time.Millisecond)
		return slices.Equal(b.share(), share)
	})
	described := Get(admin.DescribeGroups(ctx, group))[group]
	var instances []string
	for _, m := range described.Members {
		instances = append(instances, *m.InstanceID)
	}
	slices.Sort(instances)
	Equal(instances, []string{"a", "b"}, "instances")
	left := Get(admin.LeaveGroup(ctx, kadm.LeaveGroup(group).InstanceIDs("a", "b")))
	for _, one := range left {
		Must(one.Err)
	}
	a.Close()
	b.Close()
}

func commits() {
	topic := create(1, nil)
	fill(topic, 50, 1)
	group := Unique("resume")
	consumer := member(topic, group)
	records := read(consumer, 50)
	Must(consumer.CommitRecords(ctx, records[:20]...))
	consumer.Close()
	consumer = member(topic, group)
	Equal(read(consumer, 1)[0].Offset, int64(20), "resumes")
	consumer.Close()
	offsets := Get(admin.FetchOffsets(ctx, group))
	at, found := offsets.Lookup(topic, 0)
	That(found, "an offset is committed")
	Equal(at.At, int64(20), "committed")
}

func configs() {
	topic := create(1, nil)
	value := func(name string) string {
		described := Get(Get(admin.DescribeTopicConfigs(ctx, topic)).On(topic, nil))
		for _, config := range described.Configs {
			if config.Key == name {
				return config.MaybeValue()
			}
		}
		panic("no config " + name)
	}
	Equal(value("retention.ms"), "604800000", "default")
	alter := func(op kadm.IncrementalOp, name, to string) error {
		responses := Get(admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: op, Name: name, Value: &to}}, topic))
		return responses[0].Err
	}
	Must(alter(kadm.SetConfig, "retention.ms", "1000"))
	Until("set", func() bool { return value("retention.ms") == "1000" })
	Must(alter(kadm.DeleteConfig, "retention.ms", ""))
	Until("deleted", func() bool { return value("retention.ms") == "604800000" })
	Must(alter(kadm.AppendConfig, "cleanup.policy", "compact"))
	Until("appended", func() bool { return value("cleanup.policy") == "delete,compact" })
	That(errors.Is(alter(kadm.SetConfig, "retention.ms", "soon"), kerr.InvalidConfig), "a bad value is refused")
}

func partitionsAndDeletion() {
	topic := create(1, nil)
	Must(Get(admin.UpdatePartitions(ctx, 4, topic))[topic].Err)
	Until("four partitions", func() bool { return len(Get(admin.ListTopics(ctx, topic))[topic].Partitions) == 4 })
	fill(topic, 8, 4)
	That(errors.Is(Get(admin.UpdatePartitions(ctx, 2, topic))[topic].Err, kerr.InvalidPartitions), "fewer are refused")
	Must(Get(admin.DeleteTopics(ctx, topic))[topic].Err)
	Until("the topic is gone", func() bool { return !Get(admin.ListTopics(ctx)).Has(topic) })
	That(errors.Is(Get(admin.DeleteTopics(ctx, topic))[topic].Err, kerr.UnknownTopicOrPartition), "gone already")
}

func groups() {
	topic := create(1, nil)
	fill(topic, 1, 1)
	group := Unique("g")
	consumer := member(topic, group)
	Must(consumer.CommitRecords(ctx, read(consumer, 1)...))
	That(slices.Contains(Get(admin.ListGroups(ctx)).Groups(), group), "listed")
	That(errors.Is(Get(admin.DeleteGroups(ctx, group))[group].Err, kerr.NonEmptyGroup), "not while it has members")
	lag := Get(admin.Lag(ctx, group))[group]
	Must(lag.Error())
	Equal(lag.Lag.Total(), int64(0), "lag")
	consumer.Close()
	Until("the group is empty", func() bool { return Get(admin.DescribeGroups(ctx, group))[group].State == "Empty" })
	Must(Get(admin.DeleteGroups(ctx, group))[group].Err)
	That(errors.Is(Get(admin.DeleteGroups(ctx, group))[group].Err, kerr.GroupIDNotFound), "gone already")
}

func offsetsAndRecords() {
	topic := create(1, nil)
	fill(topic, 40, 1)
	at := func(listed kadm.ListedOffsets, err error) int64 {
		Must(err)
		offset, found := listed.Lookup(topic, 0)
		That(found, "an offset is listed")
		return offset.Offset
	}
	Equal(at(admin.ListStartOffsets(ctx, topic)), int64(0), "start")
	Equal(at(admin.ListEndOffsets(ctx, topic)), int64(40), "end")
	Equal(at(admin.ListCommittedOffsets(ctx, topic)), int64(40), "last stable")
	Equal(at(admin.ListOffsetsAfterMilli(ctx, T0+12, topic)), int64(12), "by time")
	Equal(at(admin.ListMaxTimestampOffsets(ctx, topic)), int64(39), "newest")
	delete := func(before int64) kadm.DeleteRecordsResponse {
		offsets := kadm.Offsets{}
		offsets.AddOffset(topic, 0, before, -1)
		response, _ := Get(admin.DeleteRecords(ctx, offsets)).Lookup(topic, 0)
		return response
	}
	Equal(delete(25).LowWatermark, int64(25), "low watermark")
	Equal(at(admin.ListStartOffsets(ctx, topic)), int64(25), "start after deleting")
	That(errors.Is(delete(41).Err, kerr.OffsetOutOfRange), "past the end")
}

func large() {
	topic := create(1, nil)
	producer := client(kgo.ProducerBatchMaxBytes(9_000_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer producer.Close()
	send := func(topic string, size int) error {
		return producer.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: make([]byte, size)}).FirstErr()
	}
	Must(send(topic, 1_000_000))
	That(errors.Is(send(topic, 1_100_000), kerr.MessageTooLarge), "above the limit")
	limit := "10000000"
	Must(send(create(1, map[string]*string{"max.message.bytes": &limit}), 8_000_000))
	consumer := client(kgo.FetchMaxBytes(1000), kgo.FetchMaxPartitionBytes(1000),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	defer consumer.Close()
	Equal(len(read(consumer, 1)[0].Value), 1_000_000, "a batch beyond the limits of a fetch")
}

func unknown() {
	producer := client(kgo.UnknownTopicRetries(1))
	defer producer.Close()
	err := producer.ProduceSync(ctx, &kgo.Record{Topic: Unique("missing"), Value: []byte("x")}).FirstErr()
	That(errors.Is(err, kerr.UnknownTopicOrPartition), fmt.Sprint("unknown topic: ", err))
	creating := client(kgo.AllowAutoTopicCreation())
	defer creating.Close()
	Must(creating.ProduceSync(ctx, &kgo.Record{Topic: Unique("auto"), Value: []byte("x")}).FirstErr())
}

func goesOnOver(how string) func() {
	return func() {
		topic := create(2, nil)
		producer := client(kgo.ProducerLinger(time.Millisecond))
		defer producer.Close()
		consumer := member(topic, Unique("restart"))
		defer consumer.Close()
		var lock sync.Mutex
		var failures []error
		send := func(from, to int) {
			for i := from; i < to; i++ {
				producer.Produce(ctx, record(topic, i, 2), func(r *kgo.Record, err error) {
					lock.Lock()
					defer lock.Unlock()
					if err != nil {
						failures = append(failures, err)
					}
				})
			}
		}
		send(0, 500)
		Must(producer.Flush(ctx))
		records := read(consumer, 500)
		Must(consumer.CommitRecords(ctx, records...))
		send(500, 1500)
		RestartBroker(how)
		send(1500, 2000)
		Must(producer.Flush(ctx))
		Equal(failures, []error(nil), "failures")
		Until("the rest", func() bool {
			limited, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			defer cancel()
			// Errors of a connection that was lost are not the end.
			records = append(records, consumer.PollFetches(limited).Records()...)
			return len(records) >= 2000
		})
		Equal(numbers(records), span(0, 2000), "each once")
		next := [2]int64{}
		for _, r := range records {
			Equal(r.Offset, next[r.Partition], "in order")
			next[r.Partition]++
		}
	}
}

func main() {
	RunAll([]Check{
		{"creates_topics_and_describes_them", createsTopics},
		{"produces_and_consumes_with_every_codec", everyCodec},
		{"seeks_by_offset_and_by_time", seeks},
		{"broadcasts_between_groups", broadcasts},
		{"shares_partitions_among_members_that_join_and_leave", sharesEagerly},
		{"rebalances_cooperatively", cooperates},
		{"static_members_keep_their_partitions_over_a_restart", staticMembers},
		{"commits_and_resumes", commits},
		{"alters_and_describes_configs", configs},
		{"adds_partitions_and_deletes_topics", partitionsAndDeletion},
		{"lists_describes_and_deletes_groups", groups},
		{"lists_offsets_and_deletes_records", offsetsAndRecords},
		{"accepts_large_messages_and_refuses_too_large_ones", large},
		{"reports_unknown_topics_and_bad_requests", unknown},
		{"describes_the_cluster_and_its_log_dirs", describesTheCluster},
		{"validates_without_changing_anything", validates},
		{"alters_and_deletes_the_offsets_of_groups", altersOffsets},
		{"elects_and_reassigns_as_a_cluster_of_one", electsAndReassigns},
		{"says_at_once_what_the_broker_does_not_do", refusals},
		{"commits_and_aborts_transactions", commitsAndAborts},
		{"copies_exactly_once", copies},
		{"fences_the_producer_before", fences},
		{"looks_at_transactions", looksAtTransactions},
		{"goes_on_over_sigkill_and_restart", goesOnOver("kill")},
		{"goes_on_over_sigterm_and_restart", goesOnOver("terminate")},
	})
}
