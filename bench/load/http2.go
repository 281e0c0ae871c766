package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// bigWindow is what a client gives that does not want to hold the server back.
const bigWindow = 16 << 20

// http2Conn is a connection with one stream or more. All frames are the client's own work: what
// net/http's client does for each frame and each read would cost more than what is measured.
type http2Conn struct {
	conn    net.Conn
	framer  *http2.Framer
	streams []*http2Stream
	window  int
	gated   bool
	unacked int // bytes taken since the server was last told, on the whole connection

	mu  sync.Mutex // held while writing
	out bytes.Buffer
}

type http2Stream struct {
	request request
	sub     *subscriber
	split   *splitter
	unacked int
	opened  func()
}

func newHTTP2Conn(conn net.Conn, job Job) *http2Conn {
	c := &http2Conn{conn: conn, window: job.Window, gated: job.Gated}
	if c.window == 0 {
		c.window = bigWindow
	}
	size := 64 << 10
	if job.subscribers() > 1000 {
		size = 16 << 10
	}
	c.framer = http2.NewFramer(&c.out, bufio.NewReaderSize(conn, size))
	c.framer.SetReuseFrames()
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return c
}

func (c *http2Conn) add(r request, sub *subscriber, split *splitter, opened func()) {
	c.streams = append(c.streams, &http2Stream{request: r, sub: sub, split: split, opened: opened})
}

// write sends what frames writes, in one go.
func (c *http2Conn) write(frames func(f *http2.Framer) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.Reset()
	if err := frames(c.framer); err != nil {
		return err
	}
	_, err := c.conn.Write(c.out.Bytes())
	return err
}

// hello is what a connection begins with.
func (c *http2Conn) hello() error {
	return c.write(func(f *http2.Framer) error {
		c.out.WriteString(http2.ClientPreface)
		window := c.window
		if c.gated {
			window = 0
		}
		err := f.WriteSettings(
			http2.Setting{ID: http2.SettingEnablePush, Val: 0},
			http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(window)})
		if err != nil {
			return err
		}
		return f.WriteWindowUpdate(0, uint32(bigWindow))
	})
}

func (c *http2Conn) subscribe() error {
	return c.write(func(f *http2.Framer) error {
		var block bytes.Buffer
		encoder := hpack.NewEncoder(&block)
		for i, s := range c.streams {
			id := uint32(2*i + 1)
			block.Reset()
			header := append([][2]string{
				{":method", s.request.method},
				{":scheme", "http"},
				{":path", s.request.path},
				{":authority", "bench"},
			}, s.request.header...)
			for _, h := range header {
				if err := encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
					return err
				}
			}
			body := s.request.body
			err := f.WriteHeaders(http2.HeadersFrameParam{
				StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: body == nil,
			})
			if err != nil {
				return err
			}
			if body != nil {
				if err := f.WriteData(id, true, body); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// open lets a gated server send.
func (c *http2Conn) open() error {
	return c.write(func(f *http2.Framer) error {
		for i := range c.streams {
			if err := f.WriteWindowUpdate(uint32(2*i+1), uint32(c.window)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *http2Conn) close() { _ = c.conn.Close() }

// read takes what comes until the connection is closed. Where its only subscriber stalls it returns
// once the stream is open, and leaves the rest where it is.
func (c *http2Conn) read() error {
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return err
		}
		switch f := frame.(type) {
		case *http2.DataFrame:
			err = c.data(f)
		case *http2.MetaHeadersFrame:
			if err = c.headers(f); err == nil && c.stalled() {
				return nil
			}
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = c.write(func(w *http2.Framer) error { return w.WriteSettingsAck() })
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				data := f.Data
				err = c.write(func(w *http2.Framer) error { return w.WritePing(true, data) })
			}
		case *http2.RSTStreamFrame:
			err = fmt.Errorf("stream %d was reset: %s", f.StreamID, f.ErrCode)
		case *http2.GoAwayFrame:
			err = fmt.Errorf("the server closes the connection: %s %q", f.ErrCode, f.DebugData())
		}
		if err != nil {
			return err
		}
	}
}

func (c *http2Conn) stalled() bool { return len(c.streams) == 1 && c.streams[0].sub.group.Stalled }

func (c *http2Conn) stream(id uint32) (*http2Stream, error) {
	if i := int(id / 2); id%2 == 1 && i < len(c.streams) {
		return c.streams[i], nil
	}
	return nil, fmt.Errorf("there is no stream %d", id)
}

func (c *http2Conn) headers(f *http2.MetaHeadersFrame) error {
	s, err := c.stream(f.StreamID)
	if err != nil {
		return err
	}
	if f.StreamEnded() {
		return fmt.Errorf("the stream has ended: %v", f.Fields)
	}
	if status := f.PseudoValue("status"); status != "200" {
		return fmt.Errorf("the server answers with status %s", status)
	}
	s.opened()
	return nil
}

func (c *http2Conn) data(f *http2.DataFrame) error {
	s, err := c.stream(f.StreamID)
	if err != nil {
		return err
	}
	s.sub.arrived()
	if err := s.split.write(f.Data()); err != nil {
		return err
	}
	if f.StreamEnded() {
		return errors.Join(errors.New("the stream has ended"), io.ErrUnexpectedEOF)
	}
	n := int(f.Length)
	c.unacked += n
	s.unacked += n
	if c.unacked < bigWindow/2 && s.unacked < c.window/2 {
		return nil
	}
	connection, stream := c.unacked, s.unacked
	c.unacked, s.unacked = 0, 0
	return c.write(func(w *http2.Framer) error {
		if err := w.WriteWindowUpdate(0, uint32(connection)); err != nil {
			return err
		}
		return w.WriteWindowUpdate(f.StreamID, uint32(stream))
	})
}
