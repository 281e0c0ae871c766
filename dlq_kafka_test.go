//go:build kafka

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"paystream/internal/kafkatest"
)

// command runs the binary to its end.
func command(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = t.TempDir(), env, &out, &errOut
	_ = cmd.Run() // the code says all
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// inZorkmids is a payment that is bad as long as amounts are minor units, since that currency is not in ISO 4217.
func inZorkmids(partition int32, id string) *kgo.Record {
	return &kgo.Record{
		Partition: partition, Key: []byte(id), Value: fmt.Appendf(nil, `{"id":%q,"amount":5,"currency":"zmd"}`, id),
		Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte("t-" + id)}},
	}
}

// TestReplay sends bad records back after a fix: once each, and nothing the second time, also where a run was killed.
func TestReplay(t *testing.T) {
	k := kafkatest.Shared(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 2, nil)
	env := append(kafkaEnv(k, topic), "KAFKA_GROUP_ID="+topic)
	const n = 4000
	var records []*kgo.Record
	for i := range n {
		records = append(records, inZorkmids(int32(i%2), fmt.Sprint("z-", i)))
	}
	k.Produce(t, topic, records...)
	k.Produce(t, topic, &kgo.Record{Partition: 1, Value: []byte(`{"id":"hopeless"}`)})
	minor := startProcess(t, slices.Concat(env, []string{"AMOUNT_UNITS=minor"})...)
	minor.awaitReady(t)
	soon(t, "all bad records are kept", func() error {
		if kept := minor.metric(t, "paystream_dead_letters_total"); kept != n+1 {
			return fmt.Errorf("%v of %d", kept, n+1)
		}
		return nil
	})
	minor.stop()
	minor.awaitEnd(t)

	if code, out, _ := command(t, env, "dlq", "list"); code != 0 || strings.Count(out, "\n") != n+1 || strings.Contains(out, "hopeless") {
		t.Errorf("list: code %d, %d lines", code, strings.Count(out, "\n"))
	}
	if code, out, _ := command(t, env, "dlq", "list", "--json", "--limit=1", "--partition=1"); code != 0 || !strings.Contains(out, fmt.Sprintf(`"offset":%d,`, n/2)) {
		t.Errorf("list: code %d, %s", code, out)
	}
	hopeless := fmt.Sprint("1:", n/2)
	if code, out, _ := command(t, env, "dlq", "show", hopeless); code != 0 || !strings.Contains(out, `value    {"id":"hopeless"}`) {
		t.Errorf("show: code %d, %s", code, out)
	}
	if code, _, errOut := command(t, env, "dlq", "replay"); code != exitUsage || !strings.Contains(errOut, "--yes") {
		t.Errorf("replay without a terminal: code %d, %s", code, errOut)
	}

	major := slices.Concat(env, []string{"AMOUNT_UNITS=major"})
	end := k.LogEnd(t, topic, 0)
	if code, out, errOut := command(t, major, "dlq", "replay", "--dry-run"); code != 0 || strings.Count(out, "\n") != n || k.LogEnd(t, topic, 0) != end {
		t.Errorf("dry run: code %d, %d lines, %s", code, strings.Count(out, "\n"), errOut)
	}
	killed := exec.Command(binary, "dlq", "replay", "--yes")
	killed.Dir, killed.Env = t.TempDir(), major
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	soon(t, "some have been sent", func() error {
		if k.LogEnd(t, topic, 0) < end+n/8 {
			return fmt.Errorf("none yet")
		}
		return nil
	})
	_ = killed.Process.Kill()
	_ = killed.Wait()
	if sent := k.LogEnd(t, topic, 0) - end + k.LogEnd(t, topic, 1) - end - 1; sent >= n {
		t.Errorf("all %d had been sent before the kill: this shows little", sent)
	}
	if code, _, errOut := command(t, major, "dlq", "replay", "--yes"); code != exitFailed || !strings.Contains(errOut, "1 records are still bad") {
		t.Errorf("replay: code %d, %s", code, errOut)
	}
	if code, _, errOut := command(t, major, "dlq", "replay", "--yes"); code != exitFailed || !strings.Contains(errOut, "0 sent") {
		t.Errorf("replay again: code %d, %s", code, errOut)
	}

	repaired := filepath.Join(t.TempDir(), "repaired.json")
	if err := os.WriteFile(repaired, []byte(`{"id":"hopeful","amount":5,"currency":"usd"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, says := range []string{"1 sent", "0 sent"} {
		if code, _, errOut := command(t, major, "dlq", "replay", "--yes", "--value-file="+repaired, hopeless); code != 0 || !strings.Contains(errOut, says) {
			t.Errorf("replay of a repaired one: code %d, %s, want %q", code, errOut, says)
		}
	}
	if code, _, errOut := command(t, major, "dlq", "replay", "--yes"); code != 0 || !strings.Contains(errOut, "0 sent") {
		t.Errorf("replay of nothing: code %d, %s", code, errOut)
	}

	after := startProcess(t, slices.Concat(major, []string{"KAFKA_GROUP_ID=" + topic + "-2"})...)
	after.awaitReady(t)
	times := map[string]int{}
	s := after.open(t, after.beginning(t))
	for range 2*n + 1 { // as they were, which is good now, and as they were sent back
		event, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		times[event.GetPayment().GetId()]++
	}
	for id, count := range times {
		if want := 2; count != want && (id != "hopeful" || count != 1) {
			t.Errorf("%s came %d times, want %d", id, count, want)
		}
	}
	for _, r := range k.Read(t, topic, true) {
		if string(r.Key) == "z-7" && len(r.Headers) > 0 && (r.Headers[0].Key != "trace" || string(r.Headers[0].Value) != "t-z-7") {
			t.Errorf("sent back with other headers: %v", r.Headers)
		}
	}
}
