package judge_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"paystream/chaos/judge"
)

// next is the content of the payment at an offset of the topic that is made anew.
func next(partition int32, offset int64) uint64 { return 1<<40 + at(partition, offset) }

// anew makes the topic anew, with the payments 0 to 4 of partitions 0 and 1.
func anew(j *judge.Judge) {
	j.Anew()
	for p := range int32(2) {
		for o := range int64(5) {
			j.Acknowledged(p, o, judge.Payment, next(p, o))
		}
	}
}

// seeNext shows a track the new topic's payments from one offset up to another, of both partitions.
func seeNext(t *judge.Track, from, to int64) {
	for o := from; o < to; o++ {
		for p := range int32(2) {
			t.Saw(p, o, next(p, o))
		}
	}
}

// TestTopicMadeAnew begins with ten payments of each partition; anew makes five in the new topic's.
func TestTopicMadeAnew(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		run  func(j *judge.Judge, s *judge.Track)
		want map[judge.Fault]int64
	}{
		{"all of both, told between them", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			anew(j)
			s.OtherTopic("")
			s.Connected()
			seeNext(s, 0, 5)
		}, nil},
		{"all of both, and what is new is seen before it is acknowledged", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			j.Anew()
			s.OtherTopic("")
			s.Connected()
			s.Saw(0, 0, 77)
			j.Acknowledged(0, 0, judge.Payment, 77)
		}, nil},
		{"one of the new one is lost", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			anew(j)
			s.OtherTopic("")
			seeNext(s, 0, 2)
			s.Saw(0, 2, next(0, 2))
			seeNext(s, 3, 5)
		}, map[judge.Fault]int64{judge.Lost: 1}},
		{"the new one's first are lost", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			anew(j)
			s.OtherTopic("")
			seeNext(s, 1, 5)
		}, map[judge.Fault]int64{judge.Lost: 2}},
		{"nothing of the new one is seen", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			anew(j)
		}, map[judge.Fault]int64{judge.Lost: 10}},
		{"of the old one the end is missing: it is not deleted before all have it", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 9)
			anew(j)
			s.OtherTopic("")
			seeNext(s, 0, 5)
		}, map[judge.Fault]int64{judge.Lost: 2}},
		{"the new one is shown to who was not told", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			anew(j)
			s.Saw(0, 0, next(0, 0))
			s.OtherTopic("")
			seeNext(s, 0, 5)
		}, map[judge.Fault]int64{judge.OtherTopic: 1}},
		{"the new one, behind the old one's end, is shown to who was not told", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			anew(j)
			j.Acknowledged(0, 10, judge.Payment, next(0, 10))
			s.Saw(0, 10, next(0, 10))
		}, map[judge.Fault]int64{judge.OtherTopic: 1, judge.Lost: 11}},
		{"the old one again after a break, by who was not told yet", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			anew(j)
			s.Connected()
			see(s, 8, 10)
			s.OtherTopic("")
			s.Connected()
			seeNext(s, 0, 5)
		}, nil},
		{"the old one is shown behind the change", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			anew(j)
			s.OtherTopic("")
			seeNext(s, 0, 5)
			s.Saw(0, 7, at(0, 7))
		}, map[judge.Fault]int64{judge.OtherTopic: 1}},
		{"the old one is shown behind the change, at an offset that was seen", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			anew(j)
			s.OtherTopic("")
			seeNext(s, 0, 5)
			s.Connected()
			s.Saw(0, 4, at(0, 4))
		}, map[judge.Fault]int64{judge.OtherTopic: 1}},
		{"one that begins anew is shown the old one first, by a gateway that does not know, and is told again", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			anew(j)
			s.OtherTopic("")
			s.Connected()
			see(s, 0, 10)
			s.OtherTopic("")
			s.Connected()
			seeNext(s, 0, 5)
		}, nil},
		{"refused with a cursor of the only topic", func(_ *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			s.OtherTopic("")
		}, map[judge.Fault]int64{judge.Refused: 1}},
		{"refused with a cursor of the new one", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			anew(j)
			s.OtherTopic("")
			seeNext(s, 0, 5)
			s.OtherTopic("")
		}, map[judge.Fault]int64{judge.Refused: 1}},
		{"a gap of the new one, told", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			anew(j)
			s.OtherTopic("")
			seeNext(s, 0, 1)
			j.Gone(0, 3)
			s.Told(0, 1, 3)
			s.Saw(1, 1, next(1, 1))
			s.Saw(1, 2, next(1, 2))
			seeNext(s, 3, 5)
		}, nil},
		{"twice anew", func(j *judge.Judge, s *judge.Track) {
			see(s, 0, 10)
			anew(j)
			s.OtherTopic("")
			seeNext(s, 0, 5)
			j.Anew()
			j.Acknowledged(0, 0, judge.Payment, 77)
			s.OtherTopic("")
			s.Saw(0, 0, 77)
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			j := judge.New()
			ten(j)
			tt.run(j, j.Subscriber("one"))
			if v := j.Verdict(); !cmp.Equal(tt.want, v.Counts) {
				t.Errorf("findings (-want +got):\n%s%v", cmp.Diff(tt.want, v.Counts), v.Examples)
			}
		})
	}
}

// TestWhoBeginsWithTheNewTopic has one that is owed nothing of the old one.
func TestWhoBeginsWithTheNewTopic(t *testing.T) {
	t.Parallel()
	j := judge.New()
	ten(j)
	anew(j)
	s := j.Subscriber("one")
	if got := j.Waiting(nil); got != 10 {
		t.Errorf("%d wait, want 10", got)
	}
	seeNext(s, 0, 5)
	if v := j.Verdict(); !v.Clean() || j.Waiting(j.Mark()) != 0 {
		t.Errorf("findings: %v", v.Examples)
	}
}
