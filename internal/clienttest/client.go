// Package clienttest subscribes to a gateway in every protocol that it speaks, for tests. What each
// protocol does differently ends here: tests see messages, cursors, and one kind of error.
//
// What it guarantees:
//
//   - Order and loss. A [Stream] gives every message that the gateway sent, in the order of the wire,
//     and then how the stream ended.
//   - Blocking. Open returns with the response's headers, Next with a message or the end; both also
//     when their context ends.
//   - Nothing is kept: a moment after [Client].Close there is no connection.
package clienttest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"

	paymentpb "paystream/gen/payment"
)

// Client is a subscriber of one protocol, with connections of its own.
type Client interface {
	// Open returns when the response's headers have come.
	Open(ctx context.Context, req *paymentpb.StreamPaymentsRequest) (Stream, error)
	Get(ctx context.Context, id string) (*paymentpb.Payment, error)
	List(ctx context.Context, req *paymentpb.ListPaymentsRequest) (*paymentpb.PaymentList, error)
	// Close closes the connections. Streams are closed before.
	Close()
}

// Stream is one stream of events. What ends it is an [*EndedError], unless the connection broke.
type Stream interface {
	// FirstCursor is the one in the response's headers.
	FirstCursor() string
	Next() (*paymentpb.PaymentEvent, error)
	// NextMessage is Next without decoding: a PaymentEvent in the protocol's own encoding, good until
	// the next call. It costs little more than the protocol's framing.
	NextMessage() (Message, error)
	Close()
}

// EndedError is how a call or stream ended, whatever the protocol.
type EndedError struct {
	Code    connect.Code
	Message string
	End     *paymentpb.StreamEnd // nil where there was none
	Retry   bool                 // whether there was a delay to retry after
	After   time.Duration        // that delay
}

func (e *EndedError) Error() string { return fmt.Sprintf("%v: %s %v", e.Code, e.Message, e.End) }

// Protocol is a way to subscribe.
type Protocol struct {
	Name string
	// Dial returns a client of the gateway at host:port. It does not connect yet.
	Dial func(address string, change ...Change) Client
}

// Change changes the transport of a client.
type Change func(*http.Transport)

// Protocols are all of them.
func Protocols() []Protocol {
	return []Protocol{
		{"gRPC", DialGRPC},
		{"gRPC over HTTP/1.1", func(a string, c ...Change) Client {
			return NewRPC("http://"+a, Transport(false, c...), connect.WithGRPC())
		}},
		{"gRPC-Web", func(a string, c ...Change) Client {
			return NewRPC("http://"+a, Transport(false, c...), connect.WithGRPCWeb())
		}},
		{"gRPC-Web over HTTP/2", func(a string, c ...Change) Client {
			return NewRPC("http://"+a, Transport(true, c...), connect.WithGRPCWeb())
		}},
		{"gRPC-Web text", func(a string, c ...Change) Client { return newWebText("http://"+a, Transport(false, c...)) }},
		{"Connect protobuf", func(a string, c ...Change) Client { return NewRPC("http://"+a, Transport(false, c...)) }},
		{"Connect JSON", func(a string, c ...Change) Client { return newJSON("http://"+a, Transport(false, c...)) }},
		{"Connect JSON over HTTP/2", func(a string, c ...Change) Client { return newJSON("http://"+a, Transport(true, c...)) }},
		{"SSE", func(a string, c ...Change) Client { return httpClient{"http://" + a, true, Transport(false, c...)} }},
		{"NDJSON", func(a string, c ...Change) Client { return httpClient{"http://" + a, false, Transport(false, c...)} }},
	}
}

// DialGRPC is the first of [Protocols], for tests to which the protocol does not matter.
func DialGRPC(address string, change ...Change) Client {
	return NewRPC("http://"+address, Transport(true, change...), connect.WithGRPC())
}

// Transport returns what speaks HTTP/2 over cleartext with prior knowledge, or HTTP/1.1, alone.
func Transport(h2 bool, change ...Change) *http.Transport {
	transport := &http.Transport{
		Protocols: &http.Protocols{},
		// A stream of HTTP/2 that was canceled keeps its connection from being idle for a moment.
		IdleConnTimeout: 100 * time.Millisecond,
	}
	transport.Protocols.SetUnencryptedHTTP2(h2)
	transport.Protocols.SetHTTP1(!h2)
	for _, c := range change {
		c(transport)
	}
	return transport
}

// SmallBuffers makes a client take little before it is read: what the gateway sends then soon waits.
func SmallBuffers(transport *http.Transport) {
	const size = 64 << 10 // HTTP/2 has no smaller one
	transport.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: size, MaxReceiveBufferPerConnection: size}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if tcp, ok := conn.(*net.TCPConn); ok {
			err = tcp.SetReadBuffer(size)
		}
		return conn, err
	}
}
