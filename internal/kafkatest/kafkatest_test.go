//go:build kafka

package kafkatest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"go.uber.org/goleak"

	"paystream/internal/kafkatest"
)

func TestMain(m *testing.M) {
	if os.Getenv(orphanEnv) != "" {
		os.Exit(m.Run()) // TestOrphan's child, which is not to leave in peace
	}
	goleak.VerifyTestMain(kafkatest.Suite{M: m})
}

func TestListeners(t *testing.T) {
	k := kafkatest.Shared(t)
	var (
		plainUser  = kgo.SASL(plain.Auth{User: kafkatest.PlainUser, Pass: kafkatest.PlainPassword}.AsMechanism())
		scram256   = kgo.SASL(scram.Auth{User: kafkatest.Scram256User, Pass: kafkatest.Scram256Password}.AsSha256Mechanism())
		scram512   = kgo.SASL(scram.Auth{User: kafkatest.Scram512User, Pass: kafkatest.Scram512Password}.AsSha512Mechanism())
		wrongPlain = kgo.SASL(plain.Auth{User: kafkatest.PlainUser, Pass: "wrong"}.AsMechanism())
		wrong256   = kgo.SASL(scram.Auth{User: kafkatest.Scram256User, Pass: "wrong"}.AsSha256Mechanism())
		wrong512   = kgo.SASL(scram.Auth{User: kafkatest.Scram512User, Pass: "wrong"}.AsSha512Mechanism())
		swapped    = kgo.SASL(scram.Auth{User: kafkatest.Scram256User, Pass: kafkatest.Scram256Password}.AsSha512Mechanism())
	)
	trusted := dialTLS(t, k.CAFile(), nil)
	untrusted := dialTLS(t, k.UntrustedCAFile(), nil)
	cert, err := tls.LoadX509KeyPair(k.ClientCertFile(), k.ClientKeyFile())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		address string
		opts    []kgo.Opt
		refused bool
	}{
		{"plaintext", k.Plaintext(), nil, false},
		{"PLAIN", k.SASLPlaintext(), []kgo.Opt{plainUser}, false},
		{"SCRAM-SHA-256", k.SASLPlaintext(), []kgo.Opt{scram256}, false},
		{"SCRAM-SHA-512", k.SASLPlaintext(), []kgo.Opt{scram512}, false},
		{"TLS", k.TLS(), []kgo.Opt{trusted}, false},
		{"PLAIN over TLS", k.SASLTLS(), []kgo.Opt{trusted, plainUser}, false},
		{"SCRAM-SHA-256 over TLS", k.SASLTLS(), []kgo.Opt{trusted, scram256}, false},
		{"SCRAM-SHA-512 over TLS", k.SASLTLS(), []kgo.Opt{trusted, scram512}, false},
		{"mutual TLS", k.MutualTLS(), []kgo.Opt{dialTLS(t, k.CAFile(), &cert)}, false},

		{"no credentials", k.SASLPlaintext(), nil, true},
		{"wrong PLAIN password", k.SASLPlaintext(), []kgo.Opt{wrongPlain}, true},
		{"wrong SCRAM-SHA-256 password", k.SASLPlaintext(), []kgo.Opt{wrong256}, true},
		{"wrong SCRAM-SHA-512 password", k.SASLTLS(), []kgo.Opt{trusted, wrong512}, true},
		{"user of another mechanism", k.SASLPlaintext(), []kgo.Opt{swapped}, true},
		{"untrusted CA", k.TLS(), []kgo.Opt{untrusted}, true},
		{"untrusted CA with SASL", k.SASLTLS(), []kgo.Opt{untrusted, plainUser}, true},
		{"no client certificate", k.MutualTLS(), []kgo.Opt{trusted}, true},
		{"plaintext to TLS", k.TLS(), nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cl, err := kgo.NewClient(append(tt.opts, kgo.SeedBrokers(tt.address), kgo.RequestRetries(0))...)
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			err = cl.Ping(ctx)
			switch {
			case ctx.Err() != nil:
				t.Errorf("no answer: %v", err)
			case tt.refused && err == nil:
				t.Error("accepted, want refused")
			case !tt.refused && err != nil:
				t.Errorf("refused: %v", err)
			}
		})
	}
}

func TestTransactions(t *testing.T) {
	k := kafkatest.Shared(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 2, nil)
	kept, dropped := k.Transactional(t, topic+"-a"), k.Transactional(t, topic+"-b")

	k.Produce(t, topic, record(0, "k0", "before"), record(1, "k1", "before"))
	kept.Begin(t)
	dropped.Begin(t)
	kept.Produce(t, topic, record(0, "k0", "kept"))
	dropped.Produce(t, topic, record(0, "k0", "dropped"), record(1, "k1", "dropped"))
	k.Produce(t, topic, record(0, "k0", "between"))
	kept.Produce(t, topic, record(0, "k0", "kept too"))

	want(t, "both open, committed", k.Read(t, topic, true), "0/0 k0=before", "1/0 k1=before")
	if got, end := k.LastStable(t, topic, 0), k.LogEnd(t, topic, 0); got != 1 || end != 5 {
		t.Errorf("partition 0: last stable %d, end %d, want 1 and 5", got, end)
	}

	kept.Commit(t) // held back in partition 0 by the transaction that is still open
	want(t, "one open, committed", k.Read(t, topic, true), "0/0 k0=before", "0/1 k0=kept", "1/0 k1=before")

	dropped.Abort(t)
	want(t, "both ended, committed", k.Read(t, topic, true),
		"0/0 k0=before", "0/1 k0=kept", "0/3 k0=between", "0/4 k0=kept too", "1/0 k1=before")
	want(t, "both ended, uncommitted", k.Read(t, topic, false),
		"0/0 k0=before", "0/1 k0=kept", "0/2 k0=dropped", "0/3 k0=between", "0/4 k0=kept too",
		"1/0 k1=before", "1/1 k1=dropped")
	if got, end := k.LastStable(t, topic, 0), k.LogEnd(t, topic, 0); got != 7 || end != 7 {
		t.Errorf("partition 0: last stable %d, end %d, want 7 and 7, after two markers", got, end)
	}
}

func TestTransactionTimesOut(t *testing.T) {
	k := kafkatest.Shared(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 1, nil)
	p := k.Transactional(t, topic, kgo.TransactionTimeout(time.Second))
	p.Begin(t)
	p.Produce(t, topic, record(0, "k", "abandoned"))
	p.Close()
	for deadline := time.Now().Add(20 * time.Second); k.LastStable(t, topic, 0) != 2; {
		if time.Now().After(deadline) {
			t.Fatalf("last stable offset %d, want 2", k.LastStable(t, topic, 0))
		}
		time.Sleep(50 * time.Millisecond)
	}
	want(t, "committed", k.Read(t, topic, true))
}

func TestCompact(t *testing.T) {
	k := kafkatest.Shared(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 2, kafkatest.CompactedTopic())
	k.Produce(t, topic, record(0, "a", "1"), record(0, "b", "1"), record(0, "a", "2"), record(0, "c", "1"))
	p := k.Transactional(t, topic)
	p.Begin(t)
	p.Produce(t, topic, record(0, "b", "aborted"), record(0, "d", "aborted"))
	p.Abort(t)
	k.Produce(t, topic, record(0, "b", "2"), &kgo.Record{Key: []byte("c")})

	k.Compact(t, topic)
	for _, committed := range []bool{true, false} {
		want(t, fmt.Sprintf("committed %v", committed), k.Read(t, topic, committed),
			"0/2 a=2", "0/7 b=2", "0/8 c=")
	}
	if start, end := k.LogStart(t, topic, 0), k.LogEnd(t, topic, 0); start != 0 || end != 10 {
		t.Errorf("log from %d to %d, want 0 to 10, the last being a marker", start, end)
	}
	if end := k.LogEnd(t, topic, 1); end != 0 {
		t.Errorf("empty partition ends at %d, want 0", end)
	}

	k.Compact(t, topic)
	want(t, "second time", k.Read(t, topic, true), "0/2 a=2", "0/7 b=2")
}

func TestTopics(t *testing.T) {
	k := kafkatest.Shared(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 1, map[string]string{"message.timestamp.type": "LogAppendTime"})
	k.AddPartitions(t, topic, 2)
	early := record(2, "k", "two")
	early.Timestamp = time.Unix(1, 0)
	k.Produce(t, topic, record(0, "k", "zero"), record(0, "k", "one"), early)
	records := k.Read(t, topic, true)
	want(t, "three partitions", records, "0/0 k=zero", "0/1 k=one", "2/0 k=two")
	if got := records[2].Timestamp; time.Since(got) > time.Hour {
		t.Errorf("time %v, want the broker's own", got)
	}

	k.DeleteRecords(t, topic, 0, 1)
	want(t, "start deleted", k.Read(t, topic, true), "0/1 k=one", "2/0 k=two")
	if got := k.LogStart(t, topic, 0); got != 1 {
		t.Errorf("log starts at %d, want 1", got)
	}

	k.DeleteTopic(t, topic)
	k.CreateTopic(t, topic, 1, nil)
	want(t, "made anew", k.Read(t, topic, true))
}

func TestProduceMakesOneBatch(t *testing.T) {
	k := kafkatest.Shared(t)
	codecs := []kgo.CompressionCodec{
		kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
	}
	for codec, compression := range codecs {
		topic := kafkatest.TopicName(t)
		k.CreateTopic(t, topic, 1, nil)
		var records []*kgo.Record
		for i := range 1000 {
			records = append(records, record(0, "k", fmt.Sprintf("value %d", i)))
		}
		batches := make(batchSizes, len(records))
		p := k.Producer(t, kgo.ProducerBatchCompression(compression), kgo.WithHooks(batches))
		p.Produce(t, topic, records...)
		if n := <-batches; n != len(records) {
			t.Errorf("codec %d: first batch has %d records, want %d", codec, n, len(records))
		}
		got := k.Read(t, topic, true)
		if len(got) != len(records) {
			t.Fatalf("codec %d: %d records, want %d", codec, len(got), len(records))
		}
		for i, r := range got {
			if int(r.Attrs.CompressionType()) != codec {
				t.Fatalf("codec %d: record is compressed by %d", codec, r.Attrs.CompressionType())
			}
			if r.Offset != int64(i) || records[i].Offset != r.Offset || !cmp.Equal(r.Value, records[i].Value) {
				t.Fatalf("codec %d: record %d is %d %s, produced as %d", codec, i, r.Offset, r.Value, records[i].Offset)
			}
		}
	}
}

// batchSizes are the numbers of records in the batches that were written.
type batchSizes chan int

func (sizes batchSizes) OnProduceBatchWritten(_ kgo.BrokerMetadata, _ string, _ int32, m kgo.ProduceBatchMetrics) {
	sizes <- m.NumRecords
}

func record(partition int32, key, value string) *kgo.Record {
	return &kgo.Record{Partition: partition, Key: []byte(key), Value: []byte(value)}
}

// want compares records with their forms "partition/offset key=value".
func want(t *testing.T, when string, records []*kgo.Record, want ...string) {
	t.Helper()
	var got []string
	for _, r := range records {
		got = append(got, fmt.Sprintf("%d/%d %s=%s", r.Partition, r.Offset, r.Key, r.Value))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func dialTLS(t *testing.T, caFile string, cert *tls.Certificate) kgo.Opt {
	t.Helper()
	ca, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(ca) {
		t.Fatalf("no certificate in %s", caFile)
	}
	if cert != nil {
		config.Certificates = []tls.Certificate{*cert}
	}
	return kgo.DialTLSConfig(config)
}
