package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const deadTopic = "payments.raw.dlq"

// deadLetters is a broker with dead letters, as a gateway has written them.
type deadLetters struct {
	*kfake.Cluster
	client *kgo.Client
	env    []string
}

// writeDeadLetters writes records and has a gateway find so many bad ones among them.
func writeDeadLetters(t *testing.T, env []string, n int64, records ...*kgo.Record) *deadLetters {
	t.Helper()
	d := &deadLetters{Cluster: startKafka(t)}
	d.env = []string{"KAFKA_BROKERS=" + d.ListenAddrs()[0]}
	var err error
	d.client, err = kgo.NewClient(kgo.SeedBrokers(d.ListenAddrs()...), kgo.DefaultProduceTopic("payments.raw"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.client.Close)
	d.send(t, records...)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- run(ctx, []string{"serve"}, append([]string{"GRPC_PORT=0", "ADMIN_ADDR="}, append(d.env, env...)...), io.Discard, io.Discard)
	}()
	within(t, fmt.Sprintf("%d dead letters", n), func() bool { return d.end(deadTopic) == n })
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *deadLetters) send(t *testing.T, records ...*kgo.Record) {
	t.Helper()
	if err := d.client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// end is how many records a topic ever had.
func (d *deadLetters) end(topic string) (n int64) {
	for _, p := range d.PartitionInfos(topic) {
		n += p.HighWatermark
	}
	return n
}

func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s in time", what)
		}
	}
}

// last reads the last n records of partition 0 of the topic.
func (d *deadLetters) last(t *testing.T, n int64) []*kgo.Record {
	t.Helper()
	from := d.PartitionInfos("payments.raw")[0].HighWatermark - n
	cl, err := kgo.NewClient(kgo.SeedBrokers(d.ListenAddrs()...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		"payments.raw": {0: kgo.NewOffset().At(from)},
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var list []*kgo.Record
	for int64(len(list)) < n {
		list = append(list, cl.PollFetches(t.Context()).Records()...)
	}
	return list
}

func (d *deadLetters) dlq(t *testing.T, args ...string) outcome {
	t.Helper()
	return runInProcess(t.Context(), d.env, append([]string{"dlq"}, args...)...)
}

// says checks what a command has printed, and its exit code.
func (o outcome) says(t *testing.T, code int, parts ...string) {
	t.Helper()
	if o.code != code {
		t.Errorf("exit code %d, want %d: %s", o.code, code, o.stderr)
	}
	for _, part := range parts {
		if !strings.Contains(o.stdout+o.stderr, part) {
			t.Errorf("no %q in\n%s%s", part, o.stdout, o.stderr)
		}
	}
}

func longPayment(id string) []byte {
	return fmt.Appendf(nil, `{"id":%q,"amount":500,"currency":"usd","metadata":{"text":"%s"}}`, id, strings.Repeat("long ", 100))
}

func TestDeadLettersAreShownAndSentBack(t *testing.T) {
	t.Chdir(t.TempDir())
	own := []kgo.RecordHeader{{Key: "trace", Value: []byte{0, 1}}, {Key: "empty", Value: []byte{}}}
	d := writeDeadLetters(t, []string{"KAFKA_MAX_RECORD_BYTES=300"}, 3,
		&kgo.Record{Key: []byte("good"), Value: []byte(`{"id":"good","amount":1,"currency":"usd"}`)},
		&kgo.Record{Key: []byte("k1"), Value: longPayment("one"), Headers: own},
		&kgo.Record{Key: []byte("k2"), Value: []byte("no\x1b[2Jjson")},
		&kgo.Record{Value: longPayment("two")},
	)
	list := d.dlq(t, "list")
	list.says(t, 0, "0:1 | ", "0:2 | ", "0:3 | ", "bytes")
	if n := strings.Count(list.stdout, "\n"); n != 3 {
		t.Errorf("%d lines, want 3", n)
	}
	if strings.Contains(list.stdout, "json") || strings.Contains(list.stdout, "long") {
		t.Error("a list shows what is in the records")
	}
	for _, other := range []string{"--partition=1", "--reason=what no record has"} {
		d.dlq(t, "list", other).says(t, 0, "no bad records", "there are others")
	}
	if got := d.dlq(t, "list", "-limit", "1", "--json").stdout; strings.Count(got, "\n") != 1 || !json.Valid([]byte(got)) || !strings.Contains(got, `"origin":"0:3"`) {
		t.Errorf("the newest in JSON: %s", got)
	}

	d.dlq(t, "show", "0:2").says(t, 0, "topic      payments.raw", `no\x1b[2Jjson`, "k2")
	d.dlq(t, "show", "0:1").says(t, 0, `header     trace = \x00\x01`, "now        a good payment")
	if got := d.dlq(t, "show", "0:1", "--value").stdout; got != string(longPayment("one")) {
		t.Errorf("the value alone: %q", got)
	}
	d.dlq(t, "show", "0:0").says(t, 1, "no dead letter of 0:0")
	d.dlq(t, "show", "zero").says(t, 2, "PARTITION:OFFSET")

	before := d.end("payments.raw")
	d.dlq(t, "replay").says(t, 2, "--yes")
	d.dlq(t, "replay", "--dry-run").says(t, 0, "2 to send to topic payments.raw, 1 still bad")
	if d.end("payments.raw") != before {
		t.Fatal("something was sent without being asked for")
	}
	d.dlq(t, "replay", "--yes").says(t, 0, "2 sent, in ")
	if n := d.end("payments.raw") - before; n != 2 {
		t.Fatalf("%d records were sent, want 2", n)
	}
	got := d.last(t, 2)
	if string(got[0].Key) != "k1" || string(got[0].Value) != string(longPayment("one")) || got[1].Key != nil || string(got[1].Value) != string(longPayment("two")) {
		t.Error("what was sent is not what was bad")
	}
	if diff := cmp.Diff(own, got[0].Headers[:2]); diff != "" || got[0].Headers[2].Key != "paystream-replayed-from" || len(got[0].Headers) != 3 {
		t.Errorf("headers: %v\n%s", got[0].Headers, diff)
	}

	d.dlq(t, "replay", "--yes").says(t, 0, "0 to send to topic payments.raw, 2 sent before, 1 still bad")
	d.dlq(t, "replay", "--yes", "0:2").says(t, 1, "still bad", "can't be sent")
	d.dlq(t, "replay", "--yes", "0:7").says(t, 1, "no dead letter of 0:7")
	d.dlq(t, "replay", "--yes", "--value-file=x").says(t, 2, "name the one record")
	if d.end("payments.raw") != before+2 {
		t.Error("something was sent twice")
	}

	repaired := filepath.Join(t.TempDir(), "r.json")
	if err := os.WriteFile(repaired, []byte(`{"id":"repaired","amount":7,"currency":"eur"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1 sent, in", "0 to send to topic payments.raw, 1 sent before"} {
		d.dlq(t, "replay", "--yes", "0:2", "--value-file", repaired).says(t, 0, want)
	}
	if got := d.last(t, 1)[0]; string(got.Value) != `{"id":"repaired","amount":7,"currency":"eur"}` || string(got.Key) != "k2" || d.end("payments.raw") != before+3 {
		t.Errorf("the repaired record: %s", got.Value)
	}
}

// TestAReplayThatBrokeOffIsRunAgain breaks replays off where it is the hardest: when a part is in the
// topic and its acknowledgement is lost for good.
func TestAReplayThatBrokeOffIsRunAgain(t *testing.T) {
	t.Chdir(t.TempDir())
	const n = 1200
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{Key: []byte("k"), Value: longPayment(strconv.Itoa(i)), Partition: int32(i % 2)})
	}
	d := writeDeadLetters(t, []string{"KAFKA_MAX_RECORD_BYTES=300"}, n, records...)
	const forwarded = 4321
	var taken atomic.Int32
	d.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		d.KeepControl()
		produce := req.(*kmsg.ProduceRequest)
		if produce.TimeoutMillis == forwarded {
			return nil, nil, false
		}
		switch n := taken.Add(1); {
		case n == 1:
			return nil, nil, false // all is well
		case n == 2: // it is there, and nobody hears of it
			again := *produce
			again.TimeoutMillis = forwarded
			d.SleepControl(func() {
				if _, err := d.client.Broker(0).Request(context.Background(), &again); err != nil {
					t.Error(err)
				}
			})
			return nil, errors.New("hang up"), true
		case n < 50:
			return nil, errors.New("hang up"), true
		}
		return nil, nil, false
	})
	first := d.dlq(t, "replay", "--yes")
	first.says(t, 3, "not sent (run it again for the rest)")
	sent := d.end("payments.raw") - n
	if sent == 0 || sent == n {
		t.Fatalf("%d were sent: this shows nothing", sent)
	}
	if strings.HasPrefix(first.stdout, strconv.FormatInt(sent, 10)) {
		t.Error("all acknowledgements came")
	}
	taken.Store(50)
	d.dlq(t, "replay", "--yes").says(t, 0, fmt.Sprintf("%d sent before", sent), fmt.Sprintf("%d sent, in", n-sent))
	if got := d.end("payments.raw"); got != 2*n {
		t.Errorf("%d records, want %d", got, 2*n)
	}
	d.dlq(t, "replay", "--yes").says(t, 0, "0 to send to topic payments.raw, 1,200 sent before")
}

// TestReplayAsksOnATerminal runs the binary on one, with somebody who says no and somebody who says yes.
func TestReplayAsksOnATerminal(t *testing.T) {
	t.Chdir(t.TempDir())
	d := writeDeadLetters(t, []string{"KAFKA_MAX_RECORD_BYTES=300"}, 1, &kgo.Record{Key: []byte("k"), Value: longPayment("one")})
	for _, tt := range []struct {
		answer string
		code   int
		sent   int64
	}{{"\n", 1, 0}, {"no\n", 1, 0}, {"y\n", 0, 1}} {
		before := d.end("payments.raw")
		term, cmd := startOnTerminal(t, 100, d.env, "dlq", "replay")
		term.await(t, "[y/N]")
		if _, err := term.master.WriteString(tt.answer); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if code, sent := cmd.ProcessState.ExitCode(), d.end("payments.raw")-before; code != tt.code || sent != tt.sent {
			t.Errorf("%q: exit code %d and %d sent, want %d and %d", tt.answer, code, sent, tt.code, tt.sent)
		}
	}
}

func TestNoDeadLettersAndNoKafka(t *testing.T) {
	t.Chdir(t.TempDir())
	d := &deadLetters{Cluster: startKafka(t)}
	d.env = []string{"KAFKA_BROKERS=" + d.ListenAddrs()[0]}
	d.dlq(t, "list").says(t, 0, "no bad records")
	d.dlq(t, "replay", "--yes").says(t, 0, "0 to send")
	d.dlq(t, "list", "--kafka-topic=no-such-topic").says(t, 1, "no-such-topic")
	d.dlq(t, "replay", "--kafka-topic=no-such-topic", "--yes").says(t, 1, "no-such-topic")
	d.dlq(t, "lsit").says(t, 2, "lsit")
	d.env = []string{"KAFKA_BROKERS=" + freeAddress(t)}
	d.dlq(t, "list").says(t, 3, "cannot reach Kafka")
}
