package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"paystream/chaos/report"
	"paystream/chaos/soak"
	"paystream/chaos/world"
)

var errGrown = errors.New("the gateways have grown")

// soakRun has a crowd come and go, and judges how the gateways' memory, goroutines and files went.
func soakRun(ctx context.Context, o options, out io.Writer, p *progress) error {
	defer p.clear()
	m := machine(ctx, o.root) // as it is now: the sources may change meanwhile
	w, err := world.Start(ctx, world.Config{Root: o.root, Binary: o.binary, Rate: o.rate, Seed: o.seed, Logs: o.logs}, p.show)
	if err != nil {
		return err
	}
	defer w.Close()
	w.Begin(ctx)
	samples, err := soak.Run(ctx, w, o.crowd, o.soak, func(s soak.Sample) {
		var memory, goroutines, files int64
		for _, g := range s.Gateways {
			memory, goroutines, files = memory+g.Memory, goroutines+g.Goroutines, files+g.Files
		}
		f := w.Judge.Figures()
		p.linef("%d MiB, %d goroutines, %d files; %d acknowledged, %d delivered, %d findings",
			memory>>20, goroutines, files, f.Payments, f.Delivered, f.Findings)
	})
	if err != nil {
		return err
	}
	if err := w.End(); err != nil {
		return err
	}
	verdict, rows := w.Judge.Verdict(), soak.Rows(samples)
	for _, f := range verdict.Examples {
		p.linef("%v", f)
	}
	grown := soak.Grown(rows)
	for _, r := range grown {
		p.linef("%v", r)
	}
	if err := o.writeSoak(out, soakHead(m, o, w)+soak.Text(rows)); err != nil {
		return err
	}
	switch {
	case !verdict.Clean():
		return errFound
	case len(grown) > 0:
		return errGrown
	}
	return nil
}

func soakHead(m report.Machine, o options, w *world.World) string {
	f := w.Judge.Figures()
	findings := "none"
	if v := w.Judge.Verdict(); !v.Clean() {
		var all []string
		for fault, n := range v.Counts {
			all = append(all, fmt.Sprintf("%s: %d", fault, n))
		}
		findings = "**" + strings.Join(all, "; ") + "**"
	}
	return fmt.Sprintf("`make chaos-soak`, for %v: three gateways, %d subscribers that come and go, of whom one in ten wants everything and the others a sixteenth of it, %d payments a second; %d payments, %d deliveries. "+
		"Findings: %s. %s, %d cores, paystream %s, %s.\n\n",
		o.soak, o.crowd, w.Rate, f.Payments, f.Delivered, findings, m.CPU, m.Cores, m.Commit, m.Date.Format(time.DateOnly))
}

// writeSoak writes into the page that the other runs write, or where there is none, on out.
func (o options) writeSoak(out io.Writer, text string) error {
	if o.markdown == "" {
		_, err := io.WriteString(out, text)
		return err
	}
	page, err := os.ReadFile(o.markdown)
	if errors.Is(err, fs.ErrNotExist) {
		page, err = []byte("# Results\n\n"), nil
	}
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(o.markdown, []byte(report.WithSoak(string(page), text)), 0o600); err != nil { //nolint:gosec // the file that the flag names
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
