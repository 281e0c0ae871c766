package soak_test

import (
	"strings"
	"testing"

	"paystream/chaos/soak"
)

func TestFlat(t *testing.T) {
	t.Parallel()
	same := func(int64) int64 { return 100 }
	for _, tt := range []struct {
		name          string
		memory, files func(n int64) int64 // of the second gateway; memory in MiB
		grown         []string
	}{
		{"flat", same, same, nil},
		{"fills in the beginning", func(n int64) int64 { return min(100, 20+20*n) }, same, nil},
		{"goes up and down", func(n int64) int64 { return 100 + 40*(n%2) }, same, nil},
		{"shrinks", func(n int64) int64 { return 200 - n }, same, nil},
		{"grows by what is allowed", func(n int64) int64 { return 100 + n/3 }, same, nil},
		{"grows", func(n int64) int64 { return 100 + n }, same, []string{"gateway 1, resident memory, MiB: 122, then 152, at the most 142"}},
		{"has one peak", func(n int64) int64 {
			if n == 50 {
				return 1000
			}
			return 100
		}, same, nil},
		{"leaks files", same, func(n int64) int64 { return 100 + n }, []string{"gateway 1, open files: 122, then 152, at the most 144"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var all []soak.Sample
			for n := range int64(60) {
				all = append(all, soak.Sample{Gateways: []soak.Figures{
					{Memory: 50 << 20, Heap: 30 << 20, Goroutines: 7, Files: 9},
					{Memory: tt.memory(n) << 20, Heap: 30 << 20, Goroutines: 7, Files: tt.files(n)},
				}})
			}
			var grown []string
			for _, r := range soak.Grown(soak.Rows(all)) {
				grown = append(grown, r.String())
			}
			if strings.Join(grown, "\n") != strings.Join(tt.grown, "\n") {
				t.Errorf("grown: %q, want %q", grown, tt.grown)
			}
		})
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	var all []soak.Sample
	for n := range int64(8) {
		all = append(all, soak.Sample{Gateways: []soak.Figures{{Memory: (n + 1) * 100 << 20, Heap: 30 << 20, Goroutines: 7, Files: 9}}})
	}
	text := soak.Text(soak.Rows(all))
	for _, want := range []string{
		"| resident memory, MiB | 0 | 400 | 800 | +100.0 % | **NO** |",
		"| open files | 0 | 9 | 9 | +0.0 % | yes |",
		"resident memory, MiB\n  gateway 0  ▂▃▄▅▆▇██  100 to 800\n\nheap",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}
