package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

// readSize is how much is read at a time, at the most.
const readSize = 64 << 10

// http1Conn is a connection with one stream over HTTP/1.1.
type http1Conn struct {
	conn    net.Conn
	request request
	sub     *subscriber
	split   *splitter
	opened  func()
}

func (c *http1Conn) subscribe() error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: bench\r\n", c.request.method, c.request.path)
	for _, h := range c.request.header {
		if h[0] != "te" {
			fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
		}
	}
	if c.request.body != nil {
		b.WriteString("Content-Length: " + strconv.Itoa(len(c.request.body)) + "\r\n")
	}
	b.WriteString("\r\n")
	b.Write(c.request.body)
	_, err := c.conn.Write(b.Bytes())
	return err
}

func (c *http1Conn) open() error { return errors.New("nothing holds a server back on HTTP/1.1") }

func (c *http1Conn) close() { _ = c.conn.Close() }

func (c *http1Conn) read() error {
	in := bufio.NewReader(c.conn)
	// The body is not closed: that would read all that may still come. close closes the connection.
	res, err := http.ReadResponse(in, nil) //nolint:bodyclose // see above
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 200))
		return fmt.Errorf("the server answers with status %s: %q", res.Status, body)
	}
	c.opened()
	if c.sub.group.Stalled {
		return nil
	}
	return c.take(res.Body)
}

// take takes what comes. Its buffer is made when something has come: those that only wait need none.
func (c *http1Conn) take(body io.Reader) error {
	first := make([]byte, 512)
	n, err := body.Read(first)
	buffer := first[:n]
	for {
		c.sub.arrived()
		if err := c.split.write(buffer); err != nil {
			return err
		}
		if err != nil {
			return err
		}
		if cap(buffer) < readSize {
			buffer = make([]byte, readSize)
		}
		n, err = body.Read(buffer[:cap(buffer)])
		buffer = buffer[:n]
	}
}

// tcpConn is a connection to the baseline that writes envelopes to plain sockets.
type tcpConn struct {
	conn   net.Conn
	sub    *subscriber
	split  *splitter
	opened func()
}

func (c *tcpConn) subscribe() error {
	_, err := c.conn.Write([]byte{'s'})
	return err
}

func (c *tcpConn) open() error { return errors.New("nothing holds a plain socket back") }

func (c *tcpConn) close() { _ = c.conn.Close() }

func (c *tcpConn) read() error {
	buffer := make([]byte, readSize)
	if _, err := io.ReadFull(c.conn, buffer[:1]); err != nil {
		return err
	}
	c.opened()
	if c.sub.group.Stalled {
		return nil
	}
	for {
		n, err := c.conn.Read(buffer)
		c.sub.arrived()
		if err := c.split.write(buffer[:n]); err != nil {
			return err
		}
		if err != nil {
			return err
		}
	}
}
