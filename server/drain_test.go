package server_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	paymentpb "paystream/gen/payment"
	"paystream/internal/clienttest"
)

// TestStreamsEndBeforeTheirConnection: some clients take nothing behind a GOAWAY, trailers not either.
func TestStreamsEndBeforeTheirConnection(t *testing.T) {
	t.Parallel()
	g := start(t)
	conn, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	var headers bytes.Buffer
	encoder := hpack.NewEncoder(&headers)
	for _, field := range [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":authority", "x"},
		{":path", "/payment.PaymentService/StreamPayments"},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
	} {
		_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
	if err := errors.Join(framer.WriteSettings(),
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers.Bytes(), EndHeaders: true}),
		framer.WriteData(1, true, make([]byte, 5))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream runs", func() bool { return g.Subscribers() == 1 })
	go g.stop()
	var order []string
	for len(order) < 2 {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("behind %v: %v", order, err)
		}
		switch f := frame.(type) {
		case *http2.HeadersFrame:
			if f.StreamEnded() {
				order = append(order, "trailers")
			}
		case *http2.GoAwayFrame:
			order = append(order, "GOAWAY")
		}
	}
	same(t, "order", []string{"trailers", "GOAWAY"}, order)
}

// TestDrainSpreadsTheComeback: nobody can come back here, each has a cursor, and their delays are spread.
func TestDrainSpreadsTheComeback(t *testing.T) {
	t.Parallel()
	const n = 1000
	g := start(t)
	c := clienttest.DialGRPC(g.address)
	defer c.Close()
	var streams []clienttest.Stream
	for range n {
		streams = append(streams, open(t, c, &paymentpb.StreamPaymentsRequest{}))
	}
	eventually(t, "all have joined", func() bool { return g.Subscribers() == n })
	go g.stop()
	var delays []time.Duration
	for _, s := range streams {
		_, err := s.Next()
		end := failure(t, err)
		if end.Code != connect.CodeUnavailable || end.End.GetCursor() == "" || !end.Retry {
			t.Fatalf("ended with %v", end)
		}
		delays = append(delays, end.Delay)
	}
	if conn, err := net.Dial("tcp", g.address); err == nil {
		conn.Close()
		t.Error("the port still takes connections")
	}
	slices.Sort(delays)
	if last := delays[n-1]; last > 2*time.Second || last < 1500*time.Millisecond {
		t.Errorf("the last comes back after %v, want nearly 2 s", last)
	}
	for i := range delays[:n-n/10] {
		if delays[i+n/10]-delays[i] < 50*time.Millisecond {
			t.Fatalf("a tenth comes back within 50 ms of %v", delays[i])
		}
	}
}
