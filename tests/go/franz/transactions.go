package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	. "ottla/tests/checks"
)

// The values of what is committed in a topic: as many as there are to be.
func committed(topic string, partitions int32, count int) []int {
	offsets := map[int32]kgo.Offset{}
	for partition := range partitions {
		offsets[partition] = kgo.NewOffset().AtStart()
	}
	consumer := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer consumer.Close()
	return numbers(read(consumer, count))
}

func commitsAndAborts() {
	topic := create(2, nil)
	producer := client(kgo.TransactionalID(Unique("x")))
	defer producer.Close()
	var expected []int
	for round := range 10 {
		Must(producer.BeginTransaction())
		var records []*kgo.Record
		for i := 10 * round; i < 10*round+10; i++ {
			records = append(records, record(topic, i, 2))
		}
		Must(producer.ProduceSync(ctx, records...).FirstErr())
		Must(producer.EndTransaction(ctx, kgo.TransactionEndTry(round%2 == 0)))
		if round%2 == 0 {
			expected = append(expected, span(10*round, 10*round+10)...)
		}
	}
	Equal(committed(topic, 2, 50), expected, "committed")
	uncommitted := from(topic, map[int32]kgo.Offset{0: kgo.NewOffset().AtStart(), 1: kgo.NewOffset().AtStart()})
	defer uncommitted.Close()
	Equal(numbers(read(uncommitted, 100)), span(0, 100), "with what was aborted")
}

func copies() {
	source, target := create(2, nil), create(2, nil)
	fill(source, 300, 2)
	group, id := Unique("copy"), Unique("x")
	copied, rounds := 0, 0
	for copied < 300 {
		// Each a new instance, as after a crash.
		session := Get(kgo.NewGroupTransactSession(
			kgo.SeedBrokers(bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID(id),
			kgo.ConsumeTopics(source), kgo.ConsumerGroup(group), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RequireStableFetchOffsets(),
			kgo.HeartbeatInterval(300*time.Millisecond), kgo.SessionTimeout(10*time.Second),
		))
		for lives := true; lives && copied < 300; {
			fetched := session.PollRecords(ctx, 30)
			Must(fetched.Err())
			if fetched.NumRecords() == 0 {
				continue
			}
			Must(session.Begin())
			for _, r := range fetched.Records() {
				copy := &kgo.Record{Topic: target, Partition: r.Partition, Value: r.Value}
				Must(session.ProduceSync(ctx, copy).FirstErr())
			}
			rounds++
			if rounds%3 == 0 {
				// Left open: the next instance aborts it.
				lives = false
			} else if Get(session.End(ctx, kgo.TryCommit)) {
				copied += fetched.NumRecords()
			}
		}
		session.Close()
	}
	Equal(committed(target, 2, 300), span(0, 300), "each once")
	offsets := Get(admin.FetchOffsets(ctx, group))
	for partition := range int32(2) {
		at, found := offsets.Lookup(source, partition)
		That(found, "an offset is committed")
		Equal(at.At, int64(150), "committed")
	}
}

func fences() {
	topic, id := create(1, nil), Unique("x")
	begin := func(value int) *kgo.Client {
		producer := client(kgo.TransactionalID(id))
		Must(producer.BeginTransaction())
		Must(producer.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(strconv.Itoa(value))}).FirstErr())
		return producer
	}
	zombie := begin(1)
	defer zombie.Close()
	heir := begin(2)
	defer heir.Close()
	err := zombie.EndTransaction(ctx, kgo.TryCommit)
	That(errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch), fmt.Sprint("the one before: ", err))
	Must(heir.EndTransaction(ctx, kgo.TryCommit))
	Equal(committed(topic, 1, 1), []int{2}, "of the later one alone")
}

func looksAtTransactions() {
	topic, id := create(1, nil), Unique("x")
	producer := client(kgo.TransactionalID(id))
	defer producer.Close()
	Must(producer.BeginTransaction())
	Must(producer.ProduceSync(ctx, record(topic, 0, 1)).FirstErr())
	coordinator := admin.FindTxnCoordinators(ctx, id)[id]
	Must(coordinator.Err)
	Equal(Get(admin.ListTransactions(ctx, nil, []string{"Ongoing"}))[id].State, "Ongoing", "listed")
	described := Get(admin.DescribeTransactions(ctx, id))[id]
	Must(described.Err)
	Equal(described.State, "Ongoing", "described")
	That(described.Topics.Lookup(topic, 0), "its partition")
	Equal(Get(admin.ListEndOffsets(ctx, topic))[topic][0].Offset, int64(1), "the end")
	Equal(Get(admin.ListCommittedOffsets(ctx, topic))[topic][0].Offset, int64(0), "the last stable offset")
	producers := Get(admin.DescribeProducers(ctx, Get(admin.ListTopics(ctx, topic)).TopicsSet()))[topic].Partitions[0]
	Must(producers.Err)
	active := producers.ActiveProducers.Sorted()[0]
	Equal(active.ProducerID, described.ProducerID, "the producer")
	// What aborts a transaction that hangs.
	Must(producer.EndTransaction(ctx, kgo.TryAbort))
	Until("it is aborted", func() bool { return Get(admin.DescribeTransactions(ctx, id))[id].State == "CompleteAbort" })
	Equal(Get(admin.ListCommittedOffsets(ctx, topic))[topic][0].Offset, int64(2), "the last stable offset after the marker")
}
