//go:build kafka

package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	paymentpb "paystream/gen/payment"
	"paystream/internal/clienttest"
	"paystream/internal/kafkatest"
)

// TestTroublesSayWhatIsWrong starts gateways that can not read payments: each says why in its own
// words, at /readyz, to every caller, and once in the log, and lives on.
func TestTroublesSayWhatIsWrong(t *testing.T) {
	k := kafkatest.Shared(t)
	leaveNothing(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 1, nil)
	absent := freeAddress(t)
	password := []string{
		"KAFKA_BROKERS=" + k.SASLPlaintext(), "KAFKA_SASL_USERNAME=" + kafkatest.PlainUser, "KAFKA_SASL_PASSWORD=wr0ng-secret",
	}
	for _, tt := range []struct {
		name string
		env  []string
		says []string
	}{
		{"a wrong password, PLAIN", password, []string{"refused the username or password", kafkatest.PlainUser, "(PLAIN)"}},
		{
			"a wrong password, SCRAM",
			append(password[:2:2], "KAFKA_SASL_MECHANISM=SCRAM-SHA-512", "KAFKA_SASL_USERNAME="+kafkatest.Scram512User, "KAFKA_SASL_PASSWORD=wr0ng-secret"),
			[]string{"refused the username or password", kafkatest.Scram512User, "(SCRAM-SHA-512)"},
		},
		{"no username where one is wanted", []string{"KAFKA_BROKERS=" + k.SASLPlaintext()}, []string{"KAFKA_SASL_USERNAME"}},
		{
			"an untrusted certificate",
			[]string{"KAFKA_BROKERS=" + k.TLS(), "KAFKA_SSL=true", "KAFKA_SSL_CA_FILE=" + k.UntrustedCAFile()},
			[]string{"signed by unknown authority", "KAFKA_SSL_CA_FILE"},
		},
		{
			"no certificate where one is wanted",
			[]string{"KAFKA_BROKERS=" + k.MutualTLS(), "KAFKA_SSL=true", "KAFKA_SSL_CA_FILE=" + k.CAFile()},
			[]string{"client certificate", "KAFKA_SSL_CERT_FILE"},
		},
		{"no TLS where it is wanted", []string{"KAFKA_BROKERS=" + k.TLS()}, []string{"KAFKA_SSL"}},
		{
			"a missing topic",
			[]string{"KAFKA_BROKERS=" + k.Plaintext(), "KAFKA_TOPIC=no-such-topic"},
			[]string{`topic "no-such-topic" does not exist`, "--create"},
		},
		{"an absent broker", []string{"KAFKA_BROKERS=" + absent}, []string{"cannot reach Kafka at " + absent, "connection refused"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := startInstance(t, append([]string{"KAFKA_TOPIC=" + topic}, tt.env...)...)
			reason := i.awaitReason(t, tt.says...)
			i.refusesCalls(t, reason)
			if code, _ := fetch(t, "http://"+i.address+"/healthz"); code != http.StatusOK {
				t.Errorf("/healthz: status %d, but the process lives", code)
			}
			time.Sleep(400 * time.Millisecond) // for some more tries
			if n := i.log.count(`"msg":"lost"`); n != 1 {
				t.Errorf("%d lines about it in the log, want 1:\n%s", n, i.log)
			}
			for _, secret := range []string{"wr0ng-secret", kafkatest.PlainPassword} {
				if strings.Contains(i.log.String()+reason, secret) {
					t.Error("a password is shown")
				}
			}
		})
	}
}

// awaitReason waits until /readyz says all of that, and returns its text.
func (i *instance) awaitReason(t *testing.T, says ...string) string {
	t.Helper()
	reason := ""
	soon(t, "/readyz says why", func() error {
		code, text := i.readyz(t)
		if code != http.StatusServiceUnavailable {
			t.Fatalf("/readyz: status %d, %q, want 503", code, text)
		}
		for _, s := range says {
			if !strings.Contains(text, s) {
				return fmt.Errorf("no %q in %q", s, text)
			}
		}
		reason = strings.TrimSpace(text)
		return nil
	})
	return reason
}

// refusesCalls checks that every method tells every caller the reason.
func (i *instance) refusesCalls(t *testing.T, reason string) {
	t.Helper()
	for _, p := range clienttest.Protocols() {
		c := p.Dial(i.address)
		stream, err := c.Open(patiently(t), &paymentpb.StreamPaymentsRequest{})
		if err == nil {
			_, err = stream.Next()
			stream.Close()
		}
		_, getErr := c.Get(t.Context(), "pay-1")
		_, listErr := c.List(t.Context(), &paymentpb.ListPaymentsRequest{})
		for method, err := range map[string]error{"stream": err, "get": getErr, "list": listErr} {
			end, ok := errors.AsType[*clienttest.EndedError](err)
			if !ok || end.Code != connect.CodeUnavailable || !strings.HasSuffix(end.Message, reason) || !end.Retry {
				t.Errorf("%s, %s: %v, want Unavailable, a delay, and %q", p.Name, method, err, reason)
			}
		}
		c.Close()
	}
}

// TestTopicThatComesLater waits for its topic.
func TestTopicThatComesLater(t *testing.T) {
	k := kafkatest.Shared(t)
	leaveNothing(t)
	topic := kafkatest.TopicName(t)
	i := startInstance(t, kafkaEnv(k, topic)...)
	i.awaitReason(t, "does not exist")
	k.CreateTopic(t, topic, 3, nil)
	i.awaitReady(t)
	c := newCrowd(t, i, []int64{10, 10, 10}, patience)
	c.join(t, len(clienttest.Protocols()))
	k.Produce(t, topic, placed(make([]int64, 3), 10)...)
	c.awaitDone(t)
}

// TestBrokerThatComesLater waits for its broker, and later serves what it has without it.
func TestBrokerThatComesLater(t *testing.T) {
	leaveNothing(t)
	k := kafkatest.Start(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 1, nil)
	k.Produce(t, topic, paid(0, "pay-1"))
	k.Stop(t)
	i := startInstance(t, kafkaEnv(k, topic)...)
	i.awaitReason(t, "cannot reach Kafka")
	k.Restart(t)
	i.awaitReady(t)
	k.Kill(t)
	soon(t, "the gateway notices", func() error {
		if i.log.count("connection refused") < 2 {
			return errors.New("it has not")
		}
		return nil
	})
	if code, text := i.readyz(t); code != http.StatusOK {
		t.Errorf("ready once, and now: %d %s", code, text)
	}
	c := clienttest.DialGRPC(i.address)
	defer c.Close()
	if _, err := c.Get(t.Context(), "pay-1"); err != nil {
		t.Errorf("what is retained is not served: %v", err)
	}
}

// TestPartitionAddedWhileRunning streams a new partition from its first record, to those who are
// there and to those who come back with a cursor from before.
func TestPartitionAddedWhileRunning(t *testing.T) {
	k := kafkatest.Shared(t)
	leaveNothing(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 1, nil)
	i := startInstance(t, kafkaEnv(k, topic)...)
	i.awaitReady(t)
	c := newCrowd(t, i, []int64{20, 10}, patience)
	c.join(t, len(clienttest.Protocols()))
	next := make([]int64, 1, 2)
	k.Produce(t, topic, placed(next, 10)...)
	i.awaitRetained(t, 10)
	cursor := i.streamCursor(t)
	k.AddPartitions(t, topic, 1)
	k.Produce(t, topic, placed(append(next, 0), 10)...)
	c.awaitDone(t)

	again, err := follow(patiently(t), clienttest.Protocols()[0], i.address, 2, &paymentpb.StreamPaymentsRequest{Cursor: cursor})
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	again.next = []int64{10, 0}
	if err := again.readTo([]int64{20, 10}); err != nil {
		t.Errorf("from a cursor that knows nothing of the new partition: %v", err)
	}
}

// streamCursor returns the cursor behind all that the gateway has.
func (i *instance) streamCursor(t *testing.T) string {
	t.Helper()
	c := clienttest.DialGRPC(i.address)
	defer c.Close()
	list, err := c.List(t.Context(), &paymentpb.ListPaymentsRequest{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	return list.GetStreamCursor()
}
