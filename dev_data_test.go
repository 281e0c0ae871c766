package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"

	"paystream/gen/payment"
)

// gateway is its URL.
func (d *devRun) gateway(t *testing.T) string {
	t.Helper()
	match := regexp.MustCompile(`gateway +(http://\S+)`).FindStringSubmatch(d.text)
	if match == nil {
		t.Fatalf("no address in\n%s", d.text)
	}
	return match[1]
}

// events hands the events of a stream on until enough says so.
func (d *devRun) events(t *testing.T, query string, enough func(*paymentpb.PaymentEvent) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.gateway(t)+"/payments/stream?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		event := &paymentpb.PaymentEvent{}
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(lines.Bytes(), event); err != nil {
			t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		if event.GetPayment() == nil {
			t.Fatalf("the stream of %s ended with %s", query, lines.Bytes())
		}
		if enough(event) {
			return
		}
	}
	t.Fatalf("the stream of %s ended: %v", query, lines.Err())
}

// spot is where a payment's record stands.
type spot struct {
	partition int32
	offset    int64
}

func recordAt(e *paymentpb.PaymentEvent) spot { return spot{e.GetPartition(), e.GetOffset()} }

func TestDevKeepsItsData(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "when needed")
	existing := func(d *devRun) (ids []string, middle string) {
		d.events(t, "", func(e *paymentpb.PaymentEvent) bool {
			if ids = append(ids, e.GetPayment().GetId()); len(ids) == devExisting/2 {
				middle = e.GetCursor()
			}
			return len(ids) == devExisting
		})
		return ids, middle
	}
	first := startDev(t, nil, "--interval=0", "--data-dir="+dir)
	before, middle := existing(first)
	if !strings.Contains(first.text, "600 sample payments of the last half hour") || !strings.Contains(first.text, "data     "+dir) {
		t.Errorf("welcomes with\n%s", first.text)
	}
	first.end(t)

	second := startDev(t, nil, "--interval=0", "--data-dir="+dir)
	if !regexp.MustCompile(`\d{3} records of before are there`).MatchString(second.text) {
		t.Errorf("welcomes with\n%s", second.text)
	}
	after, _ := existing(second)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("other payments than before:\n%s", diff)
	}
	missing := map[string]bool{}
	for _, id := range before[devExisting/2:] {
		missing[id] = true
	}
	second.events(t, "cursor="+middle, func(e *paymentpb.PaymentEvent) bool {
		delete(missing, e.GetPayment().GetId())
		return len(missing) == 0
	})
	second.end(t)

	// Another topic is another one: it begins with samples, and is kept beside the first.
	third := startDev(t, []string{"KAFKA_TOPIC=payments.other"}, "--interval=0", "--data-dir="+dir)
	if other, _ := existing(third); cmp.Equal(before, other) || !strings.Contains(third.text, "topic payments.other, 3 partitions") {
		t.Errorf("another topic has the same payments, welcomed with\n%s", third.text)
	}
	third.end(t)
	fourth := startDev(t, nil, "--interval=0", "--data-dir="+dir)
	if after, _ := existing(fourth); !cmp.Equal(before, after) {
		t.Error("the first topic is not as it was")
	}
	fourth.end(t)
}

// What subscribers have been sent is there again after kill -9, at the same place, and the cursors
// that they have are good.
func TestDevOutlivesAKill(t *testing.T) {
	dir := t.TempDir()
	first := startDev(t, nil, "--interval=1ms", "--data-dir="+dir)
	var cursor string
	sent := map[spot]string{}
	first.events(t, "start=new_only", func(e *paymentpb.PaymentEvent) bool {
		if cursor == "" {
			cursor = e.GetCursor()
		} else {
			sent[recordAt(e)] = e.GetPayment().GetId()
		}
		return len(sent) == 500
	})
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.cmd.Wait() // it was killed

	second := startDev(t, nil, "--interval=50ms", "--data-dir="+dir)
	last := map[int32]int64{}
	second.events(t, "cursor="+cursor, func(e *paymentpb.PaymentEvent) bool {
		at := recordAt(e)
		if before, ok := last[at.partition]; ok && at.offset <= before {
			t.Errorf("partition %d: offset %d after %d", at.partition, at.offset, before)
		}
		last[at.partition] = at.offset
		if id, ok := sent[at]; ok && id != e.GetPayment().GetId() {
			t.Errorf("at %v stands %s, and %s was sent", at, e.GetPayment().GetId(), id)
		}
		delete(sent, at)
		return len(sent) == 0
	})
	second.events(t, "start=new_only", func(*paymentpb.PaymentEvent) bool { return true }) // and it goes on
	second.end(t)
}

func TestDevRefusesADirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	first := startDev(t, nil, "--interval=0", "--data-dir="+dir)
	cmd := exec.CommandContext(t.Context(), binary, "dev", "--data-dir="+dir)
	cmd.Dir, cmd.Env = t.TempDir(), []string{}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailed || !strings.Contains(string(out), "is in use by another paystream dev") {
		t.Errorf("ended with %v: %s", err, out)
	}
	first.end(t)
}

func TestDataDirsThatAreRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	touch(t, "file")
	for _, dir := range []string{"holds others", "closed"} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	touch(t, filepath.Join("holds others", "letter.txt"))
	if err := os.Chmod("closed", 0o500); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		dir, want  string
		privileged bool // does not stop root
	}{
		"a file":                 {"file", "this is a file", false},
		"below a file":           {filepath.Join("file", "below"), "not a directory", false},
		"somebody's home":        {"holds others", "files that are not a broker's", false},
		"not writable":           {"closed", "can't be written to: permission denied", true},
		"not writable, and made": {filepath.Join("closed", "new"), "permission denied", true},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.privileged && (os.Geteuid() == 0 || runtime.GOOS == "windows") {
				t.Skip("root may write anywhere")
			}
			got := runInProcess(t.Context(), nil, "dev", "--data-dir="+tt.dir)
			if got.code != exitUsage || !strings.Contains(got.stderr, tt.want) || !strings.Contains(got.stderr, "--data-dir="+tt.dir) {
				t.Errorf("exit code %d: %s", got.code, got.stderr)
			}
		})
	}
	if entries, _ := os.ReadDir("holds others"); len(entries) != 1 {
		t.Errorf("something was written there: %v", entries)
	}
}

// A directory whose files are damaged is named, with what to do; and nothing is left locked.
func TestDataDirThatIsDamaged(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, dataMark), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := startBroker(t.Context(), "payments.raw", dir, slog.New(slog.DiscardHandler))
		if err == nil || exitCode(err) != exitFailed || !strings.Contains(err.Error(), dir+" (removing it begins anew)") {
			t.Fatalf("got %v", err)
		}
	}
}

// What a kill leaves of a first start: the mark, and no topic.
func TestDataDirWithoutATopic(t *testing.T) {
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	if err := os.WriteFile(filepath.Join(dir, dataMark), []byte(`{"version":1,"cluster_id":"`+devCluster+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var id [16]byte
	for i := range 2 {
		b, err := startBroker(t.Context(), "payments.raw", dir, log)
		if err != nil {
			t.Fatal(err)
		}
		if b.partitions() != devPartitions || b.records() != 0 {
			t.Errorf("%d partitions, %d records", b.partitions(), b.records())
		}
		if now := b.TopicInfo("payments.raw").TopicID; i > 0 && !bytes.Equal(id[:], now[:]) {
			t.Error("the topic has another id than before")
		} else {
			id = now
		}
		b.Close()
	}
}
