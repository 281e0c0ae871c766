package network_test

import (
	"bufio"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"paystream/chaos/network"
	"paystream/chaos/process"
)

// echo serves what it is sent, and returns where.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					conn.Write(append(lines.Bytes(), '\n'))
				}
			}()
		}
	}()
	return l.Addr().String()
}

// line sends a line and reads it back.
func line(conn net.Conn, patience time.Duration) error {
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte("a\n")); err != nil {
		return err
	}
	_, err := conn.Read(make([]byte, 2))
	return err
}

func TestLink(t *testing.T) {
	t.Parallel()
	ports, err := process.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	n := network.New()
	defer n.Close()
	l, err := n.Link(ports[0], echo(t))
	if err != nil {
		t.Fatal(err)
	}
	dial := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", l.Address())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	const soon, while = 5 * time.Second, 200 * time.Millisecond

	conn := dial()
	check("a line", line(conn, soon))
	check("slow down", l.Slow(while))
	begin := time.Now()
	check("a slow line", line(conn, soon))
	if took := time.Since(begin); took < 2*while {
		t.Errorf("a slow line took %v, want %v there and back", took, 2*while)
	}
	check("speed up", l.Slow(0))
	check("a line again", line(conn, soon))

	check("cut", l.Cut())
	check("cut twice", l.Cut())
	for what, conn := range map[string]net.Conn{"an old connection": conn, "a new one": dial()} {
		if err := line(conn, while); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a line over %s that is cut: %v, want silence", what, err)
		}
	}
	check("mend", l.Mend())
	if err := line(conn, soon); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a line over a connection that was cut: %v, want it closed", err)
	}
	check("a line over a new one", line(dial(), soon))
}
