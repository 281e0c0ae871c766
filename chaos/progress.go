package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"paystream/chaos/report"
	"paystream/chaos/world"
)

// progress prints a line for each step, and on a terminal one below them that changes.
type progress struct {
	out   io.Writer
	start time.Time

	mu       sync.Mutex
	terminal *os.File // nil where there is none
	what     string
}

func newProgress(out, terminal io.Writer) *progress {
	p := &progress{out: out, start: time.Now()}
	if file, ok := terminal.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.terminal = file
	}
	return p
}

// linef prints a line that stays.
func (p *progress) linef(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	fmt.Fprintf(p.out, "%6.1f s  %s\n", time.Since(p.start).Seconds(), fmt.Sprintf(format, args...))
}

// show replaces the line below.
func (p *progress) show(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal != nil {
		fmt.Fprintf(p.terminal, "\r\x1b[K%s", text[:min(len(text), p.width()-1)])
	}
}

func (p *progress) width() int {
	if w, _, err := term.GetSize(int(p.terminal.Fd())); err == nil && w > 1 {
		return w
	}
	return 80
}

func (p *progress) clear() { p.show("") }

func (p *progress) erase() {
	if p.terminal != nil {
		fmt.Fprint(p.terminal, "\r\x1b[K")
	}
}

// begin says what is done now.
func (p *progress) begin(what string) {
	p.mu.Lock()
	p.what = what
	p.mu.Unlock()
	p.show(what)
}

// row prints what a step has shown.
func (p *progress) row(r report.Row) {
	if r.NotRun != "" {
		p.linef("%-42s not run: %s", r.Title, r.NotRun)
		return
	}
	p.linef("%-42s silence %v, caught up after %.1f s, %d repeats, %d gaps, %d findings; %s",
		r.Title, r.Silence, r.CaughtUp.Seconds(), r.Figures.Repeats, r.Figures.Gaps, r.Figures.Findings, r.Note)
}

// watch shows the counts until the function that it returns is called.
func (p *progress) watch(w *world.World) func() {
	if p.terminal == nil {
		return func() {}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for tick := time.NewTicker(time.Second); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
			}
			f := w.Judge.Figures()
			p.mu.Lock()
			what := p.what
			p.mu.Unlock()
			p.show(fmt.Sprintf("%.0f s: %d acknowledged, %d delivered, %d findings: %s",
				time.Since(p.start).Seconds(), f.Payments, f.Delivered, f.Findings, what))
		}
	})
	return func() { close(done); wg.Wait() }
}
