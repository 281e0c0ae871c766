package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

func TestSpread(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{[]float64{5}, Spread{5, 5, 5, 1}},
		{[]float64{3, 1}, Spread{2, 1, 3, 2}},
		{[]float64{9, 1, 4}, Spread{4, 1, 9, 3}},
		{[]float64{4, 1, 2, 9}, Spread{3, 1, 9, 4}},
	} {
		if got := spread(c.values); got != c.want {
			t.Errorf("%v: %+v", c.values, got)
		}
	}
	if got := spread(nil); got.Runs != 0 || !math.IsNaN(got.Median) {
		t.Errorf("of none: %+v", got)
	}
}

// TestRatiosGoByRounds: both are ten times slower in round 2, which the ratio must not see; and what
// has run in one of them alone has no ratio there.
func TestRatiosGoByRounds(t *testing.T) {
	t.Parallel()
	r := &Results{}
	for round, v := range map[int][2]float64{1: {30, 10}, 2: {3.3, 1}, 3: {28, 10}} {
		r.Add(Run{"w", "a", round, Metrics{PerCPU: v[0]}, time.Second})
		r.Add(Run{"w", "b", round, Metrics{PerCPU: v[1]}, time.Second})
	}
	r.Add(Run{"w", "a", 4, Metrics{PerCPU: 1000}, time.Second})
	r.Add(Run{"w", "b", 5, Metrics{PerCPU: 0}, time.Second})
	r.Add(Run{"w", "a", 5, Metrics{PerCPU: 1000}, time.Second})
	r.Add(Run{"other", "b", 4, Metrics{PerCPU: 1}, time.Second})
	if got, want := r.Ratio("w", "a", "b", PerCPU), (Spread{3, 2.8, 3.3, 3}); !cmp.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	if got := r.Difference("w", "a", "b", PerCPU); got.Median != 19 || got.Runs != 4 { // 20, 2.3, 18, 1000
		t.Errorf("%+v", got)
	}
	if got := r.Ratio("w", "a", "nobody", PerCPU); got.Runs != 0 {
		t.Errorf("%+v", got)
	}
}

func TestFiguresAreReadable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		m    Metric
		v    float64
		want string
	}{
		{PerCPU, 7_654_321, "7.65 M"},
		{PerCPU, 999_499, "999 k"},
		{PerCPU, 999_600, "1.00 M"},
		{PerCPU, 63_100, "63.1 k"},
		{PerCPU, 9_994, "9994"},
		{PerCPU, 0, "0.00"},
		{CPUPer, 0.000000123, "0.12 µs"},
		{CPUPer, 0.0000158, "15.8 µs"},
		{Wall, 0.62, "620 ms"},
		{Wall, 11.94, "11.9 s"},
		{AddedP50, -0.0005, "-500 µs"},
		{BytesPer, 280.4, "280 B"},
		{MemoryPer, 48_230, "47.1 KiB"},
		{PeakRSS, 130 << 20, "130 MiB"},
		{OverheadPer, -12, "-12.0 B"},
		{Elsewhere, 0.347, "35 %"},
		{ServerCores, 0.957, "0.96"},
		{Deliveries, 10_000_000, "10.0 M"},
		{Wall, math.NaN(), "–"},
	} {
		if got := c.m.format(c.v); got != c.want {
			t.Errorf("%s %v: %q, not %q", c.m, c.v, got, c.want)
		}
	}
}

// results are three rounds of two workloads.
func results() *Results {
	r := &Results{
		Machine: Machine{
			CPU: "AMD EPYC", Cores: 2, Memory: 24 << 30, Kernel: "6.18.44", Kafka: "embedded", Go: "go1.26.8", Commit: "abc1234",
			Date: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		},
		Rounds: 3, Took: 9 * time.Minute,
	}
	for round := 1; round <= 3; round++ {
		v := float64(round)
		r.Add(Run{"saturated", "paystream", round, Metrics{PerCPU: 7e6 + v*1e5, CPUPer: 1 / (7e6 + v*1e5), Elsewhere: 0.01 * v}, time.Second})
		r.Add(Run{"saturated", "grpc-go", round, Metrics{PerCPU: 5e5 + v*1e4, CPUPer: 1 / (5e5 + v*1e4)}, time.Second})
		r.Add(Run{"start", "paystream", round, Metrics{FirstEvent: 0.9}, time.Second})
		r.Add(Run{"idle", "paystream", round, Metrics{MemoryPer: 30_000}, time.Second})
		r.Add(Run{"idle", "handler", round, Metrics{MemoryPer: 25_000}, time.Second})
	}
	return r
}

func tables() []Table {
	return []Table{
		{
			Name: "saturated", Title: "Saturated: 100 subscribers", Notes: []string{"A note."}, Reference: "grpc-go",
			Columns: []Column{{PerCPU, "deliveries per CPU second", true}, {CPUPer, "CPU per delivery", false}, {Wall, "wall", false}},
			Rows:    []Row{{"paystream", "grpc-go"}, {"grpc-go", "grpc-go"}, {"has not run", "grpc-go"}},
		},
		{
			Name: "idle", Title: "Idle", Columns: []Column{{MemoryPer, "memory", true}},
			Rows: []Row{{"paystream", "handler"}, {"handler", "handler"}},
		},
		{Name: "start", Title: "Start", Columns: []Column{{FirstEvent, "first event", false}}, Rows: []Row{{"paystream", ""}}},
		{Name: "not run", Title: "Not run", Columns: []Column{{Wall, "wall", false}}, Rows: []Row{{"paystream", ""}}},
	}
}

func claims() []Claim {
	return []Claim{
		{
			Text: "At least 12 times grpc-go", Limit: 12, AtLeast: true,
			Value: func(r *Results) Spread { return r.Ratio("saturated", "paystream", "grpc-go", PerCPU) },
		},
		{
			Text: "First event within 0.8 s", Limit: 0.8, Metric: FirstEvent,
			Value: func(r *Results) Spread { return r.Spread("start", "paystream", FirstEvent) },
		},
		{Text: "Not measured", Limit: 1, Value: func(r *Results) Spread { return r.Spread("not run", "paystream", Wall) }},
	}
}

func TestReportsAreAsTheyWere(t *testing.T) {
	t.Parallel()
	quick := results()
	quick.Quick = true
	for file, write := range map[string]func(io.Writer) error{
		"report.txt":  func(w io.Writer) error { return results().Text(w, tables(), claims()) },
		"quick.txt":   func(w io.Writer) error { return quick.Text(w, nil, nil) },
		"report.md":   func(w io.Writer) error { return results().Markdown(w, tables(), claims()) },
		"report.json": func(w io.Writer) error { return results().JSON(w, tables(), claims()) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", file)
		if *update {
			if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s (go test ./report -update writes it):\n%s", file, diff)
		}
	}
}

func TestJSONHasEveryRun(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := results().JSON(&b, tables(), claims()); err != nil {
		t.Fatal(err)
	}
	var got Results
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(results(), &got); diff != "" {
		t.Error(diff)
	}
}
