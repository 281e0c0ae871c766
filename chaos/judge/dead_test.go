package judge_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paystream/chaos/judge"
)

// second is a moment of a run.
func second(n float64) time.Time { return time.Unix(1_800_000_000, int64(n*float64(time.Second))) }

// letter is a dead letter of the first topic.
func letter(partition int32, offset int64, sum uint64, written float64) judge.Letter {
	return judge.Letter{Partition: partition, Offset: offset, Sum: sum, Written: second(written)}
}

func unsettled(j *judge.Judge, from, to float64) {
	j.Unsettled(judge.Unrest{From: second(from), To: second(to)})
}

// TestDeadLetters has a bad record at offset 10 of both partitions, with the contents 7 and 8.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		letters []judge.Letter
		run     func(j *judge.Judge) // besides
		repeats int64
		want    map[judge.Fault]int64
	}{
		{"each has one", []judge.Letter{letter(0, 10, 7, 1), letter(1, 10, 8, 1)}, nil, 0, nil},
		{"one has none", []judge.Letter{letter(0, 10, 7, 1)}, nil, 0, map[judge.Fault]int64{judge.NotDeadLettered: 1}},
		{
			"one has other bytes",
			[]judge.Letter{letter(0, 10, 7, 1), letter(1, 10, 9, 1)},
			nil, 0,
			map[judge.Fault]int64{judge.DeadAltered: 1},
		},
		{
			"a good one has one",
			[]judge.Letter{letter(0, 10, 7, 1), letter(1, 10, 8, 1), letter(1, 3, at(1, 3), 1)},
			nil, 0,
			map[judge.Fault]int64{judge.DeadWrongly: 1},
		},
		{
			"one has two, and nothing had happened",
			[]judge.Letter{letter(0, 10, 7, 1), letter(1, 10, 8, 1), letter(0, 10, 7, 5)},
			nil, 1,
			map[judge.Fault]int64{judge.DeadRepeated: 1},
		},
		{
			"one has two, in one millisecond",
			[]judge.Letter{letter(0, 10, 7, 1), letter(0, 10, 7, 1), letter(1, 10, 8, 1)},
			nil, 1,
			map[judge.Fault]int64{judge.DeadRepeated: 1},
		},
		{
			"one has two, and the owner changed between them",
			[]judge.Letter{letter(0, 10, 7, 1), letter(1, 10, 8, 1), letter(0, 10, 7, 5)},
			func(j *judge.Judge) { unsettled(j, 2, 3) }, 1, nil,
		},
		{
			"one has two, from within an unrest",
			[]judge.Letter{letter(0, 10, 7, 1), letter(1, 10, 8, 1), letter(0, 10, 7, 5)},
			func(j *judge.Judge) { unsettled(j, 0, 9) }, 1, nil,
		},
		{
			"one has two, and the owner changed before and behind them",
			[]judge.Letter{letter(0, 10, 7, 1), letter(1, 10, 8, 1), letter(0, 10, 7, 5)},
			func(j *judge.Judge) { unsettled(j, 0, 0.9); unsettled(j, 5.1, 6) }, 1,
			map[judge.Fault]int64{judge.DeadRepeated: 1},
		},
		{
			"one has three, and the owner changed once: they are read in another order",
			[]judge.Letter{letter(0, 10, 7, 9), letter(1, 10, 8, 1), letter(0, 10, 7, 1), letter(0, 10, 7, 5)},
			func(j *judge.Judge) { unsettled(j, 2, 3) }, 2,
			map[judge.Fault]int64{judge.DeadRepeated: 1},
		},
		{
			"that of a new topic at the same offset is no repeat",
			[]judge.Letter{letter(0, 10, 7, 1), letter(1, 10, 8, 1), {Topic: 1, Offset: 10, Sum: 9, Written: second(5)}},
			func(j *judge.Judge) { j.Anew(); j.Acknowledged(0, 10, judge.Bad, 9) }, 0, nil,
		},
		{
			"the new topic's has none: the old one's at its offset is another",
			[]judge.Letter{letter(0, 10, 7, 1), letter(1, 10, 8, 1)},
			func(j *judge.Judge) { j.Anew(); j.Acknowledged(0, 10, judge.Bad, 9) }, 0,
			map[judge.Fault]int64{judge.NotDeadLettered: 1},
		},
		{
			"the old topic's, said to be the new one's",
			[]judge.Letter{{Topic: 1, Offset: 10, Sum: 7, Written: second(1)}, letter(1, 10, 8, 1)},
			func(j *judge.Judge) { j.Anew() }, 0,
			map[judge.Fault]int64{judge.DeadWrongly: 1, judge.NotDeadLettered: 1},
		},
		{
			"of a topic that nobody knows",
			[]judge.Letter{letter(0, 10, 7, 1), letter(1, 10, 8, 1), {Topic: -1, Offset: 10, Sum: 7, Written: second(1)}},
			nil, 0,
			map[judge.Fault]int64{judge.DeadWrongly: 1},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			j := judge.New()
			ten(j)
			j.Acknowledged(0, 10, judge.Bad, 7)
			j.Acknowledged(1, 10, judge.Bad, 8)
			if tt.run != nil {
				tt.run(j)
			}
			j.ExpectDeadLetters()
			for _, l := range tt.letters {
				j.DeadLettered(l)
			}
			if diff := cmp.Diff(tt.want, j.Verdict().Counts); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if _, repeats := j.DeadLetters(); repeats != tt.repeats {
				t.Errorf("%d repeats, want %d", repeats, tt.repeats)
			}
		})
	}
}

func TestUnrest(t *testing.T) {
	t.Parallel()
	j := judge.New()
	unsettled(j, 5, 7)
	unsettled(j, 1, 2)
	unsettled(j, 1.5, 3)
	unsettled(j, 5.5, 6)
	if got := j.Unrest(); got != 4*time.Second {
		t.Errorf("an unrest of %v in all, want 4 s", got)
	}
}
