package broadcast_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paystream/broadcast"
)

// TestFramesAreMadeOnce for all subscriptions of a format that read at about the same speed.
func TestFramesAreMadeOnce(t *testing.T) {
	const records = 20_000
	log := broadcast.New(broadcast.Limits{})
	log.Open(0, 0)
	payments(log, 0, records)
	var rendered [2]int
	var views [2]*broadcast.View
	for i := range views {
		views[i] = broadcast.NewView(func(dst []byte, e broadcast.Entry, _ broadcast.Vector) []byte {
			rendered[i]++
			return append(append(dst, e.Value...), e.Value...)
		})
	}
	readAtSpeeds(t, log, views, 40, func(i int) float64 { return 1 - float64(i)/400 })
	if rendered != [2]int{records, records} {
		t.Errorf("%v frames were rendered of %d records", rendered, records)
	}
}

// TestFramesOfAFilterAreMadeOnce for all subscriptions with that filter, and lie next to each other.
func TestFramesOfAFilterAreMadeOnce(t *testing.T) {
	const records, readers, filters = 1000, 10, 3
	tests := []struct {
		name       string
		unfiltered bool // somebody reads everything first
		want       int
	}{
		{"rendered for the filter", false, records},
		{"copied where all are there", true, records},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			log := broadcast.New(broadcast.Limits{})
			log.Open(0, 0)
			rendered := 0
			view := broadcast.NewView(func(dst []byte, e broadcast.Entry, _ broadcast.Vector) []byte {
				rendered++
				return fmt.Appendf(dst, "%d;", e.Offset)
			})
			for i := range int64(records) {
				r := record(fmt.Sprint("k", i), i)
				r.Label = broadcast.Label(i % filters)
				log.Append(broadcast.Batch{Records: []broadcast.Record{r}, Next: i + 1})
			}
			if test.unfiltered {
				everything(t, subscribe(t, log, view, broadcast.Start{Existing: true}))
			}
			for i := range filters {
				want := ""
				for n := i; n < records; n += filters {
					want += fmt.Sprintf("%d;", n)
				}
				for range readers {
					sub := subscribe(t, log, view, broadcast.Start{Existing: true, Filter: 1 << i})
					got, runs := everything(t, sub)
					if got != want {
						t.Fatalf("filter %d: got %.40q..., want %.40q...", i, got, want)
					}
					if runs > records/256+1 {
						t.Errorf("filter %d: %d runs", i, runs)
					}
				}
			}
			if rendered != test.want {
				t.Errorf("%d frames were rendered, want %d", rendered, test.want)
			}
		})
	}
}

// everything returns what a subscription has to deliver now, and in how many runs.
func everything(t *testing.T, sub *broadcast.Subscription) (text string, runs int) {
	t.Helper()
	var bytes []byte
	for {
		run, err := sub.Next()
		if err != nil {
			t.Fatal(err)
		}
		if run.Empty() {
			return string(bytes), runs
		}
		bytes, runs = append(bytes, run.Bytes()...), runs+1
	}
}

// TestFramesUseWhatEntriesLeave of the log's bytes, and no more.
func TestFramesUseWhatEntriesLeave(t *testing.T) {
	const records, limit = 40_000, 64 << 20
	log := broadcast.New(broadcast.Limits{Bytes: limit})
	log.Open(0, 0)
	view := broadcast.NewView(func(dst []byte, e broadcast.Entry, _ broadcast.Vector) []byte {
		return append(append(dst, e.Value...), e.Value...)
	})
	read := func() (entries, frames int) {
		everything(t, subscribe(t, log, view, broadcast.Start{Existing: true}))
		stats := log.Stats()
		if stats.Bytes+stats.FrameBytes > limit {
			t.Errorf("%d bytes of entries and %d of frames, want at most %d", stats.Bytes, stats.FrameBytes, limit)
		}
		return stats.Bytes, stats.FrameBytes
	}
	values := payments(log, 0, records)
	if _, frames := read(); frames < 2*int(values) {
		t.Errorf("%d bytes of frames are kept, of %d", frames, 2*values)
	}
	payments(log, records, 2*records)
	if entries, frames := read(); frames > limit-entries || frames < limit/4-(1<<20) {
		t.Errorf("%d bytes of frames are kept beside %d of entries", frames, entries)
	}
}

// BenchmarkFrameCache reads a log of 100,000 payments with 100 subscriptions, half of them in a format of
// 260 bytes a frame and half in one of 520, at different speeds. It counts how often a frame is rendered.
func BenchmarkFrameCache(b *testing.B) {
	const records, subscriptions = 100_000, 100
	speeds := []struct {
		name  string
		speed func(i int) float64 // runs in a round
	}{
		{"alike", func(int) float64 { return 1 }},
		{"within a tenth", func(i int) float64 { return 1 - float64(i)/subscriptions/10 }},
		{"one to ten", func(i int) float64 { return 1 - 0.9*float64(i)/subscriptions }},
		{"ten slow ones", func(i int) float64 { return []float64{1, 0.1}[(i/10)/9] }},
	}
	for _, s := range speeds {
		b.Run(s.name, func(b *testing.B) {
			for b.Loop() {
				log := broadcast.New(broadcast.Limits{Records: records, Bytes: 64 << 20})
				log.Open(0, 0)
				payments(log, 0, records)
				var rendered [2]int
				var views [2]*broadcast.View
				for i, size := range []int{260, 520} {
					frame := strings.Repeat("f", size)
					views[i] = broadcast.NewView(func(dst []byte, _ broadcast.Entry, _ broadcast.Vector) []byte {
						rendered[i]++
						return append(dst, frame...)
					})
				}
				readAtSpeeds(b, log, views, subscriptions, s.speed)
				retained := float64(log.Stats().Records)
				b.ReportMetric(float64(rendered[0])/retained, "renders/small")
				b.ReportMetric(float64(rendered[1])/retained, "renders/large")
				b.ReportMetric(float64(log.Stats().FrameBytes)/(1<<20), "MiB")
			}
		})
	}
}

// readAtSpeeds lets subscriptions read to the end, a run with the probability of their speed each round.
func readAtSpeeds(b testing.TB, log *broadcast.Log, views [2]*broadcast.View, n int, speed func(int) float64) {
	b.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	subs := map[int]*broadcast.Subscription{}
	for i := range n {
		subs[i] = subscribe(b, log, views[i%2], broadcast.Start{Existing: true})
	}
	for len(subs) > 0 {
		for i := range n {
			if subs[i] == nil || r.Float64() > speed(i) {
				continue
			}
			if run, err := subs[i].Next(); err != nil {
				b.Fatal(fmt.Errorf("subscription %d: %w", i, err))
			} else if run.Len() == 0 {
				delete(subs, i)
			}
		}
	}
}

// BenchmarkRender is the cost of making frames of about 510 bytes: of a log that is there, and of one that
// grows by a record at a time.
func BenchmarkRender(b *testing.B) {
	const records = 100_000
	frame := strings.Repeat("f", 520)
	render := func(dst []byte, e broadcast.Entry, _ broadcast.Vector) []byte {
		return append(dst, frame[e.Offset%20:]...)
	}
	for _, step := range []int{records, 1} {
		b.Run(fmt.Sprint("step=", step), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				log := broadcast.New(broadcast.Limits{})
				log.Open(0, 0)
				view := broadcast.NewView(render)
				sub := subscribe(b, log, view, broadcast.Start{})
				for at := 0; at < records; at += step {
					payments(log, int64(at), int64(step))
					b.StartTimer()
					for more := true; more; {
						run, _ := sub.Next()
						more = run.Len() > 0
					}
					b.StopTimer()
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/records, "ns/frame")
		})
	}
}

// TestFewCursorsOfManyPartitions: with more than 16 partitions a cursor comes with the first frame of a segment, and
// with every 32nd of those that a filter selects.
func TestFewCursorsOfManyPartitions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		partitions int
		filter     broadcast.Filter
		want       []int // numbers of the frames with a cursor
	}{
		{16, 1 << 1, []int{0, 1, 2, 3, 4}},
		{17, 0, []int{0, 32, 64, 96, 128, 160, 192, 224, 239, 271}}, // 17 marks and 239 records fill the first segment
		{17, 1 << 1, []int{0, 32, 64, 80}},
	} {
		t.Run(fmt.Sprint(test.partitions, " partitions, filter ", test.filter), func(t *testing.T) {
			t.Parallel()
			log, _ := newLog(broadcast.Limits{}, test.partitions)
			var cursors []broadcast.Vector
			view := broadcast.NewView(func(dst []byte, _ broadcast.Entry, cursor broadcast.Vector) []byte {
				cursors = append(cursors, cursor.Clone())
				return append(dst, 'f')
			})
			for i := range 300 {
				r := record(fmt.Sprint(i), int64(i))
				r.Label = broadcast.Label(i % 3)
				log.Append(broadcast.Batch{Records: []broadcast.Record{r}})
			}
			all := subscribe(t, log, view, broadcast.Start{Filter: test.filter, Existing: true})
			readAll(t, all)
			var got []int
			for i, c := range cursors {
				if c != nil {
					got = append(got, i)
				}
			}
			if diff := cmp.Diff(test.want, got[:min(len(got), len(test.want))]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// readAll reads until the subscription has caught up.
func readAll(t *testing.T, sub *broadcast.Subscription) {
	t.Helper()
	for {
		if run, err := sub.Next(); err != nil {
			t.Fatal(err)
		} else if run.Empty() {
			return
		}
	}
}
