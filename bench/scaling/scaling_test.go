package scaling_test

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paystream/bench/report"
	"paystream/bench/scaling"
	"paystream/bench/workload"
)

const page = "../../docs/SCALING.md"

// TestPage: the committed page has the tables of the committed results.
func TestPage(t *testing.T) {
	t.Parallel()
	r, err := scaling.Read("../results.json")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("there are no results yet")
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want, err := scaling.Fill(string(b), r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Errorf("docs/SCALING.md is not of bench/results.json; run go -C bench run . -scaling results.json\n%s", diff)
	}
}

// everything is results in which each subject of each workload has each figure that is given here.
func everything() *report.Results {
	r := &report.Results{Rounds: 1}
	for _, w := range workload.All() {
		for _, s := range w.Subjects {
			m := report.Metrics{
				report.CPUPer: 1e-7, report.CPUPerRecord: 2e-6, report.CPUPerExamined: 2e-8, report.BytesPer: 260,
				report.FanOutCores: 0.3, report.IngestCores: 0.03, report.RecordSize: 190, report.MemoryPer: 260,
				report.RSSPer: 300, report.FirstEvent: 0.5, report.ServerCPU: 0.4,
				report.SpreadP50: 5e-3, report.SpreadP99: 10e-3,
			}
			r.Add(report.Run{Workload: w.Table.Name, Subject: s.Name, Round: 1, Metrics: m})
		}
	}
	return r
}

// TestCosts: the subjects go by the names that the workloads give them, and a live delivery's cost is that
// of its share of the cores.
func TestCosts(t *testing.T) {
	t.Parallel()
	c, err := scaling.CostsOf(everything())
	if err != nil {
		t.Fatal(err)
	}
	near(t, "latency: 0.3 cores for 1,000 x 20 deliveries", c.Single.DeliveryCPUSeconds, 15e-6)
	near(t, "latency: 0.03 cores for 20 payments", c.Single.IngestCPUSeconds, 1.5e-3)
	near(t, "paced: 0.3 cores for 200 x 500 deliveries", c.Fives.DeliveryCPUSeconds, 3e-6)
	near(t, "paced: 0.03 cores for 500 payments", c.Fives.IngestCPUSeconds, 60e-6)

	partial := everything()
	partial.Runs = slices.DeleteFunc(partial.Runs, func(run report.Run) bool { return run.Workload == "idle" })
	if _, err := scaling.CostsOf(partial); err == nil || !strings.Contains(err.Error(), `HTTP/2, a connection each" in idle`) {
		t.Errorf("without idle: %v", err)
	}
}

// TestNoise: what is beyond two digits of a figure changes nothing.
func TestNoise(t *testing.T) {
	t.Parallel()
	noisy := everything()
	for _, run := range noisy.Runs {
		for m := range run.Metrics {
			run.Metrics[m] *= 1.004
		}
	}
	want, err := scaling.Tables(everything())
	if err != nil {
		t.Fatal(err)
	}
	got, err := scaling.Tables(noisy)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	p := scaling.Pace{DeliveryCPUSeconds: 2e-6, IngestCPUSeconds: 100e-6}
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"half of 4 cores, 2 µs each", p.Deliveries(4), 1e6},
		{"1,000 payments a second take a tenth of a core", p.IngestCores(1000), 0.1},
		{"to 500 subscribers, a whole one", p.FanOutCores(1000, 500), 1},
		{"0.9 of the core that is planned with are left", p.Subscribers(2, 1000), 450},
		{"nothing is left", p.Subscribers(2, 10_000), 0},
		{"451 need a second gateway", p.Gateways(2, 1000, 451), 2},
		{"no number of gateways would do", p.Gateways(2, 20_000, 10), math.Inf(1)},
		{"50 subscribers cost what reading does", p.EvenSubscribers(), 50},
		{"so two gateways for 100 read half of the time", p.IngestShare(2, 100), 0.5},
		{"alone: 260 + 5 + 9 bytes in one packet of 90 more", scaling.WireBytes(260, 1), 364},
		{"ten: 2,659 bytes in two", scaling.WireBytes(260, 10), 283.9},
		{"a million of 125 bytes", scaling.GigabitsPerSecond(1e6, 125), 1},
		{"small: a quarter is for frames, a ninth of the rest for who comes back", scaling.RetainBytes(2048, 8<<10), 24 << 20},
		{"large: 16 MiB are for frames", scaling.RetainBytes(1<<20, 8<<10), 9<<30 + 16<<20},
	} {
		near(t, c.name, c.got, c.want)
	}
}

// TestIngestRange: five at a time is not believed beyond what one goroutine can read.
func TestIngestRange(t *testing.T) {
	t.Parallel()
	c := scaling.Costs{
		Fives: scaling.Pace{IngestCPUSeconds: 60e-6}, CatchUp: scaling.Pace{IngestCPUSeconds: 2e-6},
	}
	for _, want := range []struct{ perSecond, least, most float64 }{
		{500, 0.001, 0.03}, {50_000, 0.1, 1}, {1_000_000, 2, 2},
	} {
		least, most := c.IngestRange(want.perSecond)
		near(t, "least", least, want.least)
		near(t, "most", most, want.most)
	}
}

func near(t *testing.T, name string, got, want float64) {
	t.Helper()
	if got != want && !(math.Abs(got-want) <= 1e-9*math.Abs(want)) {
		t.Errorf("%s: %v, want %v", name, got, want)
	}
}

// TestUpdate fills every table of the real page in, and does so again with no change.
func TestUpdate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	copied, results := filepath.Join(dir, "page.md"), filepath.Join(dir, "results.json")
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	write := func(path string, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(copied, b)
	var figures strings.Builder
	if err := everything().JSON(&figures, nil, nil); err != nil {
		t.Fatal(err)
	}
	write(results, []byte(figures.String()))
	var pages [2]string
	for i := range pages {
		if err := scaling.Update(copied, results); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(copied)
		if err != nil {
			t.Fatal(err)
		}
		pages[i] = string(b)
	}
	if diff := cmp.Diff(pages[0], pages[1]); diff != "" {
		t.Error(diff)
	}
	if want := "| one at a time | 15 µs | 1.5 ms | 100 |"; !strings.Contains(pages[0], want) {
		t.Errorf("no %q in\n%s", want, pages[0])
	}
	for _, unexpected := range []string{"NaN", "Inf"} {
		if strings.Contains(pages[0], unexpected) {
			t.Errorf("%s in\n%s", unexpected, pages[0])
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, page, want string }{
		{"a table has no place", strings.Replace(string(b), "<!-- table: costs -->", "", 1), "no place for: costs"},
		{"a place has no table", strings.Replace(string(b), "<!-- table: costs -->", "<!-- table: hopes -->", 1), "none of, or twice: hopes"},
		{"a place is there twice", string(b) + "<!-- table: costs -->\n<!-- end -->\n", "none of, or twice: costs"},
	} {
		if _, err := scaling.Fill(c.page, everything()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
