package h2direct

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"sync"
	"time"
)

// Stream is a stream whose frames are written directly, by one goroutine.
type Stream struct {
	ctx     context.Context //nolint:containedctx // a stream lives as long as the handler's call
	conn    *Conn
	id      uint32
	account *account
}

// StreamOf returns the stream that a handler answers, ctx being its request's, or nil where it can only
// be written to through the ResponseWriter: on HTTP/1.1, where the server is not as we know it, and where
// the status is not 200. It is called when the headers have been flushed, and nothing else written.
func StreamOf(ctx context.Context, w http.ResponseWriter) *Stream {
	c, ok := ctx.Value(connKey{}).(*Conn)
	if !ok {
		return nil
	}
	id, ok := streamID(w)
	if !ok {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.streams[id]
	if a == nil {
		return nil
	}
	return &Stream{ctx: ctx, conn: c, id: id, account: a}
}

// streamID reads the number of a stream with status 200, which the server does not tell. A test fails
// where this does not succeed with the server that is in use.
func streamID(w http.ResponseWriter) (uint32, bool) {
	state, ok := field(reflect.ValueOf(w), "rws")
	if !ok {
		return 0, false
	}
	status, ok := field(state, "status")
	if !ok || status.Kind() != reflect.Int || status.Int() != http.StatusOK {
		return 0, false
	}
	stream, ok := field(state, "stream")
	if !ok {
		return 0, false
	}
	id, ok := field(stream, "id")
	if !ok || id.Kind() != reflect.Uint32 {
		return 0, false
	}
	return uint32(id.Uint()), true
}

// field returns a field of what v points to.
func field(v reflect.Value, name string) (reflect.Value, bool) {
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return v, false
	}
	v = v.Elem().FieldByName(name)
	return v, v.IsValid()
}

var errEnded = errors.New("the stream has ended")

// Write writes b as DATA frames, and keeps nothing of it. The error is the context's, or that of a
// stream or a connection that has ended.
func (s *Stream) Write(b []byte) error {
	for len(b) > 0 {
		n, err := s.claim(len(b))
		if err != nil {
			return err
		}
		if n, err = s.conn.writeData(s, b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// claim waits until the client takes more, and takes up to n bytes of its windows. Nothing is claimed
// before the stream's headers have been written: they may be behind a frame of the server's that waits
// for what would be claimed.
func (s *Stream) claim(n int) (int, error) {
	c, ctx := s.conn, s.ctx
	c.mu.Lock()
	defer c.mu.Unlock()
	free := s.free()
	if free <= 0 {
		stop := context.AfterFunc(ctx, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.room.Broadcast()
		})
		defer stop()
		for ; free <= 0 && !s.account.ended && ctx.Err() == nil && !c.closed; free = s.free() {
			c.room.Wait()
		}
	}
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case s.account.ended:
		return 0, errEnded
	case c.closed:
		return 0, net.ErrClosed
	}
	n = int(min(int64(n), free))
	c.window.client -= int64(n)
	s.account.client -= int64(n)
	s.account.direct = true
	return n, nil
}

// free holds mu and returns what the windows have room for.
func (s *Stream) free() int64 {
	c := s.conn
	if c.serverWaiting || !s.account.opened {
		return 0
	}
	return min(c.window.client-connReserve, s.account.client-min(streamReserve, c.initial.client/8))
}

// unclaim holds mu and gives back what is not used.
func (s *Stream) unclaim(n int) {
	s.conn.window.client += int64(n)
	s.account.client += int64(n)
	s.conn.room.Broadcast()
}

// writeData writes b, which has been claimed, and returns how much of it.
func (c *Conn) writeData(s *Stream, b []byte) (int, error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	err := c.await(s.ctx)
	n, frame, err := s.confirm(len(b), err)
	if n == 0 {
		return 0, err
	}
	if need := (n + frame - 1) / frame * headerSize; cap(c.headers) < need {
		c.headers = make([]byte, 0, need)
	}
	c.headers, c.vectors = c.headers[:0], c.vectors[:0]
	for len(b) > 0 {
		n := min(len(b), frame)
		from := len(c.headers)
		c.headers = appendDataHeader(c.headers, n, s.id)
		c.vectors = append(c.vectors, c.headers[from:], b[:n])
		b = b[n:]
	}
	c.since.now()
	defer c.since.clear()
	if err := c.writeVectors(); err != nil {
		_ = c.Conn.Close() // a frame is torn
		return 0, fmt.Errorf("write to the connection: %w", err)
	}
	return n, nil
}

// await holds wmu and waits until a frame may be written between those of the server. It never takes
// long, as the server writes the rest of a frame without waiting for anybody.
func (c *Conn) await(ctx context.Context) error {
	if !c.out.torn() {
		return nil
	}
	stop := context.AfterFunc(ctx, func() {
		c.wmu.Lock()
		defer c.wmu.Unlock()
		c.boundary.Broadcast()
	})
	defer stop()
	for c.out.torn() {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case c.isClosed():
			return net.ErrClosed
		}
		c.boundary.Wait()
	}
	return nil
}

// confirm holds wmu and returns what may still be written of a claim of n, and in frames of which size.
// What may not is given back, and all of it where err says so: the client can have shrunk the window,
// and the acknowledgement of that be written.
func (s *Stream) confirm(n int, err error) (int, int, error) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && s.account.ended {
		err = errEnded
	}
	if err != nil || s.account.client < 0 {
		s.unclaim(n)
		return 0, 0, err
	}
	return n, c.frame, nil
}

// gathered are buffers for connections that do not take several slices at once, as TLS, which would
// make a record of each, and for what is sooner copied than listed for the kernel.
var gathered = sync.Pool{New: func() any { return new([]byte) }}

const fewBytes = 2 << 10

func (c *Conn) writeVectors() error {
	if _, ok := c.Conn.(*net.TCPConn); ok && (len(c.vectors) > 2 || len(c.vectors[1]) > fewBytes) {
		c.rest = c.vectors
		_, err := c.rest.WriteTo(c.Conn)
		clear(c.vectors)
		return err
	}
	b := pooled()
	defer gathered.Put(b)
	for _, v := range c.vectors {
		*b = append(*b, v...)
	}
	clear(c.vectors)
	if c.cork == nil || len(*b) <= recordSize {
		_, err := c.Conn.Write(*b)
		return err
	}
	records := pooled()
	defer gathered.Put(records)
	c.cork.cork(records)
	_, err := c.Conn.Write(*b)
	return errors.Join(err, c.cork.uncork())
}

// recordSize is the most that one record of TLS takes.
const recordSize = 16 << 10

func pooled() *[]byte {
	b, _ := gathered.Get().(*[]byte)
	*b = (*b)[:0]
	return b
}

// WritingSince returns since when a write to the network has been under way; zero is never.
func (s *Stream) WritingSince() time.Time { return s.conn.since.load() }

// Break makes a write to the network that is under way fail, and the connection with it.
func (s *Stream) Break() {
	s.conn.broken.Store(true)
	_ = s.conn.Conn.SetWriteDeadline(time.Unix(1, 0)) // fails only with the connection
}
