//go:build kafka

package consumer_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paystream/consumer"
	"paystream/internal/kafkaconn"
	"paystream/internal/kafkatest"
)

// connections are all the ways in.
func connections(k *kafkatest.Kafka) map[string]kafkaconn.Config {
	sasl := func(broker, mechanism, user, password string) kafkaconn.Config {
		return kafkaconn.Config{Brokers: []string{broker}, Mechanism: mechanism, Username: user, Password: password}
	}
	encrypted := func(c kafkaconn.Config) kafkaconn.Config {
		c.SSL, c.CAFile = true, k.CAFile()
		return c
	}
	mutual := encrypted(kafkaconn.Config{Brokers: []string{k.MutualTLS()}})
	mutual.CertFile, mutual.KeyFile = k.ClientCertFile(), k.ClientKeyFile()
	return map[string]kafkaconn.Config{
		"plaintext":               {Brokers: []string{k.Plaintext()}},
		"SASL PLAIN":              sasl(k.SASLPlaintext(), "", kafkatest.PlainUser, kafkatest.PlainPassword),
		"SASL SCRAM-SHA-256":      sasl(k.SASLPlaintext(), kafkaconn.ScramSHA256, kafkatest.Scram256User, kafkatest.Scram256Password),
		"SASL SCRAM-SHA-512":      sasl(k.SASLPlaintext(), kafkaconn.ScramSHA512, kafkatest.Scram512User, kafkatest.Scram512Password),
		"TLS":                     encrypted(kafkaconn.Config{Brokers: []string{k.TLS()}}),
		"TLS, SASL PLAIN":         encrypted(sasl(k.SASLTLS(), kafkaconn.Plain, kafkatest.PlainUser, kafkatest.PlainPassword)),
		"TLS, SASL SCRAM":         encrypted(sasl(k.SASLTLS(), kafkaconn.ScramSHA512, kafkatest.Scram512User, kafkatest.Scram512Password)),
		"TLS on both sides":       mutual,
		"the first of two absent": {Brokers: []string{"127.0.0.1:1", k.Plaintext()}},
	}
}

func TestKafkaConnections(t *testing.T) {
	t.Parallel()
	k := kafkatest.Shared(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 1, nil)
	k.Produce(t, topic, pay(0, "a", "b")...)
	for reader, opt := range readers {
		for name, cfg := range connections(k) {
			t.Run(reader+"/"+name, func(t *testing.T) {
				t.Parallel()
				g := start(t, nil, opt, ofTopic(topic), func(c *consumer.Config) { c.Kafka = cfg })
				g.ready()
				g.expect(2)
			})
		}
	}
}

func TestKafkaFailuresAreToldApart(t *testing.T) {
	t.Parallel()
	k := kafkatest.Shared(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 1, nil)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	absent := nobody.Addr().String()
	nobody.Close()
	all := connections(k)
	with := func(name string, change func(*kafkaconn.Config)) kafkaconn.Config {
		cfg := all[name]
		change(&cfg)
		return cfg
	}

	for name, tc := range map[string]struct {
		cfg   kafkaconn.Config
		topic string
		kind  error
		say   []string
	}{
		"absent broker": {
			kafkaconn.Config{Brokers: []string{absent}},
			topic, kafkaconn.ErrUnreachable,
			[]string{"cannot reach Kafka at " + absent, "connection refused", "is it running?", "KAFKA_BROKERS"},
		},
		"wrong password": {
			with("SASL PLAIN", func(c *kafkaconn.Config) { c.Password = "wrong-secret" }), topic, kafkaconn.ErrRefused,
			[]string{"refused the username or password", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD", "KAFKA_SASL_MECHANISM"},
		},
		"wrong password, SCRAM": {
			with("SASL SCRAM-SHA-512", func(c *kafkaconn.Config) { c.Password = "wrong-secret" }), topic, kafkaconn.ErrRefused,
			[]string{"refused the username or password", "SCRAM-SHA-512"},
		},
		"wrong password, TLS": {
			with("TLS, SASL PLAIN", func(c *kafkaconn.Config) { c.Password = "wrong-secret" }), topic, kafkaconn.ErrRefused,
			[]string{"refused the username or password"},
		},
		"unknown user, SCRAM": {
			with("SASL SCRAM-SHA-256", func(c *kafkaconn.Config) { c.Username = "nobody" }), topic, kafkaconn.ErrRefused,
			[]string{"refused the username or password", `"nobody"`},
		},
		"a user of another mechanism": {
			with("SASL SCRAM-SHA-256", func(c *kafkaconn.Config) { c.Mechanism = kafkaconn.ScramSHA512 }), topic,
			kafkaconn.ErrRefused,
			[]string{"KAFKA_SASL_MECHANISM"},
		},
		"SASL where there is none": {
			with("SASL PLAIN", func(c *kafkaconn.Config) { c.Brokers = []string{k.Plaintext()} }), topic,
			kafkaconn.ErrRefused,
			[]string{"KAFKA_SASL_USERNAME"},
		},
		"no SASL where it is wanted": {
			with("plaintext", func(c *kafkaconn.Config) { c.Brokers = []string{k.SASLPlaintext()} }), topic,
			kafkaconn.ErrUnreachable,
			[]string{"closed the connection", "KAFKA_SASL_USERNAME"},
		},
		"untrusted certificate": {
			with("TLS", func(c *kafkaconn.Config) { c.CAFile = k.UntrustedCAFile() }), topic, kafkaconn.ErrRefused,
			[]string{"certificate signed by unknown authority", "KAFKA_SSL_CA_FILE"},
		},
		"no certificate of our own": {
			with("TLS", func(c *kafkaconn.Config) { c.Brokers = []string{k.MutualTLS()} }), topic, kafkaconn.ErrRefused,
			[]string{"KAFKA_SSL_CERT_FILE"},
		},
		"TLS where there is none": {
			with("TLS", func(c *kafkaconn.Config) { c.Brokers = []string{k.Plaintext()} }), topic, kafkaconn.ErrRefused,
			[]string{"unset KAFKA_SSL"},
		},
		"no TLS where it is wanted": {
			with("plaintext", func(c *kafkaconn.Config) { c.Brokers = []string{k.TLS()} }), topic, kafkaconn.ErrRefused,
			[]string{"set KAFKA_SSL=true"},
		},
		"missing topic": {
			all["plaintext"], topic + "-missing", kafkaconn.ErrNoTopic,
			[]string{"does not exist", topic + "-missing", "--create", k.Plaintext()},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, nil, ofTopic(tc.topic), func(c *consumer.Config) { c.Kafka = tc.cfg })
			g.until("reason", func() bool { return g.Status().Trouble != "" })
			s := g.Status()
			t.Log(s.Reason)
			if s.Ready || s.Reason == "" {
				t.Errorf("status: %+v", s)
			}
			for _, part := range tc.say {
				if !strings.Contains(s.Reason, part) {
					t.Errorf("%q does not say %q", s.Reason, part)
				}
			}
			if strings.Contains(s.Reason+g.logs.String(), "secret") {
				t.Error("it tells a password")
			}
			if g.logs.count("level=WARN", "lost") != 1 {
				t.Error("it was not logged once")
			}
			if _, err := kafkaCause(t, tc.cfg, tc.topic); !errors.Is(err, tc.kind) {
				t.Errorf("%v is not %v", err, tc.kind)
			}
		})
	}
}

// TestKafkaDeath: the broker is killed, frozen and restarted while payments are
// read; nothing is lost and nothing comes twice.
func TestKafkaDeath(t *testing.T) {
	k := kafkatest.Start(t)
	for reader, opt := range readers {
		topic := kafkatest.TopicName(t)
		k.CreateTopic(t, topic, 2, nil)
		k.Produce(t, topic, append(pay(0, "a"), pay(1, "b")...)...)
		g := start(t, []string{k.Plaintext()}, opt, ofTopic(topic))
		g.ready()
		g.expect(2)
		k.Kill(t)
		g.until("trouble", func() bool { return g.Status().Trouble != "" })
		t.Log(reader, g.Status().Trouble)
		if s := g.Status(); !s.Ready || s.Reason != "" {
			t.Errorf("status: %+v", s)
		}
		time.Sleep(2 * time.Second)
		k.Restart(t)
		k.Produce(t, topic, append(pay(0, "c"), pay(1, "d")...)...)
		g.expect(4)
		g.until("end of trouble", func() bool { return g.Status().Trouble == "" })

		k.Pause(t)
		time.Sleep(15 * time.Second) // longer than any request waits
		k.Resume(t)
		k.Produce(t, topic, append(pay(0, "e"), pay(1, "f")...)...)
		got := g.expect(6)
		if diff := cmp.Diff([]string{"a", "c", "e"}, ofPartition(t, got, 0)); diff != "" {
			t.Error(diff)
		}
		g.until("end of trouble", func() bool { return g.Status().Trouble == "" })
		lost, back := g.logs.count("msg=lost"), g.logs.count("msg=recovered")
		t.Logf("%s: %d lines of loss, %d of recovery:\n%s", reader, lost, back, g.logs)
		g.stop()
	}
}

// kafkaCause asks for the topic's metadata and explains why it fails.
func kafkaCause(t *testing.T, cfg kafkaconn.Config, topic string) (*kmsg.MetadataResponse, error) {
	t.Helper()
	tr, err := cfg.Transport(topic)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 10
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = &topic
	req.Topics = append(req.Topics, rt)
	ctx, cancel := context.WithTimeout(t.Context(), kafkaconn.Patience)
	defer cancel()
	res, _, err := tr.Request(ctx, kafkaconn.AnyBroker, req, nil)
	if err != nil {
		return nil, cfg.Explain(err)
	}
	m := res.(*kmsg.MetadataResponse)
	if err := kerr.ErrorForCode(m.Topics[0].ErrorCode); err != nil {
		return m, cfg.Explain(&kafkaconn.TopicError{Topic: topic, Err: err})
	}
	return m, nil
}
