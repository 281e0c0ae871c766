//go:build kafka

package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"paystream/internal/kafkatest"
)

// What [TestLoad] asks of a gateway.
const (
	loadSubscribers = 1000 // each on a connection of its own
	loadStalled     = 100  // of them never read
	loadPayments    = 20_000
	loadPerSecond   = 2000
	loadRetain      = 5000 // RETAIN_PAYMENTS
)

// TestLoad has many subscribers on one gateway, some of whom take nothing: all others get every
// payment in order, the gateway's memory does not grow with what has been streamed, and of those who
// have gone nothing is left.
func TestLoad(t *testing.T) {
	needFiles(t, loadSubscribers+200)
	k := kafkatest.Shared(t)
	topic := kafkatest.TopicName(t)
	const partitions = 3
	k.CreateTopic(t, topic, partitions, nil)
	i := startProcess(t, append(kafkaEnv(k, topic), "RETAIN_PAYMENTS="+strconv.Itoa(loadRetain), "WRITE_TIMEOUT=10m")...)
	i.awaitReady(t)
	before, _ := i.goroutines(t)

	each := loadPayments/partitions + 1
	l := newLoad(t, i, []int64{int64(each), int64(each), int64(each)})
	l.stall(t, loadStalled)
	l.join(t, loadSubscribers-loadStalled)
	begin := time.Now()
	pacer := &pacer{load: l, producer: k.Producer(t), topic: topic, next: make([]int64, partitions)}
	pacer.produce(t, each/2)
	half := i.heap(t)
	pacer.produce(t, each-each/2)
	took := time.Since(begin)
	whole := i.heap(t)
	if n := i.writing(t); n != loadStalled {
		t.Errorf("%d subscribers are being written to when all who read have everything, want the %d stalled ones", n, loadStalled)
	}
	if n := int(i.metric(t, "paystream_subscribers")); n != loadSubscribers {
		t.Errorf("%d subscribers at the end, want %d: the stalled ones were closed early", n, loadSubscribers)
	}
	t.Logf("%d payments to %d of %d subscribers in %v (%v of it held back by the slowest); %.1f s of CPU; heap %.1f MiB at half, %.1f MiB at the end (%+.1f %%)",
		partitions*each, loadSubscribers-loadStalled, loadSubscribers, took.Round(time.Millisecond), pacer.held.Round(time.Millisecond),
		i.metric(t, "process_cpu_seconds_total"), half/(1<<20), whole/(1<<20), 100*(whole/half-1))
	if growth := whole/half - 1; growth > 0.1 || growth < -0.1 {
		t.Errorf("the heap has changed by %.1f %%, want 10 %% at the most", 100*growth)
	}

	l.leave()
	soon(t, "no goroutine is left", func() error {
		if now, profile := i.goroutines(t); now > before {
			return fmt.Errorf("%d before and %d after:\n%s", before, now, profile)
		}
		return nil
	})
}

// needFiles checks that the process, and with it the gateway, may have so many files open. Go has
// raised the limit as far as it may.
func needFiles(t *testing.T, n int) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur < uint64(n) {
		t.Fatalf("%d open files are needed and %d allowed: raise ulimit -n", n, limit.Cur)
	}
}

// heap returns the bytes in use right after a collection; what pools held back is gone by the second.
func (i *instance) heap(t *testing.T) float64 {
	t.Helper()
	fetch(t, "http://"+i.admin+"/debug/pprof/heap?gc=1&debug=1")
	_, profile := fetch(t, "http://"+i.admin+"/debug/pprof/heap?gc=1&debug=1")
	return count(t, profile, `# HeapAlloc = (\d+)`)
}

// goroutines returns how many there are but for those that read Kafka, whose idle connections come and
// go, and the profile.
func (i *instance) goroutines(t *testing.T) (n int, profile string) {
	t.Helper()
	_, profile = fetch(t, "http://"+i.admin+"/debug/pprof/goroutine?debug=1")
	for block := range strings.SplitSeq(strings.TrimSpace(profile), "\n\n") {
		if !strings.Contains(block, "/kafka-go.") && !strings.Contains(block, "paystream/consumer.") {
			n += int(count(t, block, `(?m)^(\d+) @`))
		}
	}
	return n, profile
}

// writing returns how many streams do anything but wait for something to send.
func (i *instance) writing(t *testing.T) int {
	t.Helper()
	const stream = "paystream/server.(*stream).follow+" // where a stream waits
	n, all := 0, 0
	_, profile := i.goroutines(t)
	for block := range strings.SplitSeq(strings.TrimSpace(profile), "\n\n") {
		if !strings.Contains(block, stream) {
			continue
		}
		streams := int(count(t, block, `(?m)^(\d+) @`))
		all += streams
		_, frames, _ := strings.Cut(block, "\n#")
		if innermost, _, _ := strings.Cut(frames, "\n"); !strings.Contains(innermost, stream) {
			n += streams
		}
	}
	if all == 0 {
		t.Fatalf("no stream is in %s: has it been renamed?\n%s", stream, profile)
	}
	return n
}

// count returns the number that the expression's group matches.
func count(t *testing.T, text, expression string) float64 {
	t.Helper()
	match := regexp.MustCompile(expression).FindStringSubmatch(text)
	if match == nil {
		t.Fatalf("no %s in:\n%s", expression, text)
	}
	n, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
