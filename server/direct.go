package server

import (
	"context"
	"net/http"
	"sync"
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

// gather is up to how many bytes small runs are gathered: those of a filter, which are a frame or two
// each, of a snapshot with gaps, of payments that come one by one.
const gather = 32 << 10

var gathered = sync.Pool{New: func() any {
	b := make([]byte, 0, gather)
	return &b
}}

// directWriter writes frames to a stream, in whatever protocol: they are made to stand on the wire as
// they are. Large runs are written from the memory that all subscribers share.
type directWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	format  *format
	stalls  *stalls
	writing *writing         // nil until it is open
	stream  *h2direct.Stream // where not nil, the way past the HTTP/2 server
	piece   int
	small   *[]byte // runs that are gathered; nil where there are none
}

func (s *Server) newDirectWriter(w http.ResponseWriter, f *format) directWriter {
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

// close is called when all has been written that is to be watched. It may be called again.
func (d *directWriter) close() {
	d.stalls.forget(d.writing)
	d.writing = nil
}

func (d *directWriter) send(run broadcast.Run, last bool) error {
	b := run.Bytes()
	large := len(b) >= gather/4 || (last && d.small == nil)
	if d.small != nil && (large || len(*d.small)+len(b) > gather) {
		if err := d.writeSmall(); err != nil {
			return err
		}
	}
	if large {
		return d.write(b)
	}
	if d.small == nil {
		d.small, _ = gathered.Get().(*[]byte)
	}
	*d.small = append(*d.small, b...)
	return nil
}

// writeSmall writes what is gathered. Only then is its memory used again: after an error it may still be
// read from.
func (d *directWriter) writeSmall() error {
	if d.small == nil {
		return nil
	}
	if err := d.write(*d.small); err != nil {
		return err
	}
	*d.small = (*d.small)[:0]
	gathered.Put(d.small)
	d.small = nil
	return nil
}

func (d *directWriter) flush() error {
	if err := d.writeSmall(); err != nil {
		return err
	}
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
		d.writing.begin()
		var begun time.Time
		if n >= smallPiece {
			begun = time.Now()
		}
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
