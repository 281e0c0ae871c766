package consumer_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paystream/consumer"
)

func mergedByTime(t *testing.T, reader option) {
	c := newCluster(t, 3)
	p := newProducer(t, c.ListenAddrs())
	began := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	var records []*kgo.Record
	var want []string
	for i := range 900 {
		// A run of ten in one partition, ties among all three.
		part, at := int32(i/10%3), began.Add(time.Duration(i/40)*time.Second)
		r := pay(part, fmt.Sprintf("%02d-%d-%03d", i/40, part, i))[0]
		r.Timestamp = at
		records = append(records, r)
		want = append(want, string(r.Key))
	}
	p.send(records...)
	slices.Sort(want) // by time, then partition, then offset
	g := start(t, c.ListenAddrs(), reader)
	g.ready()
	if diff := cmp.Diff(want, ids(g.expect(900))); diff != "" {
		t.Fatal(diff)
	}
}

func boundedByRecords(t *testing.T, reader option) {
	c := newCluster(t, 2)
	p := newProducer(t, c.ListenAddrs())
	now := time.Now()
	var records []*kgo.Record
	for i := range 4000 { // partition 0 has 3 of 4, one batch each 100 records
		part := int32(0)
		if i%4 == 0 {
			part = 1
		}
		r := pay(part, fmt.Sprintf("p%04d", i))[0]
		r.Timestamp = now.Add(time.Duration(i-4000) * time.Second)
		records = append(records, r)
	}
	for chunk := range slices.Chunk(records, 100) {
		p.send(chunk...)
	}
	g := start(t, c.ListenAddrs(), reader, func(c *consumer.Config) { c.RetainRecords = 1000 })
	g.ready()
	g.collect()
	if n := len(g.got); n < 1000 || n > 1300 {
		t.Fatalf("%d payments instead of about 1000", n)
	}
	want := ids(g.got)
	if first, last := want[0], want[len(want)-1]; first < "p2700" || last != "p3999" || !slices.IsSorted(want) {
		t.Fatalf("not the newest, merged: %s to %s", first, last)
	}
	if v := g.log.Oldest(); v.At(0) == 0 || v.At(1) == 0 {
		t.Fatalf("the log begins at %v", v)
	}
}

func boundedByAge(t *testing.T, reader option) {
	c := newCluster(t, 2)
	p := newProducer(t, c.ListenAddrs())
	for i, age := range []time.Duration{48 * time.Hour, 30 * time.Hour, 2 * time.Hour, time.Minute} {
		for part := range int32(2) {
			r := pay(part, fmt.Sprintf("%d-%d", i, part))[0]
			r.Timestamp = time.Now().Add(-age)
			p.send(r)
		}
	}
	g := start(t, c.ListenAddrs(), reader, func(c *consumer.Config) { c.RetainAge = 24 * time.Hour })
	g.ready()
	if diff := cmp.Diff([]string{"2-0", "2-1", "3-0", "3-1"}, ids(g.expect(4))); diff != "" {
		t.Fatal(diff)
	}
}

// oneTime: times that do not tell records apart do not make the window larger
// than twice what is to be retained.
func oneTime(t *testing.T, reader option) {
	c := newCluster(t, 8)
	p := newProducer(t, c.ListenAddrs())
	now := time.Now()
	for part := range int32(8) {
		records := pay(part, many(fmt.Sprintf("p%d-", part), 200)...)
		for _, r := range records {
			r.Timestamp = now
		}
		for chunk := range slices.Chunk(records, 20) {
			p.send(chunk...)
		}
	}
	g := start(t, c.ListenAddrs(), reader, func(c *consumer.Config) { c.RetainRecords = 200 })
	g.ready()
	g.collect()
	if n := len(g.got); n < 200 || n > 400 {
		t.Errorf("%d payments", n)
	}
}

// duringRefill produces between the question where the partition ends and its
// first fetch.
func duringRefill(t *testing.T, reader option) {
	c := newCluster(t, 2)
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, "a", "b")
	p.pay(1, "c", "d")
	var once atomic.Bool
	gate := make(chan struct{})
	c.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		if once.CompareAndSwap(false, true) {
			c.SleepControl(func() { <-gate })
		}
		return nil, nil, false
	})
	g := start(t, c.ListenAddrs(), reader)
	g.until("fetch", once.Load)
	p.pay(0, "e")
	p.pay(1, "f")
	close(gate)
	g.ready()
	got := g.expect(6)
	if diff := cmp.Diff([]string{"a", "b", "e"}, ofPartition(t, got, 0)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"c", "d", "f"}, ofPartition(t, got, 1)); diff != "" {
		t.Error(diff)
	}
	p.pay(1, "g")
	g.expect(7)
}

// failingPartition: the reason says which partition readiness waits for.
func failingPartition(t *testing.T, reader option) {
	c := newCluster(t, 2)
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, "a", "b")
	p.pay(1, "c", "d")
	var broken atomic.Bool
	broken.Store(true)
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !broken.Load() || !slices.Contains(partitionsOf(req), 1) {
			return nil, nil, false
		}
		return failOne(req.(*kmsg.FetchRequest), 1, kerr.KafkaStorageError.Code), nil, true
	})
	g := start(t, c.ListenAddrs(), reader)
	g.until("reason", func() bool {
		r := g.Status().Reason
		return strings.Contains(r, "partition 1") && strings.Contains(r, "KAFKA_STORAGE_ERROR")
	})
	if s := g.Status(); s.Ready || s.Lag == 0 {
		t.Errorf("status: %+v", s)
	}
	broken.Store(false)
	g.ready()
	g.expect(4)
	if s := g.Status(); s.Lag != 0 {
		t.Errorf("status: %+v", s)
	}
}

func newWhileRefilling(t *testing.T, reader option) {
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, "a")
	var held atomic.Bool
	held.Store(true)
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !held.Load() || !slices.Contains(partitionsOf(req), 0) {
			return nil, nil, false
		}
		return failOne(req.(*kmsg.FetchRequest), 0, kerr.KafkaStorageError.Code), nil, true
	})
	g := start(t, c.ListenAddrs(), reader)
	g.until("trouble", func() bool { return g.Status().Trouble != "" })
	addPartitions(t, p.cl, 2)
	newProducer(t, c.ListenAddrs()).pay(1, "b", "c")
	if diff := cmp.Diff([]entry{{1, 0, "b"}, {1, 1, "c"}}, g.expect(2), cmp.AllowUnexported(entry{})); diff != "" {
		t.Error(diff)
	}
	if g.Status().Ready {
		t.Error("ready too soon")
	}
	held.Store(false)
	g.ready()
	g.expect(3)
}
