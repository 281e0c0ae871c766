package consumer_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paystream/broadcast"
	"paystream/consumer"
)

// retain keeps a log small.
func retain(records int) option {
	return func(c *consumer.Config) { c.RetainRecords = records }
}

func replays(n int) option { return func(c *consumer.Config) { c.Replays = n } }

// backfilled is one reader of what lies before the log.
type backfilled struct {
	g   *gateway
	b   *consumer.Backfill
	sub *broadcast.Subscription
	got []entry
}

func (g *gateway) backfill(from broadcast.Vector) *backfilled {
	return &backfilled{g: g, b: g.Backfill(from)}
}

// granted waits for its turn.
func (r *backfilled) granted() *backfilled {
	r.g.t.Helper()
	select {
	case <-r.b.Ready():
	case <-time.After(patience):
		r.g.t.Fatal("no turn in time")
	}
	return r
}

func (r *backfilled) waits() bool {
	select {
	case <-r.b.Ready():
		return false
	default:
		return true
	}
}

// read reads until n more records have come, and returns how it ended before.
func (r *backfilled) read(from broadcast.Vector, n int) error {
	r.g.t.Helper()
	if r.sub == nil {
		sub, err := r.granted().b.Log().Subscribe(view, view, broadcast.Start{Cursor: from})
		if err != nil {
			return err
		}
		r.sub = sub
	}
	n += len(r.got)
	for deadline := time.After(patience); len(r.got) < n; {
		run, err := r.sub.Next()
		if err != nil {
			return err
		}
		if r.got = append(r.got, entries(run)...); !run.Empty() {
			continue
		}
		select {
		case <-r.sub.Ready():
		case <-deadline:
			r.g.t.Fatalf("%d of %d payments in time", len(r.got), n)
		}
	}
	return nil
}

// ofMany fills a topic of 3 partitions with so many payments, a second apart, and the last one young.
func ofMany(t *testing.T, n int, reader option, opts ...option) (*gateway, *producer, time.Time) {
	t.Helper()
	c := newCluster(t, 3)
	p := newProducer(t, c.ListenAddrs())
	began := time.Now().Add(-time.Duration(n) * time.Second)
	var records []*kgo.Record
	for i := range n {
		r := pay(int32(i%3), fmt.Sprintf("p%05d", i))[0]
		r.Timestamp = began.Add(time.Duration(i) * time.Second)
		records = append(records, r)
	}
	for i := 0; i < n; i += 100 {
		p.send(records[i:min(i+100, n)]...)
	}
	g := start(t, c.ListenAddrs(), append([]option{reader, retain(30)}, opts...)...)
	g.ready()
	return g, p, began
}

func backfillMergesAndGoesOn(t *testing.T, reader option) {
	g, p, _ := ofMany(t, 900, reader)
	from := broadcast.Vector{10, 20, 0}
	r := g.backfill(from)
	defer r.b.Leave()
	if err := r.read(from, 870); err != nil {
		t.Fatal(err)
	}
	p.pay(1, "live")
	if err := r.read(from, 1); err != nil {
		t.Fatal(err)
	}
	for part := range int32(3) {
		var want []string
		for i := int(from[part]); i < 300; i++ {
			want = append(want, fmt.Sprintf("p%05d", 3*i+int(part)))
		}
		if part == 1 {
			want = append(want, "live")
		}
		if diff := cmp.Diff(want, ofPartition(t, r.got, part)); diff != "" {
			t.Fatal(diff)
		}
	}
	if v := r.sub.Vector(); !v.Covers(broadcast.Vector{300, 301, 300}) {
		t.Errorf("ends at %v", v)
	}
}

func backfillTellsGaps(t *testing.T, reader option) {
	c := newCluster(t, 2)
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, many("a", 100)...)
	p.pay(1, many("b", 100)...)
	for part, before := range map[int32]int64{0: 40, 1: 7} {
		if err := c.DeleteRecords(topic, part, before); err != nil {
			t.Fatal(err)
		}
	}
	g := start(t, c.ListenAddrs(), reader, retain(10))
	g.ready()
	from := broadcast.Vector{0, 3}
	r := g.backfill(from)
	defer r.b.Leave()
	var gap *broadcast.GapError
	if err := r.read(from, 1); !errors.As(err, &gap) {
		t.Fatalf("got %v, want a gap", err)
	}
	want := &broadcast.GapError{At: from, Next: broadcast.Vector{40, 7}, Gaps: []broadcast.Gap{{From: 0, To: 40}, {Partition: 1, From: 3, To: 7}}}
	if len(gap.Gaps) == 2 && gap.Gaps[0].Partition == 1 { // told in the order in which they were found
		gap.Gaps[0], gap.Gaps[1] = gap.Gaps[1], gap.Gaps[0]
	}
	if diff := cmp.Diff(want, gap); diff != "" {
		t.Fatal(diff)
	}
	again := g.backfill(gap.Next)
	defer again.b.Leave()
	if err := again.read(gap.Next, 60+93); err != nil {
		t.Fatal(err)
	}
}

func backfillIsShared(t *testing.T, reader option) {
	g, _, _ := ofMany(t, 900, reader, replays(1))
	var all []*backfilled
	for i := range 50 {
		all = append(all, g.backfill(broadcast.Vector{int64(i), int64(50 - i), 0}))
	}
	for i, r := range all {
		defer r.b.Leave()
		from := broadcast.Vector{int64(i), int64(50 - i), 0}
		if err := r.read(from, 900-50); err != nil {
			t.Fatal(err)
		}
	}
	if s := g.Status(); s.ReplaysStarted != 1 {
		t.Errorf("%d replays were started for readers that came together and stand near each other", s.ReplaysStarted)
	}
}

func backfillIsBounded(t *testing.T, reader option) {
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	const far = 60_000 // offsets apart: too far to share
	for i := range 12 {
		p.pay(0, many(fmt.Sprint("p", i, "-"), far/3)...)
	}
	g := start(t, c.ListenAddrs(), reader, retain(30), replays(2))
	g.ready()
	var all []*backfilled
	for i := range 3 { // the last comes first: no replay passes by another's place
		all = append(all, g.backfill(broadcast.Vector{int64(2-i) * far}))
	}
	all[0].granted()
	all[1].granted()
	time.Sleep(100 * time.Millisecond)
	if s := g.Status(); !all[2].waits() || s.Replays != 2 || s.ReplaysWaiting != 1 {
		t.Fatalf("%+v", s)
	}
	all[0].b.Leave()
	from := broadcast.Vector{0}
	if err := all[2].read(from, 10); err != nil {
		t.Fatal(err)
	}
	all[1].b.Leave()
	all[2].b.Leave()
	g.until("end of all replays", func() bool { return g.Status().Replays == 0 })
}

// backfillWaitsForReaders: what is not read is not fetched.
func backfillWaitsForReaders(t *testing.T, reader option) {
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	big := strings.Repeat("x", 20_000)
	for i := range 40 {
		var records []*kgo.Record
		for j := range 50 {
			id := fmt.Sprint("p", i, "-", j)
			records = append(records, record(0, id, strings.Replace(payment(id), `{`, `{"metadata":{"x":"`+big+`"},`, 1)))
		}
		p.send(records...)
	}
	g := start(t, c.ListenAddrs(), reader, retain(30))
	g.ready()
	from := broadcast.Vector{0}
	r := g.backfill(from)
	defer r.b.Leave()
	r.granted()
	time.Sleep(300 * time.Millisecond)
	if n := g.Status().Replayed; n > 300 {
		t.Errorf("%d records of 20 kB were read for a reader that has read none", n)
	}
	if err := r.read(from, 2000); err != nil {
		t.Fatal(err)
	}
}

// backfillOutlivesFailures: a broker that fails delays, and loses nothing.
func backfillOutlivesFailures(t *testing.T, reader option) {
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, many("p", 500)...)
	g := start(t, c.ListenAddrs(), reader, retain(10))
	g.ready()
	var fetches atomic.Int64
	c.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if fetches.Add(1) <= 6 {
			return nil, errors.New("the connection breaks"), true
		}
		return nil, nil, false
	})
	from := broadcast.Vector{0}
	r := g.backfill(from)
	defer r.b.Leave()
	if err := r.read(from, 500); err != nil {
		t.Fatal(err)
	}
	if len(ofPartition(t, r.got, 0)) != 500 {
		t.Error("some are missing")
	}
}

// backfillTakesTurns: who waits is served though another one's replay would go on.
func backfillTakesTurns(t *testing.T, reader option) {
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	const far = 60_000
	for i := range 3 {
		p.pay(0, many(fmt.Sprint("p", i, "-"), far)...)
	}
	g := start(t, c.ListenAddrs(), reader, retain(30), replays(1), func(c *consumer.Config) { c.ReplayTurn = 300 * time.Millisecond })
	g.ready()
	slow := g.backfill(broadcast.Vector{far}).granted() // and reads nothing
	other := g.backfill(broadcast.Vector{0})
	if err := other.read(broadcast.Vector{0}, 1000); err != nil {
		t.Fatal(err)
	}
	if !slow.b.Over() {
		t.Error("the first one goes on")
	}
	slow.b.Leave()
	other.b.Leave()
}

func since(t *testing.T, reader option) {
	g, p, began := ofMany(t, 300, reader)
	tests := []struct {
		name string
		at   time.Time
		want broadcast.Vector
	}{
		{"the epoch", time.Unix(0, 0), broadcast.Vector{0, 0, 0}},
		{"before it", time.Unix(-100, 0), broadcast.Vector{0, 0, 0}},
		{"the time of a record", began.Add(30 * time.Second), broadcast.Vector{10, 10, 10}},
		{"between two", began.Add(31*time.Second + 500*time.Millisecond), broadcast.Vector{11, 11, 10}},
		{"the future", time.Now().Add(time.Hour), broadcast.Vector{100, 100, 100}},
	}
	for _, test := range tests {
		got, _, err := g.Since(t.Context(), test.at)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	p.pay(0, "later")
}
