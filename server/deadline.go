package server

import (
	"fmt"
	"net/http"
	"time"
)

// writeDeadline closes a stream whose client takes nothing for too long. It stands while something
// is being written, is put off as long as the client takes what is written, and is lifted before
// the stream waits: left standing it would end one that merely has nothing to send.
type writeDeadline struct {
	control *http.ResponseController
	timeout time.Duration // 0 is none

	setAt   time.Time // zero while lifted
	written int       // since then
}

// progress is how much a client has to take for the deadline to be put off.
const progress = 16 << 10

func newWriteDeadline(w http.ResponseWriter, timeout time.Duration) *writeDeadline {
	return &writeDeadline{control: http.NewResponseController(w), timeout: timeout}
}

// before is called before n bytes are written.
func (d *writeDeadline) before(n int) error {
	if d.timeout == 0 {
		return nil
	}
	now := time.Now()
	if d.setAt.IsZero() || d.written >= progress || now.Sub(d.setAt) > d.timeout/4 {
		if err := d.control.SetWriteDeadline(now.Add(d.timeout)); err != nil {
			return fmt.Errorf("set write deadline: %w", err)
		}
		d.setAt, d.written = now, 0
	}
	d.written += n
	return nil
}

// lift is called when all that was written has been sent off.
func (d *writeDeadline) lift() error {
	if d.timeout == 0 || d.setAt.IsZero() {
		return nil
	}
	if err := d.control.SetWriteDeadline(time.Time{}); err != nil {
		return fmt.Errorf("lift write deadline: %w", err)
	}
	d.setAt = time.Time{}
	return nil
}

// open lifts what a request begins with: its read deadline would, once over, end the stream that
// the request has opened.
func (d *writeDeadline) open() error {
	if err := d.control.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("lift read deadline: %w", err)
	}
	return nil
}
