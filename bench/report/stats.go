package report

import (
	"math"
	"slices"
)

// Spread is the median of several runs, and the least and the greatest of them.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Runs   int     `json:"runs"`
}

// spread returns that of some values; of none it is NaN.
func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{math.NaN(), math.NaN(), math.NaN(), 0}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	median := sorted[n/2]
	if n%2 == 0 {
		median = (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return Spread{median, sorted[0], sorted[n-1], n}
}

// ratios returns the ratios of two subjects' values, round by round: what ran next to each other had
// the same machine. A round that lacks either, or has nothing to divide by, is left out.
func ratios(of, by map[int]float64) []float64 {
	var r []float64
	for round, v := range of {
		if d, ok := by[round]; ok && d != 0 {
			r = append(r, v/d)
		}
	}
	return r
}
