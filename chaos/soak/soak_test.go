package soak_test

import (
	"testing"

	"paystream/chaos/soak"
)

func TestRows(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		memory func(n int64) int64 // MiB
		flat   bool
	}{
		{"flat", func(int64) int64 { return 100 }, true},
		{"fills in the beginning", func(n int64) int64 { return min(100, 20+20*n) }, true},
		{"grows", func(n int64) int64 { return 100 + n }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var all []soak.Sample
			for n := range int64(60) {
				all = append(all, soak.Sample{Memory: tt.memory(n) << 20, Goroutines: 7, Files: 9})
			}
			rows := soak.Rows(all)
			if flat := rows[0].Growth() < 5; flat != tt.flat {
				t.Errorf("grown by %.1f %%", rows[0].Growth())
			}
			if rows[1].First != 7 || rows[2].Last != 9 {
				t.Errorf("%+v", rows)
			}
		})
	}
}
