// Command testbroker is a Kafka of its own process for tests that are not written in Go: an embedded
// broker that outlives the gateways they kill. It prints "broker <host:port>" when it can be reached;
// then every line of standard input is the value of a record, written with acks from all to a
// partition by the payment's id, and answered by "offset <partition> <offset>", in order. But a line
// "!delete <partition> <offset>" deletes what the partition has before that offset. It ends with its
// input.
//
// With -kafka it starts no broker, but creates its topic on one that runs already, deletes it at its
// end, and is otherwise the same: so the same tests can run against a real Kafka.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// maxRecord is the longest line, and more than a gateway takes by default.
const maxRecord = 4 << 20

// helperTimeout bounds what is asked of a real Kafka before and after the test.
const helperTimeout = 30 * time.Second

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // as in the gateway's own main
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("testbroker", flag.ExitOnError)
	topic := flags.String("topic", "payments.raw", "the topic")
	partitions := flags.Int("partitions", 3, "its partitions")
	clusterID := flags.String("cluster-id", "testbroker", "what the cluster is called")
	port := flags.Int("port", 0, "the port; 0 is a free one")
	kafka := flags.String("kafka", "", "the address of a Kafka that runs already")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *kafka == "" {
		cluster, err := embedded(*topic, int32(*partitions), *clusterID, *port)
		if err != nil {
			return err
		}
		defer cluster.Close()
		return serve(cluster.ListenAddrs()[0], *topic, in, out)
	}
	remove, err := create(*kafka, *topic, int32(*partitions))
	if err != nil {
		return err
	}
	return errors.Join(serve(*kafka, *topic, in, out), remove())
}

// embedded starts a broker.
func embedded(topic string, partitions int32, clusterID string, port int) (*kfake.Cluster, error) {
	options := []kfake.Opt{kfake.NumBrokers(1), kfake.ClusterID(clusterID), kfake.SeedTopics(partitions, topic)}
	if port != 0 {
		options = append(options, kfake.Ports(port))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		return nil, fmt.Errorf("start the broker: %w", err)
	}
	return cluster, nil
}

// create creates the topic on a Kafka that runs already, and returns what deletes it.
func create(address, topic string, partitions int32) (remove func() error, err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), helperTimeout)
	defer cancel()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
		client.Close()
		return nil, fmt.Errorf("create topic %s on %s: %w", topic, address, err)
	}
	return func() error {
		defer client.Close()
		ctx, cancel := context.WithTimeout(context.Background(), helperTimeout)
		defer cancel()
		if _, err := admin.DeleteTopic(ctx, topic); err != nil {
			return fmt.Errorf("delete topic %s: %w", topic, err)
		}
		return nil
	}, nil
}

// serve writes what it reads to the topic.
func serve(address, topic string, in io.Reader, out io.Writer) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DefaultProduceTopic(topic),
		kgo.ProducerBatchMaxBytes(maxRecord))
	if err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	defer client.Close()
	fmt.Fprintln(out, "broker "+address)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxRecord)
	for lines.Scan() {
		var partition int32
		var before int64
		if n, _ := fmt.Sscanf(lines.Text(), "!delete %d %d", &partition, &before); n == 2 {
			if err := deleteBefore(client, topic, partition, before); err != nil {
				return err
			}
			fmt.Fprintf(out, "offset %d %d\n", partition, before)
			continue
		}
		var payment struct {
			ID string `json:"id"`
		}
		_ = json.Unmarshal(lines.Bytes(), &payment) // a bad record has no key
		record := kgo.Record{Key: []byte(payment.ID), Value: lines.Bytes()}
		if err := client.ProduceSync(context.Background(), &record).FirstErr(); err != nil {
			return fmt.Errorf("write a record: %w", err)
		}
		fmt.Fprintf(out, "offset %d %d\n", record.Partition, record.Offset)
	}
	return lines.Err()
}

func deleteBefore(client *kgo.Client, topic string, partition int32, offset int64) error {
	var before kadm.Offsets
	before.Add(kadm.Offset{Topic: topic, Partition: partition, At: offset})
	answer, err := kadm.NewClient(client).DeleteRecords(context.Background(), before)
	if err == nil {
		err = answer.Error()
	}
	if err != nil {
		return fmt.Errorf("delete records: %w", err)
	}
	return nil
}
