// Go's Testcontainers modules against Ottla's image; run by scripts/test-containers.sh.
package containers

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/exec"
	"github.com/testcontainers/testcontainers-go/modules/kafka"
	"github.com/testcontainers/testcontainers-go/modules/redpanda"
	"github.com/testcontainers/testcontainers-go/network"
	"github.com/twmb/franz-go/pkg/kgo"
)

const topic = "orders"

// A module: how it starts a broker in a network, and where that is reached.
type module struct {
	name   string
	start  func(ctx context.Context, network string) (testcontainers.Container, error)
	broker func(ctx context.Context, container testcontainers.Container) (string, error)
	// Where other containers of the network reach the broker.
	inside func(ctx context.Context, container testcontainers.Container) (string, error)
}

func image() string { return os.Getenv("OTTLA_IMAGE") }

var modules = []module{
	{
		name: "kafka",
		start: func(ctx context.Context, net string) (testcontainers.Container, error) {
			return kafka.Run(ctx, image(), kafka.WithClusterID("test-cluster"), inNetwork(net))
		},
		broker: func(ctx context.Context, c testcontainers.Container) (string, error) {
			brokers, err := c.(*kafka.KafkaContainer).Brokers(ctx)
			return strings.Join(brokers, ","), err
		},
		// The module advertises its second listener by the container's host name.
		inside: func(ctx context.Context, c testcontainers.Container) (string, error) {
			inspect, err := c.Inspect(ctx)
			if err != nil {
				return "", err
			}
			return inspect.Config.Hostname + ":9092", nil
		},
	},
	{
		name: "redpanda",
		start: func(ctx context.Context, net string) (testcontainers.Container, error) {
			options := []testcontainers.ContainerCustomizer{redpanda.WithAutoCreateTopics()}
			if net != "" {
				options = append(options, redpanda.WithListener("redpanda:29092"))
			}
			return redpanda.Run(ctx, image(), append(options, inNetwork(net))...)
		},
		broker: func(ctx context.Context, c testcontainers.Container) (string, error) {
			return c.(*redpanda.Container).KafkaSeedBroker(ctx)
		},
		inside: func(context.Context, testcontainers.Container) (string, error) {
			return "redpanda:29092", nil
		},
	},
}

func inNetwork(name string) testcontainers.CustomizeRequestOption {
	return func(request *testcontainers.GenericContainerRequest) error {
		if name != "" {
			request.Networks = append(request.Networks, name)
		}
		return nil
	}
}

// Runs a test for each module, next to the other's.
func each(t *testing.T, test func(ctx context.Context, t *testing.T, m module)) {
	for _, m := range modules {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			test(ctx, t, m)
		})
	}
}

func TestABrokerIsReachedOnItsMappedPortAndFromAnotherContainer(t *testing.T) {
	each(t, func(ctx context.Context, t *testing.T, m module) {
		net, err := network.New(ctx)
		check(t, err)
		testcontainers.CleanupNetwork(t, net)
		container := start(ctx, t, m, net.Name)
		inside, err := m.inside(ctx, container)
		check(t, err)
		neighbour, err := testcontainers.Run(ctx, image(), testcontainers.WithCmd("sleep", "600"), inNetwork(net.Name))
		testcontainers.CleanupContainer(t, neighbour)
		check(t, err)

		produce(ctx, t, broker(ctx, t, m, container), "one", "two")
		expect(t, consume(ctx, t, broker(ctx, t, m, container), 2), "one", "two")
		expect(t, consumeIn(ctx, t, neighbour, inside, 2), "one", "two")
		run(ctx, t, neighbour, fmt.Sprintf("echo three | ottla produce %s --bootstrap-server %s", topic, inside))
		expect(t, consume(ctx, t, broker(ctx, t, m, container), 3), "one", "two", "three")
	})
}

// Docker maps another port when a container starts again, so the records are looked at from within.
func TestARestartedBrokerHasItsRecords(t *testing.T) {
	each(t, func(ctx context.Context, t *testing.T, m module) {
		container := start(ctx, t, m, "")
		produce(ctx, t, broker(ctx, t, m, container), "before")
		second := time.Second
		check(t, container.Stop(ctx, &second))
		check(t, container.Start(ctx))
		inside := "localhost:9093"
		if m.name == "kafka" {
			inside = "localhost:9092"
		}
		expect(t, consumeIn(ctx, t, container, inside, 1), "before")
	})
}

func TestTwoBrokersAtOnceKnowNothingOfEachOther(t *testing.T) {
	each(t, func(ctx context.Context, t *testing.T, m module) {
		one, two := start(ctx, t, m, ""), start(ctx, t, m, "")
		produce(ctx, t, broker(ctx, t, m, one), "first")
		produce(ctx, t, broker(ctx, t, m, two), "second")
		expect(t, consume(ctx, t, broker(ctx, t, m, one), 1), "first")
		expect(t, consume(ctx, t, broker(ctx, t, m, two), 1), "second")
	})
}

func start(ctx context.Context, t *testing.T, m module, net string) testcontainers.Container {
	t.Helper()
	container, err := m.start(ctx, net)
	testcontainers.CleanupContainer(t, container)
	check(t, err)
	return container
}

func broker(ctx context.Context, t *testing.T, m module, container testcontainers.Container) string {
	t.Helper()
	address, err := m.broker(ctx, container)
	check(t, err)
	return address
}

func produce(ctx context.Context, t *testing.T, broker string, values ...string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.AllowAutoTopicCreation())
	check(t, err)
	defer client.Close()
	for _, value := range values {
		check(t, client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr())
	}
}

func consume(ctx context.Context, t *testing.T, broker string, count int) []string {
	t.Helper()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(broker), kgo.ConsumeTopics(topic), kgo.ConsumerGroup(fmt.Sprint(time.Now().UnixNano())),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	check(t, err)
	defer client.Close()
	var values []string
	for len(values) < count {
		fetches := client.PollFetches(ctx)
		check(t, fetches.Err())
		fetches.EachRecord(func(record *kgo.Record) { values = append(values, string(record.Value)) })
	}
	return values
}

// Consumes with the tools of the image, in a container, once the broker answers there.
func consumeIn(ctx context.Context, t *testing.T, container testcontainers.Container, broker string, count int) []string {
	t.Helper()
	out := run(ctx, t, container, fmt.Sprintf(
		"timeout 60 sh -c 'until ottla topic describe %[1]s --bootstrap-server %[2]s >/dev/null 2>&1; do sleep 0.1; done; "+
			"ottla consume %[1]s --bootstrap-server %[2]s --offset beginning --max-messages %[3]d'",
		topic, broker, count,
	))
	return strings.Split(strings.TrimSpace(out), "\n")
}

// What a command in a container prints.
func run(ctx context.Context, t *testing.T, container testcontainers.Container, command string) string {
	t.Helper()
	code, reader, err := container.Exec(ctx, []string{"sh", "-c", "(" + command + ") 2>/tmp/errors || { cat /tmp/errors; exit 1; }"}, exec.Multiplexed())
	check(t, err)
	out, err := io.ReadAll(reader)
	check(t, err)
	if code != 0 {
		t.Fatalf("%s ended with %d: %s", command, code, out)
	}
	return string(out)
}

func expect(t *testing.T, got []string, expected ...string) {
	t.Helper()
	if !slices.Equal(got, expected) {
		t.Fatalf("expected %q, got %q", expected, got)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
