//go:build kafka

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
)

// A loadReader is a subscriber over a bare TCP connection, so cheap that one process can be a thousand
// of them: HTTP/1.1 with its chunks, NDJSON or server-sent events, and of each event its place.
type loadReader struct {
	conn net.Conn
	next []int64      // the offset to come, by partition
	read atomic.Int64 // payments so far
	body int          // what is left of the chunk
	text []byte       // received and not used up
	line []byte       // begun and not ended
}

// dialLoad subscribes, and returns when the response's headers have come.
func dialLoad(address string, sse bool, partitions int) (*loadReader, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	accept := "application/x-ndjson"
	if sse {
		accept = "text/event-stream"
	}
	if _, err := fmt.Fprintf(conn, "GET /payments/stream HTTP/1.1\r\nHost: %s\r\nAccept: %s\r\n\r\n", address, accept); err != nil {
		return nil, err
	}
	r := &loadReader{conn: conn, next: make([]int64, partitions)}
	for !bytes.Contains(r.text, []byte("\r\n\r\n")) {
		b := make([]byte, 4<<10)
		n, err := conn.Read(b)
		if err != nil {
			return nil, err
		}
		r.text = append(r.text, b[:n]...)
	}
	head, rest, _ := bytes.Cut(r.text, []byte("\r\n\r\n"))
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) || !bytes.Contains(head, []byte("Transfer-Encoding: chunked")) {
		return nil, fmt.Errorf("answered with %q", r.text)
	}
	r.text = rest
	return r, nil
}

var errOutOfPlace = errors.New("out of place")

// run reads n payments. The race detector would make it ten times as expensive, and a reader shares
// nothing but its count.
//
//go:norace
func (r *loadReader) run(n int64) error {
	buffer := make([]byte, 0, 32<<10)
	buffer = append(buffer, r.text...)
	for {
		used, err := r.use(buffer)
		if err != nil {
			return err
		}
		if r.read.Load() >= n {
			return nil
		}
		buffer = buffer[:copy(buffer, buffer[used:])]
		got, err := r.conn.Read(buffer[len(buffer):cap(buffer)])
		if err != nil {
			return err
		}
		buffer = buffer[:len(buffer)+got]
	}
}

// use takes whole chunk heads and all that is there of the chunks, and returns how much that was.
//
//go:norace
func (r *loadReader) use(b []byte) (used int, err error) {
	count := int64(0)
	for {
		if r.body > 0 {
			n := min(r.body, len(b)-used)
			lines, err := r.take(b[used : used+n])
			if err != nil {
				return used, err
			}
			count += lines
			used += n
			if r.body -= n; r.body > 0 {
				break
			}
		}
		head := b[used:]
		if bytes.HasPrefix(head, []byte("\r\n")) { // the end of the chunk before
			head = head[2:]
		}
		end := bytes.IndexByte(head, '\n')
		if end < 0 {
			break
		}
		for _, c := range head[:end-1] {
			r.body = r.body<<4 | hexDigit(c)
		}
		if r.body == 0 {
			return used, io.EOF
		}
		used = len(b) - len(head) + end + 1
	}
	r.read.Add(count)
	return used, nil
}

//go:norace
func hexDigit(c byte) int {
	if c >= 'a' {
		return int(c-'a') + 10
	}
	return int(c - '0')
}

// take takes part of the body, and returns how many payments ended in it.
//
//go:norace
func (r *loadReader) take(b []byte) (payments int64, err error) {
	for {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			r.line = append(r.line, b...)
			return payments, nil
		}
		line := b[:end]
		if len(r.line) > 0 {
			r.line = append(r.line, line...)
			line = r.line
		}
		b = b[end+1:]
		switch {
		case len(line) == 0, line[0] == 'i': // an SSE block's end, or its id
		default:
			partition, offset := numberAt(line, `"partition":`), numberAt(line, `"offset":`)
			if partition < 0 || offset != r.next[partition] {
				return payments, fmt.Errorf("%w: %s, where %v come next", errOutOfPlace, line, r.next)
			}
			r.next[partition]++
			payments++
		}
		r.line = r.line[:0]
	}
}

// numberAt returns the number behind a name, or -1.
//
//go:norace
func numberAt(line []byte, name string) int64 {
	i := bytes.Index(line, []byte(name))
	if i < 0 {
		return -1
	}
	v := int64(0)
	for _, c := range line[i+len(name):] {
		switch {
		case '0' <= c && c <= '9':
			v = 10*v + int64(c-'0')
		case c != ' ' && c != '"':
			return v
		}
	}
	return v
}
