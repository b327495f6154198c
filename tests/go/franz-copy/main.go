// Copies a topic exactly once until it is killed (franz-go): franz-copy BOOTSTRAP JSON
//
// It prints what it does, a word a line, and reads a line before the next transaction: see tests/tests/copies_crash.rs. Whatever goes
// wrong ends it; its successor goes on.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	. "ottla/tests/checks"
)

type plan struct {
	Source, Target, Group string

	TransactionalID string `json:"transactional_id"`
	Batch           int
}

func say(word string) {
	fmt.Fprintln(os.Stdout, word)
}

func copies(p plan) error {
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(os.Args[1]),
		kgo.TransactionalID(p.TransactionalID),
		kgo.TransactionTimeout(30*time.Second),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ConsumerGroup(p.Group),
		// A successor takes the place of a killed one at once (KIP-345).
		kgo.InstanceID(p.TransactionalID),
		kgo.ConsumeTopics(p.Source),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(100*time.Millisecond),
		kgo.HeartbeatInterval(300*time.Millisecond),
		kgo.RequireStableFetchOffsets(),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
	)
	if err != nil {
		return err
	}
	ctx := context.Background()
	// What the last instance left open is aborted: the positions in it are not stable before.
	if _, _, err := session.Client().ProducerID(ctx); err != nil {
		return err
	}
	say("ready")
	goOn := bufio.NewReader(os.Stdin)
	for {
		polling, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		fetched := session.PollRecords(polling, p.Batch)
		cancel()
		if err := fetched.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		if fetched.NumRecords() == 0 {
			say("idle")
			continue
		}
		if err := session.Begin(); err != nil {
			return err
		}
		var copied []*kgo.Record
		fetched.EachRecord(func(r *kgo.Record) {
			copied = append(copied, &kgo.Record{Topic: p.Target, Partition: r.Partition, Value: r.Value})
		})
		if err := session.ProduceSync(ctx, copied...).FirstErr(); err != nil {
			return err
		}
		say("sent")
		committed, err := session.End(ctx, kgo.TryCommit)
		if err != nil {
			return err
		}
		if !committed {
			// Partitions went to somebody else meanwhile: whoever owns them reads the records again.
			say("aborted")
			continue
		}
		say("committed")
		if _, err := goOn.ReadString('\n'); err != nil {
			return nil
		}
	}
}

func main() {
	var p plan
	Must(json.Unmarshal([]byte(os.Args[2]), &p))
	if err := copies(p); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.TransactionalID, err)
		os.Exit(3)
	}
}
