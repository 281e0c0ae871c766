package server

import (
	"context"
	"net/http"
	"time"

	"paystream/broadcast"
	"paystream/server/h2direct"
)

// A piece is what is written at a time, so that it shows what a slow client takes: small pieces, until
// the client has taken one in less than quick.
const (
	smallPiece = 16 << 10
	largePiece = 256 << 10
	quick      = time.Second
)

// directWriter writes frames to a stream, in whatever protocol: they are made to stand on the wire as
// they are. It copies nothing and keeps nothing.
type directWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	format  format
	stalls  *stalls
	writing *writing         // nil until it is open
	stream  *h2direct.Stream // where not nil, the way past the HTTP/2 server
	piece   int
}

func (s *Server) newDirectWriter(w http.ResponseWriter, f format) directWriter {
	return directWriter{w: w, control: http.NewResponseController(w), format: f, stalls: s.stalls, piece: smallPiece}
}

func (d *directWriter) watch() (err error) {
	d.writing, err = d.stalls.watch(d.control)
	return err
}

// direct is called when the headers have been written.
func (d *directWriter) direct(ctx context.Context) {
	d.stream = h2direct.StreamOf(ctx, d.w)
	d.writing.stream.Store(d.stream)
}

// close is called when the handler has written all that it will.
func (d *directWriter) close() { d.stalls.forget(d.writing) }

func (d *directWriter) send(run broadcast.Run) error { return d.write(run.Bytes()) }

func (d *directWriter) flush() error {
	if d.stream != nil {
		return nil
	}
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
		n := min(len(b), d.piece)
		begun := d.writing.begin()
		if err := d.writePiece(b[:n]); err != nil {
			return gone(err)
		}
		b = b[n:]
		if n >= smallPiece {
			d.piece = smallPiece
			if time.Since(begun) < quick {
				d.piece = largePiece
			}
		}
	}
	return nil
}

func (d *directWriter) writePiece(b []byte) error {
	if d.stream != nil {
		return d.stream.Write(b)
	}
	_, err := d.w.Write(b)
	return err
}
