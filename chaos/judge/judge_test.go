package judge_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"paystream/chaos/judge"
)

// at is the content of the payment at an offset of a partition.
func at(partition int32, offset int64) uint64 { return uint64(partition)<<32 + uint64(offset) + 1 }

// ten acknowledges the payments 0 to 9 of partitions 0 and 1.
func ten(j *judge.Judge) {
	for p := range int32(2) {
		for o := range int64(10) {
			j.Acknowledged(p, o, judge.Payment, at(p, o))
		}
	}
}

// see shows a track the payments from one offset up to another, of both partitions.
func see(t *judge.Track, from, to int64) {
	for o := from; o < to; o++ {
		for p := range int32(2) {
			t.Saw(p, o, at(p, o))
		}
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		run  func(j *judge.Judge, s *judge.Track)
		want map[judge.Fault]int64
	}{
		{"all in order", func(_ *judge.Judge, s *judge.Track) { see(s, 0, 10) }, nil},
		{"repeats behind a break are dropped by the client's rule", func(_ *judge.Judge, s *judge.Track) {
			see(s, 0, 6)
			s.Connected()
			see(s, 3, 10)
		}, nil},
		{"the end is missing", func(_ *judge.Judge, s *judge.Track) { see(s, 0, 9) }, map[judge.Fault]int64{judge.Lost: 2}},
		{"one is dropped", func(_ *judge.Judge, s *judge.Track) {
			see(s, 0, 4)
			s.Saw(0, 4, at(0, 4))
			see(s, 5, 10)
		}, map[judge.Fault]int64{judge.Lost: 1}},
		{"one is dropped at a reconnect", func(_ *judge.Judge, s *judge.Track) {
			see(s, 0, 4)
			s.Connected()
			see(s, 5, 10)
		}, map[judge.Fault]int64{judge.Lost: 2}},
		{"one comes twice in one stream", func(_ *judge.Judge, s *judge.Track) {
			see(s, 0, 4)
			s.Saw(0, 3, at(0, 3))
			see(s, 4, 10)
		}, map[judge.Fault]int64{judge.Duplicate: 1}},
		{"one comes late: the client's rule drops it", func(_ *judge.Judge, s *judge.Track) {
			see(s, 0, 4)
			s.Saw(0, 5, at(0, 5))
			s.Saw(0, 4, at(0, 4))
			s.Saw(1, 4, at(1, 4))
			s.Saw(1, 5, at(1, 5))
			see(s, 6, 10)
		}, map[judge.Fault]int64{judge.OutOfOrder: 1, judge.Lost: 1}},
		{"two payments are at each other's offsets", func(_ *judge.Judge, s *judge.Track) {
			see(s, 0, 4)
			s.Saw(0, 4, at(0, 5))
			s.Saw(0, 5, at(0, 4))
			s.Saw(1, 4, at(1, 4))
			s.Saw(1, 5, at(1, 5))
			see(s, 6, 10)
		}, map[judge.Fault]int64{judge.Altered: 2}},
		{"one that Kafka does not have", func(_ *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			s.Saw(0, 10, 77)
		}, map[judge.Fault]int64{judge.NeverSent: 1}},
		{"seen before it is acknowledged", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			s.Saw(0, 10, at(0, 10))
			j.Acknowledged(0, 10, judge.Payment, at(0, 10))
		}, nil},
		{"seen before something else is acknowledged there", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			s.Saw(0, 10, at(0, 10))
			j.Acknowledged(0, 10, judge.Payment, at(0, 11))
		}, map[judge.Fault]int64{judge.Altered: 1}},
		{"of an aborted transaction", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			s.Saw(0, 10, at(0, 10))
			j.Acknowledged(0, 10, judge.Aborted, at(0, 10))
		}, map[judge.Fault]int64{judge.AbortedShown: 1}},
		{"of an aborted transaction, at an offset that its producer does not know", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			j.Stray(judge.Aborted, 77)
			s.Saw(0, 10, 77)
		}, map[judge.Fault]int64{judge.AbortedShown: 1}},
		{"aborted ones, bad ones and tombstones that are not shown", func(j *judge.Judge, s *judge.Track) {
			j.Acknowledged(0, 10, judge.Aborted, 1)
			j.Acknowledged(0, 11, judge.Bad, 2)
			j.Acknowledged(0, 12, judge.Tombstone, 0)
			see(s, 0, 10)
		}, nil},
		{"a bad record", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			j.Acknowledged(1, 10, judge.Bad, at(1, 10))
			s.Saw(1, 10, at(1, 10))
		}, map[judge.Fault]int64{judge.BadShown: 1}},
		{"of which nobody knows whether it was written: seen", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			j.Stray(judge.Uncertain, 77)
			s.Saw(0, 10, 77)
		}, nil},
		{"of which nobody knows whether it was written: not seen", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			j.Stray(judge.Uncertain, 77)
			j.Acknowledged(0, 10, judge.Uncertain, 78)
		}, nil},
		{"a gap, told", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 2)
			j.Gone(0, 5)
			j.Gone(1, 5)
			s.Told(0, 2, 5)
			s.Told(1, 2, 5)
			see(s, 5, 10)
		}, nil},
		{"a gap, not told", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 2)
			j.Gone(0, 5)
			j.Gone(1, 5)
			s.Told(0, 2, 5)
			see(s, 5, 10)
		}, map[judge.Fault]int64{judge.UntoldGap: 3}},
		{"a gap told of what Kafka has", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 2)
			j.Gone(0, 5)
			s.Told(0, 2, 6)
			s.Saw(1, 2, at(1, 2))
			for o := int64(3); o < 6; o++ {
				s.Saw(1, o, at(1, o))
			}
			see(s, 6, 10)
		}, map[judge.Fault]int64{judge.NeedlessGap: 1}},
		{"refused", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			j.Refuse(s.Name(), "InvalidArgument")
		}, map[judge.Fault]int64{judge.Refused: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			j := judge.New()
			ten(j)
			tt.run(j, j.Subscriber("one"))
			v := j.Verdict()
			if diff := cmp.Diff(tt.want, v.Counts); diff != "" {
				t.Errorf("findings (-want +got):\n%s%v", diff, v.Examples)
			}
			if again := j.Verdict(); !cmp.Equal(v, again) {
				t.Errorf("the second verdict is another:\n%s", cmp.Diff(v, again))
			}
		})
	}
}

func TestNewcomer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		from, to int64
		leaves   bool
		skip     int64
		want     map[judge.Fault]int64
	}{
		{"has all from its first on", 5, 10, false, -1, nil},
		{"lacks one", 5, 10, false, 7, map[judge.Fault]int64{judge.Lost: 2}},
		{"lacks the end", 5, 8, false, -1, map[judge.Fault]int64{judge.Lost: 4}},
		{"has left", 5, 8, true, -1, nil},
		{"has left, and lacks one before", 5, 8, true, 6, map[judge.Fault]int64{judge.Lost: 2}},
		{"has seen nothing", 0, 0, false, -1, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			j := judge.New()
			ten(j)
			s := j.Newcomer("one")
			if tt.skip >= 0 {
				see(s, tt.from, tt.skip)
				see(s, tt.skip+1, tt.to)
			} else {
				see(s, tt.from, tt.to)
			}
			if tt.leaves {
				s.Left()
			}
			if diff := cmp.Diff(tt.want, j.Verdict().Counts); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWaiting(t *testing.T) {
	t.Parallel()
	j := judge.New()
	ten(j)
	s := j.Subscriber("one")
	mark := j.Mark()
	j.Acknowledged(0, 100, judge.Payment, at(0, 100))
	see(s, 0, 4)
	if got := j.Waiting(mark); got != 12 {
		t.Errorf("%d wait from before the mark, want 12", got)
	}
	if got := j.Waiting(nil); got != 13 {
		t.Errorf("%d wait, want 13", got)
	}
	if f := j.Figures(); f.Payments != 21 || f.Delivered != 8 {
		t.Errorf("%+v, want 21 payments and 8 deliveries", f)
	}
}

// TestMany has the judge find one of a hundred thousand, in words of bits that are far apart.
func TestMany(t *testing.T) {
	t.Parallel()
	const many, dropped = 300_000, 123_457
	j := judge.New()
	s, other := j.Subscriber("one"), j.Subscriber("two")
	for o := range int64(many) {
		j.Acknowledged(3, o, judge.Payment, at(3, o))
		other.Saw(3, o, at(3, o))
		if o != dropped {
			s.Saw(3, o, at(3, o))
		}
	}
	want := []judge.Finding{{Fault: judge.Lost, Subscriber: "one", Partition: 3, Offset: dropped}}
	if diff := cmp.Diff(want, j.Verdict().Examples); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}
