package broadcast_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"paystream/broadcast"
)

// newLog returns a log with one view and n open partitions.
func newLog(limits broadcast.Limits, n int) (*broadcast.Log, *broadcast.View) {
	log := broadcast.New(limits)
	for p := range n {
		log.Open(int32(p), 0)
	}
	return log, broadcast.NewView(render(false))
}

func record(key string, offset int64) broadcast.Record {
	return broadcast.Record{Key: key, Value: key, Offset: offset, Time: time.Now().UnixMilli()}
}

// fill appends n records with keys of their own to partition 0, one at a time.
func fill(log *broadcast.Log, n int) {
	from := log.Newest().At(0)
	for i := range int64(n) {
		log.Append(broadcast.Batch{
			Records: []broadcast.Record{record(fmt.Sprint("k", from+i), from+i)}, Next: from + i + 1,
		})
	}
}

// drain reads until the subscription has caught up.
func drain(t testing.TB, sub *broadcast.Subscription) []frame {
	t.Helper()
	var all []frame
	for {
		run, err := sub.Next()
		if err != nil {
			t.Fatal(err)
		}
		if run.Len() == 0 {
			return all
		}
		for b := range run.Frames() {
			all = append(all, parse(t, b))
		}
	}
}

func subscribe(t testing.TB, log *broadcast.Log, view *broadcast.View, start broadcast.Start) *broadcast.Subscription {
	t.Helper()
	sub, err := log.Subscribe(view, view, start)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

func TestLimits(t *testing.T) {
	const value = 1000
	tests := []struct {
		name   string
		limits broadcast.Limits
		wait   time.Duration
		want   int
	}{
		{"no limit keeps all", broadcast.Limits{}, 0, 2000},
		{"count", broadcast.Limits{Records: 100}, 0, 100},
		{"age, of a log that stands still", broadcast.Limits{Age: time.Minute}, 2 * time.Minute, 0},
		{"age not reached", broadcast.Limits{Age: time.Hour}, 2 * time.Minute, 2000},
		{"whichever comes first", broadcast.Limits{Records: 10, Age: time.Hour, Bytes: 1 << 30}, 0, 10},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, _ := newLog(test.limits, 1)
				fill(log, 2000)
				time.Sleep(test.wait)
				log.Expire(time.Now())
				if got := log.Stats().Records; got != test.want {
					t.Errorf("%d records retained, want %d", got, test.want)
				}
			})
		})
	}
	t.Run("bytes, frames included", func(t *testing.T) {
		const limit = 1 << 20
		log, view := newLog(broadcast.Limits{Bytes: limit}, 1)
		sub := subscribe(t, log, view, broadcast.Start{})
		for i := range int64(5000) {
			r := record(fmt.Sprint("k", i), i)
			r.Value = strings.Repeat("v", value)
			log.Append(broadcast.Batch{Records: []broadcast.Record{r}, Next: i + 1})
			drain(t, sub)
		}
		stats := log.Stats()
		if stats.Bytes+stats.FrameBytes > limit+segmentSlack {
			t.Errorf("%d bytes of entries and %d of frames, want at most %d", stats.Bytes, stats.FrameBytes, limit)
		}
		if stats.Records < limit/2/(value+200) {
			t.Errorf("only %d records retained", stats.Records)
		}
	})
}

// segmentSlack is what frames of the newest segment may add over the budget.
const segmentSlack = 256 << 10

func TestReplayedRecordsAgeFromTheirOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := newLog(broadcast.Limits{Age: time.Hour}, 1)
		old := record("old", 0)
		old.Time = time.Now().Add(-50 * time.Minute).UnixMilli()
		replayed := record("replayed", 1)
		replayed.Time = old.Time
		log.Append(broadcast.Batch{Records: []broadcast.Record{replayed}, Next: 1, Replayed: true})
		log.Append(broadcast.Batch{Records: []broadcast.Record{old}, Next: 2})
		time.Sleep(20 * time.Minute)
		log.Expire(time.Now())
		if _, ok := log.Get("replayed"); ok {
			t.Error("a replayed record of 70 minutes is still there")
		}
		if _, ok := log.Get("old"); !ok {
			t.Error("a record that arrived 20 minutes ago with an old time is gone")
		}
	})
}

func TestCursorMovesPastWhatIsNotSent(t *testing.T) {
	log, view := newLog(broadcast.Limits{}, 2)
	sub := subscribe(t, log, view, broadcast.Start{})
	log.Append(broadcast.Batch{Partition: 1, Next: 7}) // bad records, markers: nothing kept
	if got := drain(t, sub); len(got) != 0 {
		t.Fatalf("delivered %v", got)
	}
	if diff := cmp.Diff(broadcast.Vector{0, 7}, sub.Vector()); diff != "" {
		t.Errorf("waiting (-want +got):\n%s", diff)
	}
	log.Append(broadcast.Batch{Partition: 1, Next: 9})
	log.Append(broadcast.Batch{Partition: 0, Records: []broadcast.Record{record("a", 3)}, Next: 6})
	got := drain(t, sub)
	if len(got) != 1 {
		t.Fatalf("delivered %v, want one", got)
	}
	if diff := cmp.Diff(broadcast.Vector{6, 9}, got[0].Cursor); diff != "" {
		t.Errorf("event's cursor (-want +got):\n%s", diff)
	}
}

func TestMarksStayFew(t *testing.T) {
	const partitions = 600 // more than a segment has entries
	log, _ := newLog(broadcast.Limits{}, partitions)
	before := log.Stats().Bytes
	for i := range int64(50) {
		for p := range int32(partitions) {
			log.Append(broadcast.Batch{Partition: p, Next: i + 1})
		}
	}
	if after := log.Stats().Bytes; after != before {
		t.Errorf("%d bytes for marks of idle partitions, want the %d of the start", after, before)
	}
	log.Append(broadcast.Batch{Partition: 5, Records: []broadcast.Record{record("a", 50)}, Next: 51})
	if got := log.Newest().At(partitions - 1); got != 50 {
		t.Errorf("last partition stands at %d, want 50", got)
	}
}

func TestCursorBeforeTheWindowIsRefused(t *testing.T) {
	log, view := newLog(broadcast.Limits{Records: 10}, 2)
	fill(log, 100)
	_, err := log.Subscribe(view, view, broadcast.Start{Cursor: broadcast.Vector{80, 0}})
	var behind *broadcast.BehindError
	if !errors.As(err, &behind) {
		t.Fatalf("got %v, want a BehindError", err)
	}
	if diff := cmp.Diff(broadcast.Vector{90, 0}, behind.Oldest); diff != "" {
		t.Errorf("oldest (-want +got):\n%s", diff)
	}
	if got := drain(t, subscribe(t, log, view, broadcast.Start{Cursor: behind.Oldest})); len(got) != 10 {
		t.Errorf("%d records from the oldest cursor, want 10", len(got))
	}
}

func TestCursorAheadWaits(t *testing.T) {
	log, view := newLog(broadcast.Limits{}, 1)
	fill(log, 5)
	sub := subscribe(t, log, view, broadcast.Start{Cursor: broadcast.Vector{8, 2}})
	if got := drain(t, sub); len(got) != 0 {
		t.Fatalf("delivered %v, want nothing", got)
	}
	fill(log, 5)
	got := drain(t, sub)
	if len(got) != 2 || got[0].Offset != 8 {
		t.Fatalf("delivered %v, want offsets 8 and 9", got)
	}
	// The second partition does not exist here yet: its place in the cursor is kept.
	if diff := cmp.Diff(broadcast.Vector{10, 2}, got[1].Cursor); diff != "" {
		t.Errorf("cursor (-want +got):\n%s", diff)
	}
}

func TestSnapshotSurvivesEviction(t *testing.T) {
	log, view := newLog(broadcast.Limits{Records: 20}, 1)
	fill(log, 20)
	sub := subscribe(t, log, view, broadcast.Start{Existing: true})
	fill(log, 5) // five of the existing ones leave before they are reached
	got := drain(t, sub)
	if len(got) != 20 || got[0].Offset != 5 {
		t.Errorf("%d records from %d on, want 20 from 5 on", len(got), got[0].Offset)
	}
	late := subscribe(t, log, view, broadcast.Start{Existing: true})
	fill(log, 30) // now the position of its snapshot has left too
	if _, err := late.Next(); !errors.As(err, new(*broadcast.BehindError)) {
		t.Errorf("got %v, want a BehindError", err)
	}
}

func TestWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := newLog(broadcast.Limits{}, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := log.WaitFor(ctx, broadcast.Vector{1}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		go func() {
			time.Sleep(time.Second)
			log.Append(broadcast.Batch{Next: 1}) // nothing kept, and still it has come so far
		}()
		if err := log.WaitFor(t.Context(), broadcast.Vector{1}); err != nil {
			t.Error(err)
		}
	})
}

// TestConcurrent lets readers of all kinds run against an appender, and each must get its records
// in order and whole, or be told that it is behind.
func TestConcurrent(t *testing.T) {
	const partitions, records = 3, 20_000
	log, view := newLog(broadcast.Limits{Records: 3000}, partitions)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var readers sync.WaitGroup
	for i := range 16 {
		readers.Go(func() {
			for ctx.Err() == nil {
				readToEnd(ctx, t, log, view, broadcast.Start{Existing: i%2 == 0}, records/partitions)
			}
		})
	}
	for i := range int64(records / partitions) {
		for p := range int32(partitions) {
			log.Append(broadcast.Batch{
				Partition: p, Records: []broadcast.Record{record(fmt.Sprint(p, "-", i), i)}, Next: i + 1,
			})
		}
		if i%64 == 0 {
			time.Sleep(time.Microsecond) // let others run
		}
	}
	cancel()
	readers.Wait()
}

// readToEnd reads one subscription until ctx ends or it is told to be behind.
func readToEnd(ctx context.Context, t *testing.T, log *broadcast.Log, view *broadcast.View, start broadcast.Start, end int64) {
	t.Helper()
	sub, err := log.Subscribe(view, view, start)
	if err != nil {
		t.Error(err)
		return
	}
	next := map[int32]int64{}
	for {
		done := ctx.Err() != nil
		run, err := sub.Next()
		if err != nil {
			if !errors.As(err, new(*broadcast.BehindError)) {
				t.Error(err)
			}
			return
		}
		for b := range run.Frames() {
			f := parse(t, b)
			if want, ok := next[f.Partition]; ok && f.Offset != want && !sub.Existing() && !start.Existing {
				t.Errorf("partition %d: offset %d after %d", f.Partition, f.Offset, want-1)
				return
			} else if f.Offset < want {
				t.Errorf("partition %d: went back from %d to %d", f.Partition, want, f.Offset)
				return
			}
			next[f.Partition] = f.Offset + 1
		}
		if run.Len() > 0 {
			continue
		}
		if done { // before the read: the appender was done, and the reader has caught up
			for p, n := range next {
				if n != end {
					t.Errorf("partition %d: caught up at %d, want %d", p, n, end)
				}
			}
			return
		}
		select {
		case <-ctx.Done():
		case <-sub.Ready():
		}
	}
}

func TestComebackLeavesTime(t *testing.T) {
	log, view := newLog(broadcast.Limits{Records: 800}, 2)
	fill(log, 1000)
	_, err := log.Subscribe(view, view, broadcast.Start{Cursor: broadcast.Vector{5, 7}})
	var behind *broadcast.BehindError
	if !errors.As(err, &behind) {
		t.Fatalf("got %v, want a BehindError", err)
	}
	// The other partition stays where it stood.
	if diff := cmp.Diff(broadcast.Vector{200, 7}, behind.Oldest); diff != "" {
		t.Errorf("oldest (-want +got):\n%s", diff)
	}
	fill(log, 90) // while the client makes up its mind, though its records leave
	if _, err := log.Subscribe(view, view, broadcast.Start{Cursor: behind.Oldest}); err != nil {
		t.Errorf("come back a little later: %v", err)
	}
}

func TestBatchLargerThanTheWindow(t *testing.T) {
	log, view := newLog(broadcast.Limits{Records: 5000, Bytes: 1 << 20}, 1)
	huge := record("huge", 0)
	huge.Value = strings.Repeat("v", 2<<20)
	sub := subscribe(t, log, view, broadcast.Start{})
	log.Append(broadcast.Batch{Records: []broadcast.Record{huge}, Next: 1})
	if got := drain(t, sub); len(got) != 1 {
		t.Errorf("%d records, want the one that is larger than all bytes allowed", len(got))
	}
}

func TestTombstonesCount(t *testing.T) {
	log, _ := newLog(broadcast.Limits{Bytes: 1 << 20}, 1)
	for i := range int64(10_000) {
		log.Append(broadcast.Batch{
			Records: []broadcast.Record{{Key: fmt.Sprint(i, strings.Repeat("k", 1000)), Offset: i, Tombstone: true}}, Next: i + 1,
		})
	}
	if oldest := log.Oldest().At(0); oldest < 9000 {
		t.Errorf("tombstones of 10 MB from %d on are retained in 1 MiB", oldest)
	}
}

// TestSubscribeWhileMarksFillSegments is for the race detector.
func TestSubscribeWhileMarksFillSegments(t *testing.T) {
	const partitions = 600
	log, view := newLog(broadcast.Limits{}, 1)
	fill(log, 10)
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := log.Subscribe(view, view, broadcast.Start{Cursor: broadcast.Vector{10}}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range int64(20) {
		for p := range int32(partitions) {
			log.Open(p, 0)
			log.Append(broadcast.Batch{Partition: p, Next: 100 + i})
		}
	}
	close(done)
	readers.Wait()
}

func TestGapIsToldToWhomeverComesBy(t *testing.T) {
	t.Parallel()
	log, view := newLog(broadcast.Limits{}, 2)
	fill(log, 3)
	live := subscribe(t, log, view, broadcast.Start{Filter: 1 << 5}) // it would be shown none of the records
	log.Gap(0, 10)
	log.Gap(1, 4)
	log.Gap(1, 4) // known already
	log.Append(broadcast.Batch{Records: []broadcast.Record{record("behind", 10)}, Next: 11})

	gaps := []broadcast.Gap{{Partition: 0, From: 3, To: 10}, {Partition: 1, From: 0, To: 4}}
	tests := []struct {
		name string
		sub  *broadcast.Subscription
		want []broadcast.Gap
	}{
		{"a live one, whatever its filter", live, gaps},
		{"one that resumes before it", subscribe(t, log, view, broadcast.Start{Cursor: broadcast.Vector{3, 0}}), gaps},
		{
			"one that resumes within, of the rest of it",
			subscribe(t, log, view, broadcast.Start{Cursor: broadcast.Vector{7, 4}}),
			[]broadcast.Gap{{Partition: 0, From: 7, To: 10}},
		},
		{"not one that goes on from what it was told", subscribe(t, log, view, broadcast.Start{Cursor: broadcast.Vector{10, 4}}), nil},
		{"not one to whom all exists already", subscribe(t, log, view, broadcast.Start{Existing: true}), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := test.sub.Next()
			var gap *broadcast.GapError
			if !errors.As(err, &gap) {
				gap = &broadcast.GapError{}
			}
			if diff := cmp.Diff(test.want, gap.Gaps); diff != "" {
				t.Fatalf("told of gaps (-want +got):\n%s", diff)
			}
			if test.want != nil && !cmp.Equal(gap.Next, broadcast.Vector{10, 4}) {
				t.Fatalf("goes on from %v", gap.Next)
			}
		})
	}
}

func TestGapsLeaveTheLog(t *testing.T) {
	t.Parallel()
	log, _ := newLog(broadcast.Limits{Records: 10}, 1)
	for i := range int64(2000) {
		log.Gap(0, 10*i+5)
		log.Append(broadcast.Batch{Records: []broadcast.Record{record(fmt.Sprint(i%7), 10*i+9)}, Next: 10*i + 10})
	}
	if n := log.Count(log.Newest(), 0); n != 7 || log.Stats().Records != 10 {
		t.Fatalf("%d keys, %d records", n, log.Stats().Records)
	}
}

func TestAppenderWaitsForTheFarthestReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := broadcast.NewPaced(broadcast.Limits{})
		log.Open(0, 0)
		view := broadcast.NewView(render(false))
		far, near := subscribe(t, log, view, broadcast.Start{}), subscribe(t, log, view, broadcast.Start{})
		fill(log, 1000) // 3,890 bytes, k0 to k999
		done := make(chan error, 1)
		go func() { done <- log.WaitForReader(t.Context(), 3000) }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatal("did not wait for anybody:", err)
		default:
		}
		drain(t, far)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		drain(t, near) // behind the other: it is waited for by nobody
		if err := log.WaitForReader(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		fill(log, 1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := log.WaitForReader(ctx, 0); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v of an ended context", err)
		}
	})
}

func TestInside(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int64{0: 0, 1: 0, 40: 10, 400: 100, 1000: 700} {
		log, _ := newLog(broadcast.Limits{Records: 400}, 1)
		fill(log, n)
		if v := log.Inside(); v.At(0) < want-1 || v.At(0) > want { // a mark stands before the first record
			t.Errorf("%d records: %v, want %d", n, v, want)
		}
		log.Open(1, 70)
		if v := log.Inside(); v.At(1) != 70 {
			t.Errorf("%v lies before where the log began", v)
		}
	}
}
