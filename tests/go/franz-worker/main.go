// A consumer that dies on some records (franz-go): franz-worker BOOTSTRAP JSON
//
// It prints a line `partition offset value` for each record before it handles it, and a line `assigned` when it owns partitions.
// What it does is in the JSON: see tests/tests/e2e/dead_letters/worker.rs.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	. "ottla/tests/checks"
)

type plan struct {
	Topic, Group, Poison, Death, Instance, Assignor string

	ClientID   string `json:"client_id"`
	AutoCommit bool   `json:"auto_commit"`
	SessionMs  int    `json:"session_ms"`
	SlowMs     int    `json:"slow_ms"`
	Batch      int
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stdout, format+"\n", args...)
}

func die(client *kgo.Client, how string) {
	switch how {
	case "kill":
		Must(syscall.Kill(os.Getpid(), syscall.SIGKILL))
	case "leave":
		client.LeaveGroup()
	}
	os.Exit(3)
}

func main() {
	var p plan
	Must(json.Unmarshal([]byte(os.Args[2]), &p))
	balancer := kgo.CooperativeStickyBalancer()
	if p.Assignor == "range" {
		balancer = kgo.RangeBalancer()
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(os.Args[1]),
		kgo.ClientID(p.ClientID),
		kgo.ConsumerGroup(p.Group),
		kgo.ConsumeTopics(p.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(balancer),
		kgo.SessionTimeout(time.Duration(p.SessionMs) * time.Millisecond),
		kgo.RebalanceTimeout(time.Duration(max(p.SessionMs, 2000)) * time.Millisecond),
		kgo.HeartbeatInterval(200 * time.Millisecond),
		kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.AutoCommitInterval(100 * time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, owned map[string][]int32) {
			if len(owned) > 0 {
				say("assigned")
			}
		}),
	}
	if p.Instance != "" {
		opts = append(opts, kgo.InstanceID(p.Instance))
	}
	if !p.AutoCommit {
		opts = append(opts, kgo.DisableAutoCommit())
	}
	client := Get(kgo.NewClient(opts...))
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	for ctx.Err() == nil {
		fetches := client.PollRecords(ctx, p.Batch)
		for _, failed := range fetches.Errors() {
			if !errors.Is(failed.Err, context.Canceled) {
				fmt.Fprintln(os.Stderr, failed.Err)
			}
		}
		records := fetches.Records()
		for _, record := range records {
			say("%d %d %s", record.Partition, record.Offset, record.Value)
			if strings.HasPrefix(string(record.Value), p.Poison) {
				die(client, p.Death)
			}
			time.Sleep(time.Duration(p.SlowMs) * time.Millisecond)
		}
		if len(records) > 0 && !p.AutoCommit {
			// A rebalance in between: the records come again, at whoever owns them now.
			if err := client.CommitRecords(context.Background(), records...); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}
	client.Close()
}
