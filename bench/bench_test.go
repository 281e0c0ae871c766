package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"paystream/bench/report"
)

// TestMain is also the processes that a bench starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && !strings.HasPrefix(os.Args[1], "-") {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestBench runs some of it, small, with every kind of process.
func TestBench(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs the gateway")
	}
	dir := t.TempDir()
	figures, page := filepath.Join(dir, "figures.json"), filepath.Join(dir, "page.md")
	var out bytes.Buffer
	args := []string{"-quick", "-rounds=2", "-only=decode,snapshot", "-json", figures, "-markdown", page}
	if err := run(t.Context(), args, nil, &out, t.Output()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Snapshot: ", "Decode: ", "What it is held to", "A quick run"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	b, err := os.ReadFile(figures)
	if err != nil {
		t.Fatal(err)
	}
	var results report.Results
	if err := json.Unmarshal(b, &results); err != nil {
		t.Fatal(err)
	}
	if len(results.Runs) != 2*(1+2) || results.Machine.Cores == 0 || results.Machine.CPU == "" {
		t.Errorf("%d runs on %+v", len(results.Runs), results.Machine)
	}
	for _, r := range results.Runs {
		if r.Metrics[report.ServerCPU] <= 0 {
			t.Errorf("%s: %s has used no CPU: %v", r.Workload, r.Subject, r.Metrics)
		}
	}
	if b, err := os.ReadFile(page); err != nil || !strings.Contains(string(b), "## Snapshot: ") {
		t.Errorf("%s, %v", b, err)
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		args   []string
		rounds int
		fault  string
	}{
		{nil, 3, ""},
		{[]string{"-quick"}, 1, ""},
		{[]string{"-quick", "-rounds=4"}, 4, ""},
		{[]string{"-rounds=0"}, 0, "at least one"},
		{[]string{"-only=saturated,nothing"}, 3, `no workload "nothing"`},
		{[]string{"saturated"}, 0, "unexpected"},
		{[]string{"-match=("}, 3, "regexp"},
		{[]string{"-only=slow", "-match=TCP"}, 3, "nothing like"},
	} {
		o, err := parse(c.args, t.Output())
		if err == nil {
			_, err = o.chosen()
		}
		switch {
		case c.fault == "" && (err != nil || o.rounds != c.rounds):
			t.Errorf("%v: %d rounds, %v", c.args, o.rounds, err)
		case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
			t.Errorf("%v: %v", c.args, err)
		}
	}
	chosen, err := options{only: "slow,saturated", match: "grpc-go|stalled"}.chosen()
	if err != nil || len(chosen) != 2 || chosen[0].Table.Name != "saturated" || len(chosen[0].Subjects) != 1 || len(chosen[1].Subjects) != 2 {
		t.Errorf("%v, %v", chosen, err)
	}
}
