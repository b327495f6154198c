// Checks with sarama: sarama BOOTSTRAP [CHECK...]
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

	"github.com/IBM/sarama"

	. "ottla/tests/checks"
)

var brokers = []string{os.Args[1]}

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V3_9_0_0
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.Retry.Max = 200
	c.Producer.Retry.Backoff = 50 * time.Millisecond
	c.Metadata.Retry.Max = 100
	c.Metadata.Retry.Backoff = 50 * time.Millisecond
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	c.Consumer.Group.Rebalance.Retry.Backoff = 100 * time.Millisecond
	return c
}

func admin() sarama.ClusterAdmin {
	return Get(sarama.NewClusterAdmin(brokers, config()))
}

func create(partitions int32, configs map[string]*string) string {
	topic := Unique("t")
	a := admin()
	defer a.Close()
	Must(a.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: configs}, false))
	return topic
}

func message(topic string, i, partitions int) *sarama.ProducerMessage {
	text := sarama.StringEncoder(strconv.Itoa(i))
	return &sarama.ProducerMessage{
		Topic: topic, Partition: int32(i % partitions), Key: text, Value: text, Timestamp: time.UnixMilli(T0 + int64(i)),
	}
}

func fill(topic string, count, partitions int) {
	producer := Get(sarama.NewSyncProducer(brokers, config()))
	defer producer.Close()
	var messages []*sarama.ProducerMessage
	for i := range count {
		messages = append(messages, message(topic, i, partitions))
	}
	Must(producer.SendMessages(messages))
}

func read(topic string, partition int32, offset int64, count int) []*sarama.ConsumerMessage {
	return readAs(config(), topic, partition, offset, count)
}

func readAs(c *sarama.Config, topic string, partition int32, offset int64, count int) []*sarama.ConsumerMessage {
	consumer := Get(sarama.NewConsumer(brokers, c))
	defer consumer.Close()
	part := Get(consumer.ConsumePartition(topic, partition, offset))
	defer part.Close()
	var got []*sarama.ConsumerMessage
	late := time.After(60 * time.Second)
	for len(got) < count {
		select {
		case m := <-part.Messages():
			got = append(got, m)
		case <-late:
			panic(fmt.Sprintf("%d of %d messages", len(got), count))
		}
	}
	return got
}

func createsTopics() {
	topic := create(3, nil)
	a := admin()
	defer a.Close()
	// Kafka tells of a new topic a moment after it answered.
	Until("three partitions", func() bool { return len(Get(a.DescribeTopics([]string{topic}))[0].Partitions) == 3 })
	described := Get(a.DescribeTopics([]string{topic}))
	_, controller, err := a.DescribeCluster()
	Must(err)
	Equal(described[0].Partitions[0].Leader, controller, "leader")
	err = a.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false)
	That(errors.Is(err, sarama.ErrTopicAlreadyExists), fmt.Sprint("again: ", err))
	Must(a.CreatePartitions(topic, 5, nil, false))
	Until("five partitions", func() bool { return len(Get(a.DescribeTopics([]string{topic}))[0].Partitions) == 5 })
	Must(a.DeleteTopic(topic))
	Until("the topic is gone", func() bool { _, there := Get(a.ListTopics())[topic]; return !there })
}

func everyCodec() {
	codecs := []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD,
	}
	for _, codec := range codecs {
		topic := create(1, nil)
		c := config()
		c.Producer.Compression = codec
		producer := Get(sarama.NewSyncProducer(brokers, c))
		var sent []*sarama.ProducerMessage
		for i := range 200 {
			m := message(topic, i, 1)
			m.Value = sarama.ByteEncoder(make([]byte, 1+i*7%900))
			if i%5 == 0 {
				m.Key = nil
			}
			if i%7 == 0 {
				m.Value = nil
			}
			if i%3 == 0 {
				m.Headers = []sarama.RecordHeader{{Key: []byte("a"), Value: []byte("1")}, {Key: []byte("a"), Value: []byte("2")}}
			}
			sent = append(sent, m)
		}
		Must(producer.SendMessages(sent))
		producer.Close()
		for i, m := range read(topic, 0, sarama.OffsetOldest, 200) {
			what := fmt.Sprint(codec, " ", i)
			Equal(m.Offset, int64(i), what)
			Equal(m.Timestamp.UnixMilli(), T0+int64(i), what)
			Equal(encoded(sent[i].Key), m.Key, what+" key")
			Equal(encoded(sent[i].Value), m.Value, what+" value")
			Equal(len(m.Headers), len(sent[i].Headers), what+" headers")
			for h := range m.Headers {
				Equal(*m.Headers[h], sent[i].Headers[h], what+" header")
			}
		}
	}
}

func encoded(e sarama.Encoder) []byte {
	if e == nil {
		return nil
	}
	return Get(e.Encode())
}

func seeks() {
	topic := create(1, nil)
	fill(topic, 100, 1)
	client := Get(sarama.NewClient(brokers, config()))
	defer client.Close()
	Equal(Get(client.GetOffset(topic, 0, sarama.OffsetOldest)), int64(0), "oldest")
	Equal(Get(client.GetOffset(topic, 0, sarama.OffsetNewest)), int64(100), "newest")
	Equal(Get(client.GetOffset(topic, 0, T0+42)), int64(42), "by time")
	Equal(read(topic, 0, 42, 1)[0].Offset, int64(42), "first after a seek")
	consumer := Get(sarama.NewConsumerFromClient(client))
	_, err := consumer.ConsumePartition(topic, 0, 5000)
	That(errors.Is(err, sarama.ErrOffsetOutOfRange), fmt.Sprint("out of range: ", err))
}

// A group's member: counts what it gets, knows what it owns, marks and commits everything.
type member struct {
	group  sarama.ConsumerGroup
	stop   context.CancelFunc
	done   chan struct{}
	lock   sync.Mutex
	owned  []int32
	seen   []string
	values []int
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.owned = nil
	for _, partitions := range session.Claims() {
		m.owned = append(m.owned, partitions...)
	}
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.owned = nil
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for received := range claim.Messages() {
		m.lock.Lock()
		m.seen = append(m.seen, fmt.Sprint(received.Partition, "/", received.Offset))
		m.values = append(m.values, Get(strconv.Atoi(string(received.Value))))
		m.lock.Unlock()
		session.MarkMessage(received, "")
	}
	return nil
}

func join(topic, group string, c *sarama.Config) *member {
	ctx, stop := context.WithCancel(context.Background())
	m := &member{group: Get(sarama.NewConsumerGroup(brokers, group, c)), stop: stop, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		for ctx.Err() == nil {
			// The error of a broker that is away; it comes back.
			if err := m.group.Consume(ctx, []string{topic}, m); err != nil {
				fmt.Fprintln(os.Stderr, "consume:", err)
			}
		}
	}()
	return m
}

func (m *member) leave() {
	m.stop()
	<-m.done
	Must(m.group.Close())
}

func (m *member) share() []int32 {
	m.lock.Lock()
	defer m.lock.Unlock()
	return slices.Clone(m.owned)
}

func (m *member) received() ([]string, []int) {
	m.lock.Lock()
	defer m.lock.Unlock()
	return slices.Clone(m.seen), slices.Clone(m.values)
}

func settle(members []*member, sizes []int, partitions int) {
	Until(fmt.Sprint("shares of ", sizes), func() bool {
		time.Sleep(20 * time.Millisecond)
		all := map[int32]bool{}
		var shares []int
		for _, m := range members {
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

func shares() {
	for _, strategy := range []sarama.BalanceStrategy{
		sarama.NewBalanceStrategyRange(), sarama.NewBalanceStrategyRoundRobin(), sarama.NewBalanceStrategySticky(),
	} {
		topic := create(6, nil)
		fill(topic, 60, 6)
		group := Unique("shared")
		c := config()
		c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
		var members []*member
		for _, sizes := range [][]int{{6}, {3, 3}, {2, 2, 2}} {
			members = append(members, join(topic, group, c))
			settle(members, sizes, 6)
		}
		members[0].leave()
		settle(members[1:], []int{3, 3}, 6)
		fill(topic, 60, 6)
		Until("each record", func() bool {
			time.Sleep(20 * time.Millisecond)
			all := map[string]bool{}
			for _, m := range members {
				seen, _ := m.received()
				for _, place := range seen {
					all[place] = true
				}
			}
			return len(all) == 120
		})
		members[1].leave()
		settle(members[2:], []int{6}, 6)
		members[2].leave()
	}
}

func waitForAll(m *member, count int) []int {
	Until(fmt.Sprint(count, " messages"), func() bool {
		time.Sleep(20 * time.Millisecond)
		_, values := m.received()
		return len(values) >= count
	})
	_, values := m.received()
	return values
}

func broadcasts() {
	topic := create(1, nil)
	fill(topic, 50, 1)
	for range 2 {
		m := join(topic, Unique("g"), config())
		values := waitForAll(m, 50)
		m.leave()
		Equal(values[49], 49, "the last one")
	}
}

func staticMembers() {
	topic := create(4, nil)
	group := Unique("static")
	instance := func(name string) *member {
		c := config()
		c.Consumer.Group.InstanceId = name
		return join(topic, group, c)
	}
	a, b := instance("a"), instance("b")
	settle([]*member{a, b}, []int{2, 2}, 4)
	share := b.share()
	b.leave()
	b = instance("b")
	Until("the old share is back", func() bool {
		time.Sleep(20 * time.Millisecond)
		return slices.Equal(b.share(), share)
	})
	admin := admin()
	defer admin.Close()
	described := Get(admin.DescribeConsumerGroups([]string{group}))[0]
	Equal(len(described.Members), 2, "members")
	a.leave()
	b.leave()
}

func commits() {
	topic := create(1, nil)
	fill(topic, 50, 1)
	group := Unique("resume")
	m := join(topic, group, config())
	waitForAll(m, 50)
	m.leave()
	a := admin()
	defer a.Close()
	offsets := Get(a.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}}))
	Equal(offsets.GetBlock(topic, 0).Offset, int64(50), "committed")
	fill(topic, 10, 1)
	m = join(topic, group, config())
	waitForAll(m, 10)
	seen, _ := m.received()
	Equal(seen[0], "0/50", "resumes")
	m.leave()
}

func configs() {
	retention := "123456"
	topic := create(1, map[string]*string{"retention.ms": &retention})
	a := admin()
	defer a.Close()
	value := func() string {
		entries := Get(a.DescribeConfig(sarama.ConfigResource{
			Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms"},
		}))
		Equal(len(entries), 1, "only what was asked for")
		return entries[0].Value
	}
	Equal(value(), "123456", "given at creation")
	changed := "654321"
	Must(a.IncrementalAlterConfig(sarama.TopicResource, topic, map[string]sarama.IncrementalAlterConfigsEntry{
		"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &changed},
	}, false))
	Until("set", func() bool { return value() == "654321" })
	Must(a.AlterConfig(sarama.TopicResource, topic, map[string]*string{}, false))
	Until("the older call replaces everything", func() bool { return value() == "604800000" })
}

func groups() {
	topic := create(1, nil)
	fill(topic, 1, 1)
	group := Unique("g")
	m := join(topic, group, config())
	waitForAll(m, 1)
	a := admin()
	defer a.Close()
	_, listed := Get(a.ListConsumerGroups())[group]
	That(listed, "listed")
	described := Get(a.DescribeConsumerGroups([]string{group}))[0]
	Equal(described.State, "Stable", "state")
	That(errors.Is(a.DeleteConsumerGroup(group), sarama.ErrNonEmptyGroup), "not while it has members")
	m.leave()
	Must(a.DeleteConsumerGroup(group))
	_, listed = Get(a.ListConsumerGroups())[group]
	That(!listed, "gone")
}

func records() {
	topic := create(1, nil)
	fill(topic, 40, 1)
	a := admin()
	defer a.Close()
	Must(a.DeleteRecords(topic, map[int32]int64{0: 25}))
	Equal(read(topic, 0, sarama.OffsetOldest, 1)[0].Offset, int64(25), "oldest after deleting")
}

func large() {
	topic := create(1, nil)
	c := config()
	c.Producer.MaxMessageBytes = 5_000_000
	producer := Get(sarama.NewSyncProducer(brokers, c))
	defer producer.Close()
	send := func(size int) error {
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(make([]byte, size))})
		return err
	}
	Must(send(1_000_000))
	err := send(1_100_000)
	That(errors.Is(err, sarama.ErrMessageSizeTooLarge), fmt.Sprint("above the limit: ", err))
	Equal(len(read(topic, 0, 0, 1)[0].Value), 1_000_000, "value")
}

func oldVersions() {
	for _, version := range []sarama.KafkaVersion{sarama.V2_1_0_0, sarama.V2_8_0_0, sarama.V3_3_0_0} {
		topic := create(1, nil)
		c := config()
		c.Version = version
		producer := Get(sarama.NewSyncProducer(brokers, c))
		for i := range 20 {
			_, offset, err := producer.SendMessage(message(topic, i, 1))
			Must(err)
			Equal(offset, int64(i), "offset")
		}
		producer.Close()
		m := join(topic, Unique("g"), c)
		waitForAll(m, 20)
		m.leave()
	}
}

func goesOnOver(how string) func() {
	return func() {
		topic := create(1, nil)
		c := config()
		c.Producer.Idempotent = true
		c.Net.MaxOpenRequests = 1
		producer := Get(sarama.NewSyncProducer(brokers, c))
		m := join(topic, Unique("restart"), config())
		send := func(from, to int) {
			for i := from; i < to; i++ {
				_, _, err := producer.SendMessage(message(topic, i, 1))
				Must(err)
			}
		}
		send(0, 100)
		waitForAll(m, 100)
		RestartBroker(how)
		send(100, 200)
		producer.Close()
		Until("the last message", func() bool {
			time.Sleep(20 * time.Millisecond)
			_, values := m.received()
			return len(values) > 0 && values[len(values)-1] == 199
		})
		m.leave()
		for i, received := range read(topic, 0, sarama.OffsetOldest, 200) {
			Equal(string(received.Value), strconv.Itoa(i), "once, in order")
		}
	}
}

// A member that nacks what it cannot handle. Sarama cannot seek in a session: the next one begins at the group's position.
type nacker struct {
	got []int64
}

func (n *nacker) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (n *nacker) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (n *nacker) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for received := range claim.Messages() {
		n.got = append(n.got, received.Offset)
		if string(received.Value) == "2" {
			// The one sets what lies ahead of the position, the other what does not.
			session.MarkOffset(received.Topic, received.Partition, received.Offset, "!nack cannot read 2")
			session.ResetOffset(received.Topic, received.Partition, received.Offset, "!nack cannot read 2")
			session.Commit()
			return nil
		}
		session.MarkMessage(received, "")
		session.Commit()
		if received.Offset == 4 {
			return nil
		}
	}
	return nil
}

func movesWhatItNacks() {
	a := admin()
	defer a.Close()
	Must(a.CreateTopic("nacked", &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false))
	fill("nacked", 5, 1)
	c := config()
	c.Consumer.Offsets.AutoCommit.Enable = false
	group := Get(sarama.NewConsumerGroup(brokers, "billing", c))
	defer group.Close()
	n := &nacker{}
	Until("the end of the partition", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		Must(group.Consume(ctx, []string{"nacked"}, n))
		offsets := Get(a.ListConsumerGroupOffsets("billing", map[string][]int32{"nacked": {0}}))
		return offsets.GetBlock("nacked", 0).Offset == 5
	})
	Equal(n.got, []int64{0, 1, 2, 2, 2, 3, 4}, "offsets")
}

func main() {
	// Against a broker that has dead letters: run where it is named.
	if len(os.Args) > 2 && os.Args[2] == "moves_what_it_nacks" {
		RunAll([]Check{{"moves_what_it_nacks", movesWhatItNacks}})
		return
	}
	RunAll([]Check{
		{"creates_grows_and_deletes_topics", createsTopics},
		{"produces_and_consumes_with_every_codec", everyCodec},
		{"seeks_by_offset_and_by_time", seeks},
		{"broadcasts_between_groups", broadcasts},
		{"shares_partitions_among_members_that_join_and_leave", shares},
		{"static_members_keep_their_partitions_over_a_restart", staticMembers},
		{"commits_and_resumes", commits},
		{"alters_and_describes_configs", configs},
		{"lists_describes_and_deletes_groups", groups},
		{"deletes_records", records},
		{"accepts_large_messages_and_refuses_too_large_ones", large},
		{"speaks_the_older_versions_of_the_protocol", oldVersions},
		{"calls_every_method_of_the_admin_client", everyAdminMethod},
		{"commits_and_aborts_transactions", commitsAndAborts},
		{"copies_exactly_once", copies},
		{"fences_the_producer_before", fences},
		{"goes_on_over_sigkill_and_restart", goesOnOver("kill")},
		{"goes_on_over_sigterm_and_restart", goesOnOver("terminate")},
	})
}
