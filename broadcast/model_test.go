package broadcast_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paystream/broadcast"
)

// frame is what the tests render, so that what was delivered can be read back.
type frame struct {
	Key       string
	Partition int32
	Offset    int64
	Existing  bool
	Cursor    broadcast.Vector
}

func render(existing bool) broadcast.Render {
	return func(dst []byte, e broadcast.Entry, cursor broadcast.Vector) []byte {
		b, err := json.Marshal(frame{e.Key, e.Partition, e.Offset, existing, cursor})
		if err != nil {
			panic(err)
		}
		return append(dst, b...)
	}
}

func parse(t testing.TB, b []byte) frame {
	t.Helper()
	var f frame
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatalf("frame %q: %v", b, err)
	}
	return f
}

// modelRecord is a record as the model remembers it.
type modelRecord struct {
	broadcast.Record
	partition int32
	gapFrom   int64 // a gap has no key, is forgotten by all but readers, and ends with Offset
	isGap     bool
}

func (r modelRecord) entry() broadcast.Entry {
	return broadcast.Entry{
		Key: r.Key, Value: r.Value, Partition: r.partition, Offset: r.Offset, Time: r.Time, Label: r.Label,
	}
}

// model is the log as a list that forgets nothing.
type model struct {
	records []modelRecord // in the order of the appends
	next    broadcast.Vector
	low     int // records before it may have left
}

// world runs the log and the model side by side.
type world struct {
	t        *testing.T
	r        *rand.Rand
	log      *broadcast.Log
	existing *broadcast.View
	live     *broadcast.View
	limits   broadcast.Limits
	keys     int // of different ones
	model    model
	time     int64
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{t: t, r: rand.New(rand.NewPCG(seed, 1)), time: 1_700_000_000_000}
	w.keys = []int{5, 200, 1000}[w.r.IntN(3)]
	w.limits.Records = []int{0, 10, 300, 1000}[w.r.IntN(4)]
	if w.r.IntN(3) == 0 {
		w.limits.Bytes = 200 << 10
	}
	w.log = broadcast.New(w.limits)
	w.existing, w.live = broadcast.NewView(render(true)), broadcast.NewView(render(false))
	for p := range 1 + w.r.IntN(4) {
		w.open(int32(p), int64(w.r.IntN(2)*100))
	}
	return w
}

func (w *world) open(p int32, first int64) {
	w.log.Open(p, first)
	w.model.next = append(w.model.next, first)
}

// append adds a random batch, or some at once, or a gap.
func (w *world) append() {
	switch n := w.r.IntN(40); {
	case n < 2:
		w.gap()
	case n < 30:
		w.log.Append(w.batch())
	default:
		var batches []broadcast.Batch
		for range w.r.IntN(5) {
			batches = append(batches, w.batch())
		}
		w.log.AppendAll(batches)
	}
	w.evicted()
}

func (w *world) gap() {
	p := int32(w.r.IntN(len(w.model.next)))
	from, to := w.model.next[p], w.model.next[p]+int64(1+w.r.IntN(30))
	w.log.Gap(p, to)
	gap := modelRecord{Record: broadcast.Record{Offset: to - 1, Tombstone: true}, partition: p, gapFrom: from, isGap: true}
	w.model.records = append(w.model.records, gap)
	w.model.next[p] = to
}

// batch makes a random batch, and enters it in the model: new keys and old, tombstones, holes, nothing
// at all.
func (w *world) batch() broadcast.Batch {
	p := int32(w.r.IntN(len(w.model.next)))
	next := w.model.next[p]
	batch := broadcast.Batch{Partition: p}
	for range w.r.IntN(20) {
		next += int64(w.r.IntN(3)) // holes: bad records, markers
		w.time += int64(w.r.IntN(3))
		key := fmt.Sprint("k", w.r.IntN(w.keys))
		rec := broadcast.Record{
			Key:       key,
			Value:     w.value(key),
			Offset:    next,
			Time:      w.time + w.r.Int64N(40), // partitions do not arrive in the order of their times
			Label:     broadcast.Label(w.r.IntN(4)),
			Tombstone: w.r.IntN(10) == 0,
		}
		batch.Records = append(batch.Records, rec)
		w.model.records = append(w.model.records, modelRecord{Record: rec, partition: p})
		next++
	}
	next += int64(w.r.IntN(3))
	if w.r.IntN(50) == 0 {
		next += 1 << (10 + w.r.IntN(30)) // more than an entry has room for
	}
	batch.Next = next
	w.model.next[p] = next
	return batch
}

// value returns a value that has the key in it, near its beginning or not, or does not have it.
func (w *world) value(key string) string {
	filler := strings.Repeat("v", w.r.IntN(200))
	switch w.r.IntN(20) {
	case 0:
		return strings.Repeat(filler, 100)
	case 1, 2, 3, 4:
		return filler
	default:
		return filler[:min(len(filler), w.r.IntN(3))] + key + filler
	}
}

// evicted moves the model's low mark to where the log's is, by the oldest vector it names.
func (w *world) evicted() {
	oldest := w.log.Oldest()
	for w.model.low < len(w.model.records) {
		if r := w.model.records[w.model.low]; r.Offset >= oldest.At(r.partition) {
			return
		}
		w.model.low++
	}
}

// latestAsOf reports whether record i is its key's latest state among the first n records that are
// retained.
func (m *model) latestAsOf(i, n int) bool {
	best := map[int32]int{}
	for j := m.low; j < n; j++ {
		if m.records[j].Key == m.records[i].Key {
			best[m.records[j].partition] = j
		}
	}
	latest := -1
	for _, j := range best {
		if latest < 0 || m.records[j].Time > m.records[latest].Time ||
			(m.records[j].Time == m.records[latest].Time && m.records[j].partition > m.records[latest].partition) {
			latest = j
		}
	}
	return latest == i && !m.records[i].Tombstone
}

// reader is a subscription beside what the model says it gets.
type reader struct {
	sub      *broadcast.Subscription
	filter   broadcast.Filter
	cursor   broadcast.Vector // it came with
	snapshot int              // records before it are the existing ones
	pos      int              // in the model's records
	seen     map[[2]int64]bool
	last     broadcast.Vector
}

func (w *world) subscribe() *reader {
	start := broadcast.Start{}
	if w.r.IntN(2) == 0 {
		start.Filter = broadcast.Filter(1 + w.r.IntN(15))
	}
	rd := &reader{filter: start.Filter, seen: map[[2]int64]bool{}}
	switch w.r.IntN(3) {
	case 0: // existing, then new
		start.Existing = true
		rd.snapshot = len(w.model.records)
		rd.pos = w.model.low
		if w.r.IntN(3) == 0 {
			start.Limit = 1 + w.r.IntN(20)
			left := start.Limit
			for i := rd.snapshot - 1; i >= w.model.low && left > 0; i-- {
				if w.model.latestAsOf(i, rd.snapshot) && rd.filter.Matches(w.model.records[i].Label) {
					left--
					rd.pos = i
				}
			}
			if left > 0 {
				rd.pos = w.model.low
			}
		}
	case 1: // new only
		rd.pos = len(w.model.records)
	case 2: // resume, anywhere in the window, at no position of this log in particular
		oldest := w.log.Oldest()
		start.Cursor = make(broadcast.Vector, len(oldest))
		for p := range start.Cursor {
			span := w.model.next[p] - oldest[p]
			start.Cursor[p] = oldest[p] + w.r.Int64N(span+1) + int64(w.r.IntN(2)*w.r.IntN(30))
		}
		rd.cursor = start.Cursor
		rd.pos = w.model.low
	}
	sub, err := w.log.Subscribe(w.existing, w.live, start)
	if err != nil {
		w.t.Fatalf("subscribe %+v: %v", start, err)
	}
	rd.sub, rd.last = sub, sub.Vector()
	return rd
}

// expected returns the next record that the reader gets, or -1.
func (w *world) expected(rd *reader) int {
	for ; rd.pos < len(w.model.records); rd.pos++ {
		rec := w.model.records[rd.pos]
		switch {
		case rec.isGap && rd.pos >= rd.snapshot && rec.Offset >= rd.cursor.At(rec.partition):
			return rd.pos
		case rec.Tombstone || !rd.filter.Matches(rec.Label):
		case rd.pos < rd.snapshot && (rd.pos < w.model.low || !w.model.latestAsOf(rd.pos, rd.snapshot)):
		case rd.cursor != nil && rec.Offset < rd.cursor.At(rec.partition):
		default:
			return rd.pos
		}
	}
	return -1
}

// read takes one run and holds it against the model. It reports whether the reader may go on.
func (w *world) read(rd *reader) bool {
	run, err := rd.sub.Next()
	if behind := (*broadcast.BehindError)(nil); errors.As(err, &behind) {
		if rd.pos >= w.model.low {
			w.t.Fatalf("told to be behind at record %d, but the log still has %d on", rd.pos, w.model.low)
		}
		w.covers(rd, behind.At)
		return false
	}
	if gap := (*broadcast.GapError)(nil); errors.As(err, &gap) {
		w.readGap(rd, gap)
		return true
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if run.Len() == 0 {
		if i := w.expected(rd); i >= 0 {
			w.t.Fatalf("caught up, but record %d (%+v) was not delivered", i, w.model.records[i])
		}
		select {
		case <-rd.sub.Ready():
			w.t.Fatal("ready with nothing to read")
		default:
		}
		w.covers(rd, rd.sub.Vector())
		return true
	}
	for b := range run.Frames() {
		f := parse(w.t, b)
		i := w.expected(rd)
		if i < 0 {
			w.t.Fatalf("got %+v, expected nothing", f)
		}
		rec := w.model.records[i]
		if rec.isGap {
			w.t.Fatalf("got %+v, expected to be told of %+v", f, rec)
		}
		want := frame{rec.Key, rec.partition, rec.Offset, i < rd.snapshot, f.Cursor}
		if diff := cmp.Diff(want, f); diff != "" {
			w.t.Fatalf("record %d (-want +got):\n%s", i, diff)
		}
		rd.pos++
		rd.seen[[2]int64{int64(f.Partition), f.Offset}] = true
		w.covers(rd, f.Cursor)
	}
	return true
}

// readGap holds what a reader was told of gaps against the model.
func (w *world) readGap(rd *reader, err *broadcast.GapError) {
	w.t.Helper()
	if err.At.Covers(err.Next) {
		w.t.Fatalf("gap %+v leads nowhere", err)
	}
	for _, g := range err.Gaps {
		i := w.expected(rd)
		if i < 0 || !w.model.records[i].isGap {
			w.t.Fatalf("told of %+v, expected record %d", g, i)
		}
		rec := w.model.records[i]
		want := broadcast.Gap{Partition: rec.partition, From: max(rec.gapFrom, rd.cursor.At(rec.partition)), To: rec.Offset + 1}
		if g != want {
			w.t.Fatalf("told of %+v, want %+v", g, want)
		}
		rd.pos++
	}
	w.covers(rd, err.Next)
}

// covers checks that a cursor covers all records up to the reader's position, or that the reader
// came with, and nothing that it has still to get.
func (w *world) covers(rd *reader, cursor broadcast.Vector) {
	w.t.Helper()
	if !cursor.Covers(rd.last) {
		w.t.Fatalf("cursor went back from %v to %v", rd.last, cursor)
	}
	rd.last = cursor.Clone()
	for i := w.model.low; i < len(w.model.records); i++ {
		rec := w.model.records[i]
		if rec.Tombstone || !rd.filter.Matches(rec.Label) {
			continue
		}
		covered := rec.Offset < cursor.At(rec.partition)
		had := i < rd.pos || (rd.cursor != nil && rec.Offset < rd.cursor.At(rec.partition))
		if covered && !had {
			w.t.Fatalf("cursor %v runs ahead of record %d (%d/%d), reader at %d", cursor, i, rec.partition, rec.Offset, rd.pos)
		}
		if !covered && had {
			w.t.Fatalf("cursor %v stays behind record %d (%d/%d), reader at %d", cursor, i, rec.partition, rec.Offset, rd.pos)
		}
	}
}

// list walks all pages and holds them against the model's latest states.
func (w *world) list() {
	var filter broadcast.Filter
	if w.r.IntN(2) == 0 {
		filter = broadcast.Filter(1 + w.r.IntN(15))
	}
	var want []broadcast.Entry
	for i := len(w.model.records) - 1; i >= w.model.low; i-- {
		if w.model.latestAsOf(i, len(w.model.records)) && filter.Matches(w.model.records[i].Label) {
			want = append(want, w.model.records[i].entry())
		}
	}
	snapshot := w.log.Newest()
	if n := w.log.Count(snapshot, filter); n != len(want) {
		w.t.Fatalf("count %d, want %d", n, len(want))
	}
	var got []broadcast.Entry
	for at, more := snapshot, true; more; {
		var page []broadcast.Entry
		page, at, more = w.log.Page(at, snapshot, filter, 1+w.r.IntN(50), 1+w.r.IntN(5000))
		got = append(got, page...)
		if w.limits.Records == 0 && w.limits.Bytes == 0 && len(w.model.records) < 2000 && w.r.IntN(2) == 0 {
			w.append() // the walk still shows its own moment
		}
	}
	if !slices.Equal(want, got) {
		w.t.Fatalf("list (-want +got):\n%s", cmp.Diff(want, got))
	}
}

func (w *world) get() {
	key := fmt.Sprint("k", w.r.IntN(w.keys))
	want := -1
	for i := w.model.low; i < len(w.model.records); i++ {
		if w.model.records[i].Key == key && w.model.latestAsOf(i, len(w.model.records)) {
			want = i
		}
	}
	got, ok := w.log.Get(key)
	switch {
	case ok != (want >= 0):
		w.t.Fatalf("get %s: found %v, want %v", key, ok, want >= 0)
	case ok && got != w.model.records[want].entry():
		w.t.Fatalf("get %s (-want +got):\n%s", key, cmp.Diff(w.model.records[want].entry(), got))
	}
}

// TestModel runs random appends, evictions, readers, pages and look-ups against a list that
// forgets nothing.
func TestModel(t *testing.T) {
	t.Parallel()
	seeds := uint64(40)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			var readers []*reader
			for range 250 {
				switch n := w.r.IntN(20); {
				case n < 7:
					w.append()
				case n < 9:
					if len(readers) < 8 {
						readers = append(readers, w.subscribe())
					}
				case n < 17 && len(readers) > 0:
					i := w.r.IntN(len(readers))
					if !w.read(readers[i]) {
						readers = slices.Delete(readers, i, i+1)
					}
				case n == 17:
					w.list()
				case n == 18:
					w.get()
				case n == 19 && w.r.IntN(20) == 0 && len(w.model.next) < 8:
					w.open(int32(len(w.model.next)), 0)
				}
			}
			for _, rd := range readers {
				for more := true; more; {
					more = w.read(rd) && w.expected(rd) >= 0
				}
			}
		})
	}
}
