// Package report writes what a run of chaos has shown.
package report

import (
	"cmp"
	"slices"
	"time"

	"paystream/chaos/judge"
)

// Row is one fault, alone, or all of them together.
type Row struct {
	Title    string
	Hold     time.Duration // how long the fault lasted
	Figures  judge.Figures // of that time alone
	Silence  Spread        // the longest time without a payment, of each subscriber that always reads
	CaughtUp time.Duration // how long after the mend the last subscriber had all from before it
	Note     string
	NotRun   string // why; empty where it was run
}

// Recovery is how soon something had recovered.
type Recovery struct {
	What   string
	Times  int // how often it was measured
	Spread Spread
	Target string // empty where there is none
	Met    bool
}

// Report is a whole run.
type Report struct {
	Seed     uint64
	Quick    bool
	Wanted   int64 // acknowledged payments that a full run is to have
	Machine  Machine
	Took     time.Duration
	Rows     []Row
	Recovery []Recovery
	Schedule []string // of the storm
	Figures  judge.Figures
	Verdict  judge.Verdict
	Broken   string // why not all was run; empty where it was
	Failed   int64  // records that no one acknowledged
	Ends     map[string]int
	Settings []string
	// DeadLetters says what was found in the dead-letter topic, or why nothing was looked for.
	DeadLetters     string
	DeadLettersRead bool
	Soak            string // see SoakOf; empty where none is known
}

// Machine is what it ran on.
type Machine struct {
	CPU    string
	Cores  int
	Memory int64
	Kernel string
	Go     string
	Commit string
	Date   time.Time
}

// Spread is the middle and the end of some durations.
type Spread struct{ Median, P99, Max time.Duration }

// SpreadOf returns the spread of some durations, zero of none.
func SpreadOf(d []time.Duration) Spread {
	if len(d) == 0 {
		return Spread{}
	}
	d = slices.Clone(d)
	slices.Sort(d)
	return Spread{d[len(d)/2], d[min(len(d)-1, len(d)*99/100)], d[len(d)-1]}
}

// Since returns the difference of two figures.
func Since(now, before judge.Figures) judge.Figures {
	return judge.Figures{
		Payments: now.Payments - before.Payments, Aborted: now.Aborted - before.Aborted, Bad: now.Bad - before.Bad,
		Tombstones: now.Tombstones - before.Tombstones, Delivered: now.Delivered - before.Delivered,
		Repeats: now.Repeats - before.Repeats, Gaps: now.Gaps - before.Gaps, Missed: now.Missed - before.Missed,
		Anew: now.Anew - before.Anew, Findings: now.Findings - before.Findings,
	}
}

// Claim is something that the run was to show.
type Claim struct {
	Text   string
	Shown  bool
	Detail string
}

// Claims are what the run was to show, and whether it did.
func (r *Report) Claims() []Claim {
	// Of what there was none of, nothing was shown: the detail says of how many.
	none := func(text string, of string, faults ...judge.Fault) Claim {
		n := int64(0)
		for _, f := range faults {
			n += r.Verdict.Counts[f]
		}
		return Claim{text, n == 0, count(n) + of}
	}
	deliveries := " of " + count(r.Figures.Delivered) + " deliveries"
	claims := []Claim{
		none("no payment lost", deliveries, judge.Lost),
		none("none out of order within a partition", deliveries, judge.OutOfOrder),
		none("none twice in one stream", deliveries, judge.Duplicate),
		none("each with the content that Kafka has at its offset", deliveries, judge.Altered, judge.NeverSent),
		none("nothing of an aborted transaction", " of "+count(r.Figures.Aborted)+" records", judge.AbortedShown),
		none("no bad record and no tombstone shown", " of "+count(r.Figures.Bad+r.Figures.Tombstones)+" records", judge.BadShown),
		none("every gap told", "; "+count(r.Figures.Gaps)+" were told", judge.UntoldGap),
		none("no gap told of what Kafka still has", "", judge.NeedlessGap),
		none("no subscriber refused for good", "", judge.Refused),
		none("nothing of another topic than the cursor's", "; "+count(r.Figures.Anew)+" cursors of a deleted topic were refused", judge.OtherTopic),
	}
	if r.DeadLettersRead {
		claims = append(claims, none("every bad record in the dead letters, with identical bytes", " of "+count(r.Figures.Bad)+" records",
			judge.NotDeadLettered, judge.DeadAltered, judge.DeadWrongly),
			none("no dead letter repeated without a change of owner", "", judge.DeadRepeated))
	}
	for _, m := range r.Recovery {
		if m.Target != "" {
			claims = append(claims, Claim{m.What + ": " + m.Target, m.Met, m.Spread.String()})
		}
	}
	if !r.Quick {
		claims = append([]Claim{{"at least " + count(r.Wanted) + " payments acknowledged", r.Figures.Payments >= r.Wanted, count(r.Figures.Payments)}}, claims...)
	}
	return claims
}

// Passed reports whether all was shown.
func (r *Report) Passed() bool {
	return r.Broken == "" && r.Verdict.Clean() && !slices.ContainsFunc(r.Claims(), func(c Claim) bool { return !c.Shown })
}

// ends returns how streams ended, the most frequent first.
func (r *Report) ends() []string {
	var names []string
	for name := range r.Ends {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(r.Ends[b]-r.Ends[a], cmp.Compare(a, b)) })
	return names
}
