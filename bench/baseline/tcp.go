package baseline

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"
)

// maxWrite is how much is written at once, at the most.
const maxWrite = 256 << 10

// tcpServer writes the same bytes to plain sockets: a subscriber is a position in one buffer. What
// it costs is what the system asks for carrying the bytes, and no server can cost less that does not
// share sockets.
type tcpServer struct {
	bytes []byte // each event as an envelope and a message
	ends  []int  // where each event ends

	joined atomic.Int64
	head   atomic.Int64 // events published
	mu     sync.Mutex
	wake   chan struct{} // closed when the head moves
}

func newTCPServer() *tcpServer { return &tcpServer{wake: make(chan struct{})} }

func (s *tcpServer) serve(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			s.stream(conn)
		}()
	}
}

// Subscribed is what the server answers to the first byte from a subscriber.
const Subscribed = 's'

func (s *tcpServer) stream(conn net.Conn) {
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return
	}
	s.joined.Add(1)
	defer s.joined.Add(-1)
	if _, err := conn.Write([]byte{Subscribed}); err != nil {
		return
	}
	gone := make(chan struct{})
	go func() {
		_, _ = conn.Read(make([]byte, 1))
		close(gone)
	}()
	for pos := 0; ; {
		s.mu.Lock()
		wake := s.wake
		s.mu.Unlock()
		end := 0
		if head := s.head.Load(); head > 0 {
			end = s.ends[head-1]
		}
		for pos < end {
			n := min(end-pos, maxWrite)
			if _, err := conn.Write(s.bytes[pos : pos+n]); err != nil {
				return
			}
			pos += n
		}
		select {
		case <-wake:
		case <-gone:
			return
		}
	}
}

func (s *tcpServer) subscribers() int { return int(s.joined.Load()) }

// load is called before anything is published.
func (s *tcpServer) load(events []event) error {
	for _, e := range events {
		start := len(s.bytes)
		b, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(append(s.bytes, 0, 0, 0, 0, 0), e)
		if err != nil {
			return fmt.Errorf("encode an event: %w", err)
		}
		binary.BigEndian.PutUint32(b[start+1:], uint32(len(b)-start-5))
		s.bytes = b
		s.ends = append(s.ends, len(b))
	}
	return nil
}

func (s *tcpServer) publish(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head.Add(int64(n))
	close(s.wake)
	s.wake = make(chan struct{})
}
