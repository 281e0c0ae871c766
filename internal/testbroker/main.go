// Command testbroker is a Kafka of its own process for tests that are not written in Go: an embedded
// broker that outlives the gateways they kill. It prints "broker <host:port>" when it can be reached;
// then every line of standard input is the value of a record, written with acks from all to a
// partition by the payment's id, and answered by "offset <partition> <offset>", in order. It ends
// with its input.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// maxRecord is the longest line, and more than a gateway takes by default.
const maxRecord = 4 << 20

func main() {
	topic := flag.String("topic", "payments.raw", "the topic")
	partitions := flag.Int("partitions", 3, "its partitions")
	clusterID := flag.String("cluster-id", "testbroker", "what the cluster is called")
	port := flag.Int("port", 0, "the port; 0 is a free one")
	flag.Parse()
	if err := run(*topic, int32(*partitions), *clusterID, *port); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(topic string, partitions int32, clusterID string, port int) error {
	options := []kfake.Opt{kfake.NumBrokers(1), kfake.ClusterID(clusterID), kfake.SeedTopics(partitions, topic)}
	if port != 0 {
		options = append(options, kfake.Ports(port))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	defer cluster.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.DefaultProduceTopic(topic),
		kgo.ProducerBatchMaxBytes(maxRecord))
	if err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	defer client.Close()
	fmt.Println("broker " + cluster.ListenAddrs()[0])
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, maxRecord)
	for lines.Scan() {
		var payment struct{ ID string }
		_ = json.Unmarshal(lines.Bytes(), &payment) // a bad record has no key
		record := kgo.Record{Key: []byte(payment.ID), Value: lines.Bytes()}
		if err := client.ProduceSync(context.Background(), &record).FirstErr(); err != nil {
			return fmt.Errorf("write a record: %w", err)
		}
		fmt.Printf("offset %d %d\n", record.Partition, record.Offset)
	}
	return lines.Err()
}
