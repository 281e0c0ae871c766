//go:build kafka

package main

import (
	"slices"
	"testing"
	"time"

	"paystream/internal/kafkatest"
)

// TestEverySubscriberGetsEveryPayment is the main job at its size: 20 subscribers over all protocols,
// half of which join while payments come, each of which gets 100,000 payments once and in order. The
// gateway is the binary: under the race detector this takes three times as long, and the smaller
// deliveries below have it.
func TestEverySubscriberGetsEveryPayment(t *testing.T) {
	k := kafkatest.Shared(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 3, nil)
	i := startProcess(t, append(kafkaEnv(k, topic), "RETAIN_PAYMENTS=200000", "RETAIN_BYTES=512MiB")...)
	deliver(t, k, topic, i, 100_000)
}

// TestEverySecurity delivers over every way to reach a Kafka that asks who comes.
func TestEverySecurity(t *testing.T) {
	k := kafkatest.Shared(t)
	leaveNothing(t)
	sasl := func(broker, mechanism, user, password string) []string {
		return []string{
			"KAFKA_BROKERS=" + broker, "KAFKA_SASL_MECHANISM=" + mechanism,
			"KAFKA_SASL_USERNAME=" + user, "KAFKA_SASL_PASSWORD=" + password,
		}
	}
	ca := []string{"KAFKA_SSL=true", "KAFKA_SSL_CA_FILE=" + k.CAFile()}
	for _, tt := range []struct {
		name string
		env  []string
	}{
		{"SASL PLAIN", sasl(k.SASLPlaintext(), "PLAIN", kafkatest.PlainUser, kafkatest.PlainPassword)},
		{"SCRAM-SHA-256", sasl(k.SASLPlaintext(), "SCRAM-SHA-256", kafkatest.Scram256User, kafkatest.Scram256Password)},
		{"SCRAM-SHA-512", sasl(k.SASLPlaintext(), "SCRAM-SHA-512", kafkatest.Scram512User, kafkatest.Scram512Password)},
		{"TLS with an authority of its own", slices.Concat(ca, []string{"KAFKA_BROKERS=" + k.TLS()})},
		{"mutual TLS", slices.Concat(ca, []string{
			"KAFKA_BROKERS=" + k.MutualTLS(), "KAFKA_SSL_CERT_FILE=" + k.ClientCertFile(), "KAFKA_SSL_KEY_FILE=" + k.ClientKeyFile(),
		})},
		{"SCRAM-SHA-512 over TLS", slices.Concat(ca, sasl(k.SASLTLS(), "SCRAM-SHA-512", kafkatest.Scram512User, kafkatest.Scram512Password))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			topic := kafkatest.TopicName(t)
			k.CreateTopic(t, topic, 3, nil)
			i := startInstance(t, append(tt.env, "KAFKA_TOPIC="+topic, "KAFKA_GROUP_ID="+topic)...)
			deliver(t, k, topic, i, 2000)
		})
	}
}

// deliver produces about n payments while 20 subscribers read them: 10 from before the first, 10 who
// join when two fifths are there and the next fifth is coming, and two fifths are still to come.
func deliver(t *testing.T, k *kafkatest.Kafka, topic string, i *instance, n int) {
	t.Helper()
	const partitions = 3
	fifth := n/5/partitions + 1
	i.awaitReady(t)
	total := int64(5 * fifth)
	c := newCrowd(t, i, []int64{total, total, total}, 4*time.Minute)
	begin := time.Now()

	next := make([]int64, partitions)
	producer := k.Producer(t)
	defer producer.Close()
	produce := func(each int) {
		const batch = 2000
		for ; each > 0; each -= batch {
			producer.Produce(t, topic, placed(next, min(each, batch))...)
		}
	}
	c.join(t, 10)
	produce(2 * fifth)
	i.awaitRetained(t, 1)
	c.joining(10)
	produce(fifth)
	c.awaitOpened(t, 10)
	produce(2 * fifth)
	produced := time.Since(begin)

	late := 0
	for _, f := range c.awaitDone(t) {
		if f.existing == 0 {
			continue
		}
		late++
		if fresh := partitions*int(total) - f.existing; fresh < 2*fifth*partitions {
			t.Errorf("%s: %d as existing and only %d as new", f.name, f.existing, fresh)
		}
	}
	if late != 10 {
		t.Errorf("%d were given existing payments, want the 10 who joined late", late)
	}
	t.Logf("%d payments to %d subscribers: produced in %v, delivered in %v", partitions*total, c.members,
		produced.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond))
}
