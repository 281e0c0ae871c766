package soak

import (
	"fmt"
	"slices"
)

// measure is one of the figures, and how much of it is no growth.
type measure struct {
	name  string
	of    func(Figures) int64
	slack int64
}

// percent is how much more than in the second quarter the last may have, besides the slack.
const percent = 10

func measures() []measure {
	return []measure{
		{"resident memory, MiB", func(f Figures) int64 { return f.Memory >> 20 }, 8},
		{"heap at the next collection, MiB", func(f Figures) int64 { return f.Heap >> 20 }, 4},
		{"goroutines", func(f Figures) int64 { return f.Goroutines }, 30},
		{"open files", func(f Figures) int64 { return f.Files }, 10},
	}
}

// Rule is what counts as flat, in words.
const Rule = "A gateway is flat when the median of the last quarter of the time is not more than 10 % above that of the second, " +
	"and besides 8 MiB of memory, 4 MiB of heap, 30 goroutines, or 10 files; in the first quarter, windows and buffers fill."

// Row is one figure of one gateway over the whole time.
type Row struct {
	Name           string
	Gateway        int
	Values         []int64
	Second, Fourth int64 // medians of quarters
	Limit          int64 // what the latter may be
}

// Flat reports whether the gateway has not grown.
func (r Row) Flat() bool { return r.Fourth <= r.Limit }

// Growth is how much the last quarter is above the second, in percent.
func (r Row) Growth() float64 { return 100 * (float64(r.Fourth)/float64(max(1, r.Second)) - 1) }

func (r Row) String() string {
	return fmt.Sprintf("gateway %d, %s: %d, then %d, at the most %d", r.Gateway, r.Name, r.Second, r.Fourth, r.Limit)
}

// Rows are the figures of the samples, each of every gateway.
func Rows(all []Sample) []Row {
	if len(all) == 0 {
		return nil
	}
	var rows []Row
	for _, m := range measures() {
		for g := range all[0].Gateways {
			r := Row{Name: m.name, Gateway: g}
			for _, s := range all {
				r.Values = append(r.Values, m.of(s.Gateways[g]))
			}
			n := len(all)
			r.Second, r.Fourth = median(r.Values[n/4:(n+1)/2]), median(r.Values[n*3/4:])
			r.Limit = r.Second + r.Second*percent/100 + m.slack
			rows = append(rows, r)
		}
	}
	return rows
}

// median is 0 of none.
func median(v []int64) int64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// Grown are the rows that are not flat.
func Grown(rows []Row) []Row {
	return slices.DeleteFunc(slices.Clone(rows), Row.Flat)
}
