package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paystream/payment"
)

func TestProduce(t *testing.T) {
	t.Chdir(t.TempDir())
	cluster := startKafka(t)
	env := []string{"KAFKA_BROKERS=" + cluster.ListenAddrs()[0]}
	for name, tt := range map[string]struct {
		args     []string
		lines    int
		summary  string
		badLines int
	}{
		"each as it comes": {[]string{"-count=3", "-interval=10ms"}, 3, "3 acknowledged, 0 failed", 0},
		"in bulk":          {[]string{"-count=2500", "-interval=0"}, 2500, "2500 acknowledged, 0 failed", 0},
		"with bad ones":    {[]string{"-count=20", "-interval=0", "-bad=5"}, 20, "20 acknowledged, 0 failed", 4},
	} {
		t.Run(name, func(t *testing.T) {
			got := runInProcess(t.Context(), env, append([]string{"produce"}, tt.args...)...)
			if got.code != 0 || got.stderr != "" {
				t.Fatalf("exit code %d: %s", got.code, got.stderr)
			}
			lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
			if len(lines) != tt.lines+1 || !strings.HasPrefix(lines[tt.lines], tt.summary) {
				t.Fatalf("got %d lines, the last %q", len(lines), lines[len(lines)-1])
			}
			good := regexp.MustCompile(`^pay_\w+ \| \S+ [A-Z]{3} \| (STRIPE|RAZORPAY|PAYPAL) \| (PENDING|COMPLETED|FAILED|REFUNDED) \| partition \d, offset \d+$`)
			bad := regexp.MustCompile(`^pay_\w+ \| bad record: .+, on purpose \| partition \d, offset \d+$`)
			badLines := 0
			for _, line := range lines[:tt.lines] {
				switch {
				case bad.MatchString(line):
					badLines++
				case !good.MatchString(line):
					t.Errorf("%q", line)
				}
			}
			if badLines != tt.badLines {
				t.Errorf("%d bad records, want %d", badLines, tt.badLines)
			}
		})
	}
}

// What produce says of a payment is what stands on Kafka, at that place.
func TestProduceSaysWhatIsOnKafka(t *testing.T) {
	t.Chdir(t.TempDir())
	cluster := startKafka(t)
	got := runInProcess(t.Context(), nil, "produce", "-count=50", "-interval=0", "-seed=1", "--kafka-brokers="+cluster.ListenAddrs()[0], "--amount-units=minor")
	if got.code != 0 {
		t.Fatal(got.stderr)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("payments.raw"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for read := 0; read < 50; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			read++
			p, err := payment.Decoder{Units: payment.Minor}.Decode(r.Value, r.Timestamp.UnixMilli())
			if err != nil {
				t.Fatal(err)
			}
			want := paymentLine(p, false) + " | partition " + strconv.Itoa(int(r.Partition)) + ", offset " + strconv.FormatInt(r.Offset, 10) + "\n"
			if !strings.Contains(got.stdout, want) || string(r.Key) != p.GetId() {
				t.Errorf("key %s: no line %q", r.Key, want)
			}
		})
	}
}

func TestProduceFailures(t *testing.T) { //nolint:tparallel // one that changes the directory can't be
	t.Chdir(t.TempDir())
	cluster := startKafka(t)
	refuse(cluster, kerr.InvalidRecord)
	for name, tt := range map[string]struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		"refused":       {[]string{"--kafka-brokers=" + cluster.ListenAddrs()[0], "-count=4"}, 1, "0 acknowledged, 4 failed", "4 of 4 records were not acknowledged"},
		"missing topic": {[]string{"--kafka-brokers=" + cluster.ListenAddrs()[0], "--kafka-topic=none"}, 1, "", `topic "none" does not exist`},
		"no Kafka":      {[]string{"--kafka-brokers=127.0.0.1:1"}, 3, "", "cannot reach Kafka at 127.0.0.1:1"},
		"missing CA":    {[]string{"--kafka-ssl", "--kafka-ssl-ca-file=none.pem"}, 2, "", "KAFKA_SSL_CA_FILE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := runInProcess(t.Context(), nil, append([]string{"produce", "-interval=0"}, tt.args...)...)
			if got.code != tt.code || !strings.Contains(got.stdout, tt.stdout) || !strings.Contains(got.stderr, tt.stderr) {
				t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
			}
		})
	}
}

func TestProduceIsFast(t *testing.T) {
	t.Chdir(t.TempDir())
	cluster := startKafka(t)
	start := time.Now()
	got := runInProcess(t.Context(), nil, "produce", "-count=40000", "-interval=0", "--kafka-brokers="+cluster.ListenAddrs()[0])
	if took := time.Since(start); got.code != 0 || took > 35*time.Second { // a batch a second would be 40
		t.Errorf("exit code %d after %v", got.code, took)
	}
}

func TestSignalsEndProduce(t *testing.T) {
	t.Parallel()
	cluster := startKafka(t)
	for name, signal := range map[string]os.Signal{"SIGINT": os.Interrupt, "SIGTERM": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), binary, "produce", "-count=0", "-interval=10ms")
			cmd.Dir, cmd.Env = t.TempDir(), []string{"KAFKA_BROKERS=" + cluster.ListenAddrs()[0]}
			out := start(t, cmd)
			if _, err := out.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Process.Signal(signal)
			rest, _ := io.ReadAll(out)
			if err := cmd.Wait(); err != nil {
				t.Errorf("ended with %v", err)
			}
			if !regexp.MustCompile(`(?m)^\d+ acknowledged, 0 failed, in .*\n\z`).Match(rest) {
				t.Errorf("no count at the end of\n%s", rest)
			}
		})
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	cluster := startKafka(t)
	asked := make(chan struct{}, 100)
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		asked <- struct{}{}
		<-t.Context().Done()
		return nil, nil, false
	})
	cmd := exec.CommandContext(t.Context(), binary, "produce", "-count=0", "-interval=0")
	cmd.Dir, cmd.Env = t.TempDir(), []string{"KAFKA_BROKERS=" + cluster.ListenAddrs()[0]}
	out := start(t, cmd)
	<-asked // and no answer: it waits
	_ = cmd.Process.Signal(syscall.SIGTERM)
	time.Sleep(200 * time.Millisecond) // the two must not become one
	second := time.Now()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_, _ = io.ReadAll(out)
	err := cmd.Wait()
	if took := time.Since(second); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v", err)
	}
}

func startKafka(t *testing.T) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "payments.raw"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

// refuse makes the broker refuse all that is produced.
func refuse(cluster *kfake.Cluster, code *kerr.Error) {
	cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		produce := req.(*kmsg.ProduceRequest)
		res := req.ResponseKind().(*kmsg.ProduceResponse)
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic = produce.Topics[0].Topic
		partition := kmsg.NewProduceResponseTopicPartition()
		partition.Partition = produce.Topics[0].Partitions[0].Partition
		partition.ErrorCode = code.Code
		topic.Partitions = append(topic.Partitions, partition)
		res.Topics = append(res.Topics, topic)
		return res, nil, true
	})
}

// start starts a command and returns its output, both kinds. It does not outlive the test.
func start(t *testing.T, cmd *exec.Cmd) *bufio.Reader {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return bufio.NewReader(out)
}
