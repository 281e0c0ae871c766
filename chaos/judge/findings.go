package judge

import (
	"maps"
	"slices"
)

// mostExamples is how many findings of a fault are kept.
const mostExamples = 10

// findings are counted, the first of each fault kept.
type findings struct {
	counts   map[Fault]int64
	examples []Finding
}

func (f *findings) add(found Finding) { f.addMany(found, 1) }

func (f *findings) addMany(found Finding, n int64) {
	if n == 0 {
		return
	}
	if f.counts == nil {
		f.counts = map[Fault]int64{}
	}
	same := 0
	for _, e := range f.examples {
		if e.Fault == found.Fault {
			same++
		}
	}
	if same < mostExamples {
		f.examples = append(f.examples, found)
	}
	f.counts[found.Fault] += n
}

func (f *findings) total() (n int64) {
	for _, c := range f.counts {
		n += c
	}
	return n
}

func (f *findings) clone() findings {
	return findings{counts: maps.Clone(f.counts), examples: slices.Clone(f.examples)}
}
