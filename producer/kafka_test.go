//go:build kafka

package producer_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"paystream/internal/kafkaconn"
	"paystream/internal/kafkatest"
	"paystream/payment"
	"paystream/producer"
)

func TestKafkaHasWhatWasAcknowledged(t *testing.T) {
	k := kafkatest.Shared(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 3, nil)
	w := connect(t, kafkaconn.Config{
		Brokers: []string{k.SASLTLS()}, SSL: true, CAFile: k.CAFile(),
		Mechanism: kafkaconn.ScramSHA512, Username: kafkatest.Scram512User, Password: kafkatest.Scram512Password,
	}, topic)
	if err := w.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	sampler := producer.NewSampler(1, payment.Auto)
	records := make([]producer.Record, 5000)
	for i := range records {
		records[i] = sampler.Next(time.Now())
	}
	written := map[string]producer.Record{}
	for i, result := range w.Write(t.Context(), records...) {
		if result.Err != nil {
			t.Fatal(result.Err)
		}
		written[fmt.Sprint(result.Partition, result.Offset)] = records[i]
	}
	// Franz-go's default is Java's way too, and an implementation of its own.
	java := kgo.StickyKeyPartitioner(nil).ForTopic(topic)
	for _, r := range k.Read(t, topic, true) {
		want := written[fmt.Sprint(r.Partition, r.Offset)]
		if want.Key != string(r.Key) || string(want.Value) != string(r.Value) {
			t.Fatalf("partition %d, offset %d: %s, want %s", r.Partition, r.Offset, r.Key, want.Key)
		}
		if p := java.Partition(r, 3); int32(p) != r.Partition {
			t.Fatalf("%s is in partition %d, Java's clients place it in %d", r.Key, r.Partition, p)
		}
		delete(written, fmt.Sprint(r.Partition, r.Offset))
	}
	if len(written) > 0 {
		t.Errorf("%d acknowledged records are not there", len(written))
	}
}

func TestKafkaRefuses(t *testing.T) {
	k := kafkatest.Shared(t)
	for name, tt := range map[string]struct {
		cfg   kafkaconn.Config
		topic string
		want  error
		words string
	}{
		"wrong password": {
			kafkaconn.Config{Brokers: []string{k.SASLPlaintext()}, Username: kafkatest.PlainUser, Password: "wrong"},
			topic, kafkaconn.ErrRefused, "KAFKA_SASL_PASSWORD",
		},
		"untrusted certificate": {
			kafkaconn.Config{Brokers: []string{k.TLS()}, SSL: true, CAFile: k.UntrustedCAFile()},
			topic, kafkaconn.ErrRefused, "KAFKA_SSL_CA_FILE",
		},
		"missing topic": {kafkaconn.Config{Brokers: []string{k.Plaintext()}}, "none", kafkaconn.ErrNoTopic, "does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			err := connect(t, tt.cfg, tt.topic).Check(t.Context())
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("got %v, want %v and %q", err, tt.want, tt.words)
			}
		})
	}
}

// What is written while the broker restarts is acknowledged once it is back, and is there.
func TestKafkaRestarts(t *testing.T) {
	k := kafkatest.Start(t)
	k.CreateTopic(t, topic, 3, nil)
	w := connect(t, kafkaconn.Config{Brokers: []string{k.Plaintext()}}, topic)
	w.Write(t.Context(), producer.Record{Key: "before", Value: []byte("{}")})
	written := make(chan producer.Result, 1)
	go func() {
		time.Sleep(500 * time.Millisecond) // it is going down by now
		written <- w.Write(t.Context(), producer.Record{Key: "during", Value: []byte("{}")})[0]
	}()
	k.Restart(t)
	if result := <-written; result.Err != nil {
		t.Fatal(result.Err)
	}
	for _, r := range k.Read(t, topic, true) {
		if string(r.Key) == "during" {
			return
		}
	}
	t.Error("the acknowledged record is not there")
}

func connect(t *testing.T, cfg kafkaconn.Config, topic string) *producer.Writer {
	t.Helper()
	w, err := producer.NewWriter(cfg, topic)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}
