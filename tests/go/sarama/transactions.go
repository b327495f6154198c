package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/IBM/sarama"

	. "ottla/tests/checks"
)

func transactional(id string) sarama.SyncProducer {
	c := config()
	c.Producer.Idempotent = true
	c.Producer.Transaction.ID = id
	c.Net.MaxOpenRequests = 1
	return Get(sarama.NewSyncProducer(brokers, c))
}

func readCommitted(topic string, partition int32, offset int64, count int) []int {
	c := config()
	c.Consumer.IsolationLevel = sarama.ReadCommitted
	var values []int
	for _, m := range readAs(c, topic, partition, offset, count) {
		values = append(values, Get(strconv.Atoi(string(m.Value))))
	}
	return values
}

func commitsAndAborts() {
	topic := create(1, nil)
	producer := transactional(Unique("x"))
	defer producer.Close()
	var expected []int
	for round := range 10 {
		Must(producer.BeginTxn())
		var messages []*sarama.ProducerMessage
		for i := 10 * round; i < 10*round+10; i++ {
			messages = append(messages, message(topic, i, 1))
			if round%2 == 0 {
				expected = append(expected, i)
			}
		}
		Must(producer.SendMessages(messages))
		if round%2 == 0 {
			Must(producer.CommitTxn())
		} else {
			Must(producer.AbortTxn())
		}
	}
	Equal(readCommitted(topic, 0, sarama.OffsetOldest, 50), expected, "committed")
	Equal(len(read(topic, 0, sarama.OffsetOldest, 100)), 100, "with what was aborted")
}

func copies() {
	source, target := create(2, nil), create(2, nil)
	fill(source, 120, 2)
	group, id := Unique("copy"), Unique("x")
	a := admin()
	defer a.Close()
	for rounds := 1; ; rounds++ {
		// Each a new instance, as after a crash.
		producer := transactional(id)
		positions := Get(a.ListConsumerGroupOffsets(group, map[string][]int32{source: {0, 1}}))
		next := map[int32]int64{}
		done := true
		for partition := range int32(2) {
			next[partition] = max(positions.GetBlock(source, partition).Offset, 0)
			done = done && next[partition] == 60
		}
		if done {
			Must(producer.Close())
			break
		}
		Must(producer.BeginTxn())
		var messages []*sarama.ProducerMessage
		for partition, offset := range next {
			for _, value := range readCommitted(source, partition, offset, 30) {
				text := sarama.StringEncoder(strconv.Itoa(value))
				messages = append(messages, &sarama.ProducerMessage{Topic: target, Partition: partition, Value: text})
			}
		}
		Must(producer.SendMessages(messages))
		Must(producer.AddOffsetsToTxn(map[string][]*sarama.PartitionOffsetMetadata{
			source: {{Partition: 0, Offset: next[0] + 30}, {Partition: 1, Offset: next[1] + 30}},
		}, group))
		// Every other one is left open: the next instance aborts it.
		if rounds%2 == 0 {
			Must(producer.CommitTxn())
		}
		Must(producer.Close())
	}
	copied := append(readCommitted(target, 0, sarama.OffsetOldest, 60), readCommitted(target, 1, sarama.OffsetOldest, 60)...)
	slices.Sort(copied)
	var expected []int
	for i := range 120 {
		expected = append(expected, i)
	}
	Equal(copied, expected, "each once")
}

func fences() {
	topic, id := create(1, nil), Unique("x")
	begin := func(value int) sarama.SyncProducer {
		producer := transactional(id)
		Must(producer.BeginTxn())
		_, _, err := producer.SendMessage(message(topic, value, 1))
		Must(err)
		return producer
	}
	zombie := begin(1)
	defer zombie.Close()
	heir := begin(2)
	defer heir.Close()
	err := zombie.CommitTxn()
	That(errors.Is(err, sarama.ErrProducerFenced) || errors.Is(err, sarama.ErrInvalidProducerEpoch), fmt.Sprint("the one before: ", err))
	That(zombie.TxnStatus()&sarama.ProducerTxnFlagFatalError != 0, "there is no going on for it")
	Must(heir.CommitTxn())
	Equal(readCommitted(topic, 0, sarama.OffsetOldest, 1), []int{2}, "of the later one alone")
}
