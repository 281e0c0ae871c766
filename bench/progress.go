package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// progress is a line at the bottom of a terminal; elsewhere it is nothing.
type progress struct {
	out         io.Writer
	width       int
	begin       time.Time
	steps, done int
}

func newProgress(out io.Writer) *progress {
	p := &progress{}
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.out, p.width = file, 80
		if w, _, err := term.GetSize(int(file.Fd())); err == nil && w > 0 {
			p.width = w
		}
	}
	return p
}

// show replaces the line.
func (p *progress) show(text string) {
	if p.out == nil {
		return
	}
	if len(text) >= p.width {
		text = text[:p.width-1]
	}
	fmt.Fprint(p.out, "\r\x1b[K"+text)
}

func (p *progress) clear() { p.show("") }

// total says how many steps there will be.
func (p *progress) total(steps int) { p.steps, p.begin = steps, time.Now() }

// step says which one begins.
func (p *progress) step(what string) {
	left := ""
	if p.done > 0 {
		each := time.Since(p.begin) / time.Duration(p.done)
		left = fmt.Sprintf(", about %v left", (each * time.Duration(p.steps-p.done)).Round(time.Second))
	}
	p.done++
	p.show(fmt.Sprintf("[%d/%d%s] %s", p.done, p.steps, left, what))
}
