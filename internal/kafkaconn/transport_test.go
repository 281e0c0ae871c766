package kafkaconn_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"paystream/internal/kafkaconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster starts a broker that knows the topic "payments".
func cluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(2, "payments")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func open(t *testing.T, cfg kafkaconn.Config) *kafkaconn.Transport {
	t.Helper()
	tr, err := cfg.Transport("payments")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return tr
}

func metadata(t *testing.T, tr *kafkaconn.Transport, broker int32) (*kmsg.MetadataResponse, error) {
	t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 10
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = new("payments")
	req.Topics = append(req.Topics, topic)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	res, _, err := tr.Request(ctx, broker, req, nil)
	if err != nil {
		return nil, err
	}
	return res.(*kmsg.MetadataResponse), nil
}

func TestRequestReachesAnyAndOneBroker(t *testing.T) {
	c := cluster(t, kfake.NumBrokers(3))
	tr := open(t, kafkaconn.Config{Brokers: c.ListenAddrs()})
	res, err := metadata(t, tr, kafkaconn.AnyBroker)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 2 || res.Topics[0].TopicID == [16]byte{} {
		t.Fatalf("metadata: %+v", res.Topics)
	}
	asked := make(chan int32, 1)
	c.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if req.GetVersion() != 10 { // the transport's own
			return nil, nil, false
		}
		asked <- c.CurrentNode()
		c.DropControl()
		return nil, nil, false
	})
	for _, b := range res.Brokers {
		c.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
			if req.GetVersion() == 10 {
				select {
				case asked <- c.CurrentNode():
				default:
				}
			}
			return nil, nil, false
		})
		if _, err := metadata(t, tr, b.NodeID); err != nil {
			t.Fatal(err)
		}
		if got := <-asked; got != b.NodeID {
			t.Fatalf("broker %d was asked instead of %d", got, b.NodeID)
		}
	}
}

func TestUnknownBrokerIsAnError(t *testing.T) {
	tr := open(t, kafkaconn.Config{Brokers: cluster(t).ListenAddrs()})
	if _, err := metadata(t, tr, 4711); !errors.Is(err, kafka.BrokerNotAvailable) {
		t.Fatalf("error is %v", err)
	}
}

func TestCloseEndsRequestsInFlight(t *testing.T) {
	silent := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	tr := open(t, kafkaconn.Config{Brokers: []string{silent}})
	done := make(chan error)
	go func() {
		_, err := metadata(t, tr, kafkaconn.AnyBroker)
		done <- err
	}()
	time.Sleep(100 * time.Millisecond)
	start := time.Now()
	tr.Close()
	if err := <-done; err == nil {
		t.Fatal("a request to a closed transport succeeded")
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Fatalf("closing took %v", d)
	}
}

// listen serves each connection with serve and returns the address.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func TestExplainTellsFailuresApart(t *testing.T) {
	withSASL := cluster(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "alice", "right-secret"))
	encrypted, caFile := clusterTLS(t)
	hungUp := listen(t, func(net.Conn) {})
	web := listen(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1024))
		_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
	})
	alerting := listen(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1024))
		_, _ = c.Write([]byte{0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x50})
	})
	gone := listenNowhere(t)
	sasl := kafkaconn.Config{Brokers: withSASL.ListenAddrs(), Username: "alice", Password: "right-secret"}

	for name, tc := range map[string]struct {
		cfg  kafkaconn.Config
		kind error
		say  []string // parts of the message
	}{
		"absent broker": {
			kafkaconn.Config{Brokers: []string{gone}},
			kafkaconn.ErrUnreachable,
			[]string{"cannot reach Kafka at " + gone, "connection refused", "is it running?", "KAFKA_BROKERS"},
		},
		"unknown host": {
			kafkaconn.Config{Brokers: []string{"kafka.invalid:9092"}},
			kafkaconn.ErrUnreachable,
			[]string{"kafka.invalid:9092", "KAFKA_BROKERS"},
		},
		"wrong password": { // a real broker says so; this one hangs up
			with(sasl, func(c *kafkaconn.Config) { c.Password = "wrong-secret" }),
			kafkaconn.ErrUnreachable,
			[]string{"refused the username or password", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"},
		},
		"no username": {
			kafkaconn.Config{Brokers: withSASL.ListenAddrs()},
			kafkaconn.ErrUnreachable,
			[]string{"closed the connection", "KAFKA_SASL_USERNAME"},
		},
		"no TLS to a listener with": { // a real broker sends an alert first
			kafkaconn.Config{Brokers: encrypted.ListenAddrs()},
			kafkaconn.ErrUnreachable,
			[]string{"closed the connection", "KAFKA_SSL"},
		},
		"an alert of TLS": {
			kafkaconn.Config{Brokers: []string{alerting}},
			kafkaconn.ErrRefused,
			[]string{"set KAFKA_SSL=true"},
		},
		"ended when TLS began": {
			kafkaconn.Config{Brokers: []string{hungUp}, SSL: true},
			kafkaconn.ErrRefused,
			[]string{"unset KAFKA_SSL"},
		},
		"TLS to a web server": {
			kafkaconn.Config{Brokers: []string{web}, SSL: true},
			kafkaconn.ErrRefused,
			[]string{"does not speak TLS", "unset KAFKA_SSL"},
		},
		"untrusted certificate": {
			kafkaconn.Config{Brokers: encrypted.ListenAddrs(), SSL: true},
			kafkaconn.ErrRefused,
			[]string{"certificate signed by unknown authority", "KAFKA_SSL_CA_FILE"},
		},
		"trusted certificate": {
			cfg: kafkaconn.Config{Brokers: encrypted.ListenAddrs(), SSL: true, CAFile: caFile},
		},
		"right password": {cfg: sasl},
		"hangs up": {
			kafkaconn.Config{Brokers: []string{hungUp}},
			kafkaconn.ErrUnreachable,
			[]string{"closed the connection"},
		},
		"a web server": {
			kafkaconn.Config{Brokers: []string{web}},
			kafkaconn.ErrUnreachable,
			[]string{"what answers at " + web + " is not Kafka", "KAFKA_BROKERS"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr := open(t, tc.cfg)
			_, err := metadata(t, tr, kafkaconn.AnyBroker)
			if tc.kind == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			got := tc.cfg.Explain(err)
			if !errors.Is(got, tc.kind) || !errors.Is(got, err) {
				t.Fatalf("%v\n(of %v)\nis not %v", got, err, tc.kind)
			}
			for _, part := range tc.say {
				if !strings.Contains(got.Error(), part) {
					t.Errorf("%q does not say %q (of %v)", got, part, err)
				}
			}
			if strings.Contains(got.Error(), "-secret") {
				t.Errorf("%q tells the password", got)
			}
		})
	}
}

func TestExplainTopics(t *testing.T) {
	cfg := kafkaconn.Config{Brokers: []string{"kafka:9092"}, Username: "alice", Password: "x"}
	for name, tc := range map[string]struct {
		err  error
		kind error
		say  []string
	}{
		"missing": {
			kerr.UnknownTopicOrPartition, kafkaconn.ErrNoTopic,
			[]string{`topic "payments.raw" does not exist`, "kafka:9092", "--create --topic payments.raw", "KAFKA_TOPIC"},
		},
		"not allowed":  {kerr.TopicAuthorizationFailed, kafkaconn.ErrRefused, []string{"payments.raw", `user "alice"`, "READ"}},
		"no such name": {kerr.InvalidTopicException, kafkaconn.ErrNoTopic, []string{"payments.raw", "KAFKA_TOPIC"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := cfg.Explain(&kafkaconn.TopicError{Topic: "payments.raw", Err: tc.err})
			if !errors.Is(got, tc.kind) {
				t.Fatalf("%v is not %v", got, tc.kind)
			}
			for _, part := range tc.say {
				if !strings.Contains(got.Error(), part) {
					t.Errorf("%q does not say %q", got, part)
				}
			}
		})
	}
}

func with(cfg kafkaconn.Config, change func(*kafkaconn.Config)) kafkaconn.Config {
	change(&cfg)
	return cfg
}

// listenNowhere returns an address where nothing listens.
func listenNowhere(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
