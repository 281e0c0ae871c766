package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"paystream/chaos/report"
	"paystream/chaos/soak"
	"paystream/chaos/world"
)

// soakRun has a crowd come and go, and writes how the gateways' memory, goroutines and files went.
func soakRun(ctx context.Context, o options, out io.Writer, p *progress) error {
	defer p.clear()
	w, err := world.Start(ctx, world.Config{Root: o.root, Binary: o.binary, Rate: o.rate, Seed: o.seed}, p.show)
	if err != nil {
		return err
	}
	defer w.Close()
	w.Begin(ctx)
	samples, err := soak.Run(ctx, w, o.crowd, o.soak, func(s soak.Sample) {
		f := w.Judge.Figures()
		p.linef("%d MiB, %d goroutines, %d files; %d acknowledged, %d delivered, %d findings",
			s.Memory>>20, s.Goroutines, s.Files, f.Payments, f.Delivered, f.Findings)
	})
	if err != nil {
		return err
	}
	if err := w.End(); err != nil {
		return err
	}
	verdict := w.Judge.Verdict()
	text := soakText(o, w, samples, report.Report{Seed: o.seed, Machine: machine(ctx, o.root), Figures: w.Judge.Figures(), Verdict: verdict})
	if o.markdown != "" {
		err = os.WriteFile(o.markdown, []byte(text), 0o600)
	} else {
		_, err = io.WriteString(out, text)
	}
	if err == nil && !verdict.Clean() {
		err = errFound
	}
	for _, f := range verdict.Examples {
		p.linef("%v", f)
	}
	return err
}

func soakText(o options, w *world.World, samples []soak.Sample, r report.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Soak\n\nWritten by `make chaos-soak`, for %v: three gateways, %d subscribers that come and go, %d payments a second. "+
		"%d payments, %d deliveries, %d kinds of findings. %d cores, %s, %s, %s.\n\n", o.soak, o.crowd, w.Rate,
		r.Figures.Payments, r.Figures.Delivered, len(r.Verdict.Counts), r.Machine.Cores, r.Machine.CPU, r.Machine.Commit, r.Machine.Date.Format(time.DateOnly))
	b.WriteString("| the three gateways together | first quarter | last quarter | growth |\n|---|---:|---:|---:|\n")
	for _, row := range soak.Rows(samples) {
		fmt.Fprintf(&b, "| %s | %d | %d | %+.1f %% |\n", row.Name, row.First, row.Last, row.Growth())
	}
	for _, row := range soak.Rows(samples) {
		fmt.Fprintf(&b, "\n```mermaid\nxychart-beta\n  title %q\n  x-axis \"minutes\" 0 --> %.1f\n  y-axis 0 --> %d\n  line %s\n```\n",
			row.Name, o.soak.Minutes(), row.Most*5/4, strings.ReplaceAll(fmt.Sprint(row.Values), " ", ", "))
	}
	return b.String()
}
