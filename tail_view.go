package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"paystream/gen/payment"
)

// tailView is what a tail shows.
type tailView interface {
	// event prints an event; an error is the end of the tail.
	event(e *paymentpb.PaymentEvent) error
	// say tells something beside the payments, in a line that stays.
	say(text string)
	// enter tells how the tail is getting on from now on.
	enter(state tailState)
	// close prints what is left. Nothing may be called after it.
	close() error
}

// tailState is how a tail is getting on.
type tailState struct {
	phase phase
	until time.Time // of retrying
	why   string    // of retrying
}

type phase string

const (
	connecting phase = "connecting"
	existing   phase = "existing" // payments that were there before
	live       phase = "live"
	retrying   phase = "retrying"
)

// plainView is for files, pipes and terminals that only print: events to standard output, all else
// to standard error, nothing twice and nothing taken back.
type plainView struct {
	out, err io.Writer
	write    eventPrinter
	line     bytes.Buffer
}

func (v *plainView) event(e *paymentpb.PaymentEvent) error {
	v.line.Reset()
	if err := v.write(&v.line, e); err != nil {
		return err
	}
	_, err := v.out.Write(v.line.Bytes())
	return err
}

func (v *plainView) say(text string) { fmt.Fprintln(v.err, text) }
func (v *plainView) enter(tailState) {}
func (v *plainView) close() error    { return nil }

const (
	// viewBuffer is how much is printed at a time, at most: a terminal that does not keep up then
	// holds the tail up, and with it the stream.
	viewBuffer = 64 << 10

	// rateOver is how long the payments are counted for the rate that is shown.
	rateOver = 5 * time.Second
)

// terminalView is for a terminal: the events, and below them a line that says how it is getting on.
// An event is printed at once, unless something has been within redrawEvery; then all that come
// until that is over are printed together.
type terminalView struct {
	out     io.Writer
	write   eventPrinter
	address string
	colors  bool

	wake, stop, done chan struct{}

	mu       sync.Mutex
	bottom   *bottomLine
	waiting  bytes.Buffer // lines to print
	drawn    time.Time
	state    tailState
	received int
	samples  []rateSample
	failure  error // of printing
}

// rateSample is how many had been received at a time.
type rateSample struct {
	at       time.Time
	received int
}

// newTerminalView returns a view that draws until it is closed.
func newTerminalView(out io.Writer, bottom *bottomLine, write eventPrinter, address string, colors bool) *terminalView {
	v := &terminalView{
		out: out, bottom: bottom, write: write, address: address, colors: colors,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go v.run()
	return v
}

// run draws what waits when it is time to, and else once a second: rates and pauses change.
func (v *terminalView) run() {
	defer close(v.done)
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	for {
		select {
		case <-v.wake:
			timer.Reset(redrawEvery)
			continue
		case <-timer.C:
		case <-v.stop:
			return
		}
		v.mu.Lock()
		v.draw()
		v.mu.Unlock()
		timer.Reset(time.Second)
	}
}

func (v *terminalView) event(e *paymentpb.PaymentEvent) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	first := v.waiting.Len() == 0
	if err := v.write(&v.waiting, e); err != nil {
		return err
	}
	v.received++
	switch {
	case v.waiting.Len() >= viewBuffer, time.Since(v.drawn) >= redrawEvery:
		v.draw()
	case first:
		select {
		case v.wake <- struct{}{}:
		default: // run is about to take the one before, which will do
		}
	}
	return v.failure
}

func (v *terminalView) say(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.flush()
	fmt.Fprintln(v.bottom.w, text)
	v.draw()
}

func (v *terminalView) enter(state tailState) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if state.phase != v.state.phase {
		v.samples = nil // another phase, another rate
	}
	v.state = state
	v.draw()
}

func (v *terminalView) close() error {
	close(v.stop)
	<-v.done
	v.flush()
	return v.failure
}

// draw prints what waits, and the bottom line below it.
func (v *terminalView) draw() {
	if v.waiting.Len() > 0 {
		v.flush()
	}
	v.drawn = time.Now()
	v.bottom.draw(v.status(v.bottom.columns(), v.drawn))
}

// flush takes the bottom line away and prints what waits.
func (v *terminalView) flush() {
	v.bottom.clear()
	if _, err := v.waiting.WriteTo(v.out); err != nil && v.failure == nil {
		v.failure = err
	}
}

// status is the bottom line, in so many columns.
func (v *terminalView) status(columns int, now time.Time) string {
	head, color := string(v.state.phase), faint
	switch v.state.phase {
	case connecting:
	case existing:
		color = yellow
	case live:
		color = green
	case retrying:
		color = red
		head = fmt.Sprintf("retrying in %.0f s: %s", math.Ceil(max(0, v.state.until.Sub(now).Seconds())), v.state.why)
	}
	rest := ""
	if v.received > 0 {
		rest += "  " + humanize.Comma(int64(v.received)) + " received"
	}
	if v.state.phase == existing || v.state.phase == live {
		rest += "  " + v.rate(now)
	}
	// Where all that is too long, the address goes first, and then a part of the reason.
	if room := columns - columnsOf(head) - columnsOf(rest); room > columnsOf(v.address)+1 {
		rest += "  " + v.address
	}
	head = fit(head, max(columns-columnsOf(rest), columns/2))
	rest = fit(rest, columns-columnsOf(head))
	if !v.colors {
		return head + rest
	}
	return color + head + plainText + faint + rest + plainText
}

// rate is how many payments a second have come of late.
func (v *terminalView) rate(now time.Time) string {
	for len(v.samples) > 1 && now.Sub(v.samples[1].at) >= rateOver {
		v.samples = v.samples[1:]
	}
	if n := len(v.samples); n == 0 || now.Sub(v.samples[n-1].at) >= time.Second {
		v.samples = append(v.samples, rateSample{now, v.received})
	}
	since := v.samples[0]
	rate := float64(v.received-since.received) / max(1, now.Sub(since.at).Seconds())
	if rate < 10 {
		return fmt.Sprintf("%.1f/s", rate)
	}
	return humanize.Comma(int64(rate)) + "/s"
}
