package server

import (
	"net/http"

	"paystream/broadcast"
)

// piece is how much is written at a time, so that it shows what a slow client takes.
const piece = 16 << 10

// directWriter writes frames to a stream, in whatever protocol: they are made to stand on the wire as
// they are. It copies nothing and keeps nothing.
type directWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	format  format
	stalls  *stalls
	writing *writing // nil until it is open
}

func (s *Server) newDirectWriter(w http.ResponseWriter, f format) directWriter {
	return directWriter{w: w, control: http.NewResponseController(w), format: f, stalls: s.stalls}
}

func (d *directWriter) watch() (err error) {
	d.writing, err = d.stalls.watch(d.control)
	return err
}

// close is called when the handler has written all that it will.
func (d *directWriter) close() { d.stalls.forget(d.writing) }

func (d *directWriter) send(run broadcast.Run) error { return d.write(run.Bytes()) }

func (d *directWriter) flush() error {
	d.writing.begin()
	defer d.writing.end()
	if err := d.control.Flush(); err != nil {
		return gone(err)
	}
	return nil
}

func (d *directWriter) heartbeat(cursor string) error { return d.message(d.format.heartbeat(cursor)) }

// message writes something that nothing follows at once.
func (d *directWriter) message(b []byte) error {
	if err := d.write(b); err != nil {
		return err
	}
	return d.flush()
}

func (d *directWriter) write(b []byte) error {
	defer d.writing.end()
	for len(b) > 0 {
		n := min(len(b), piece)
		d.writing.begin()
		if _, err := d.w.Write(b[:n]); err != nil {
			return gone(err)
		}
		b = b[n:]
	}
	return nil
}
