package server

import (
	"net/http"
	"time"

	"paystream/broadcast"
)

// directWriter writes frames to a stream that has been opened, in whatever protocol: they are made to
// stand on the wire as they are. It copies nothing and keeps nothing.
type directWriter struct {
	w        http.ResponseWriter
	deadline *writeDeadline
	format   format
}

func newDirectWriter(w http.ResponseWriter, timeout time.Duration, f format) directWriter {
	return directWriter{w: w, deadline: newWriteDeadline(w, timeout), format: f}
}

func (d directWriter) send(run broadcast.Run) error { return d.write(run.Bytes()) }

func (d directWriter) flush() error {
	if err := d.deadline.before(0); err != nil {
		return err
	}
	if err := d.deadline.control.Flush(); err != nil {
		return gone(err)
	}
	return d.deadline.lift()
}

func (d directWriter) heartbeat(cursor string) error { return d.message(d.format.heartbeat(cursor)) }

// message writes something that nothing follows at once.
func (d directWriter) message(b []byte) error {
	if err := d.write(b); err != nil {
		return err
	}
	return d.flush()
}

// write writes in pieces, so that the deadline sees what the client takes.
func (d directWriter) write(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), progress)
		if err := d.deadline.before(n); err != nil {
			return err
		}
		if _, err := d.w.Write(b[:n]); err != nil {
			return gone(err)
		}
		b = b[n:]
	}
	return nil
}
