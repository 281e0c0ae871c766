// Package load is the subscribers of a bench, in a process of its own: thousands of them, cheap
// enough that the server is what is measured.
//
// What it guarantees: a run in which any subscriber got something else than it should have fails.
// The first subscriber of each group keeps what it gets; once the run is over, all of it is decoded
// and compared with the payments as they were sampled. Every other one must have got the same
// number of events, in the same order in each partition, with the same checksum over their bytes.
// What comes after the last one expected fails the run too.
package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"paystream/bench/sample"
	paymentpb "paystream/gen/payment"
	"paystream/gen/payment/paymentpbconnect"
)

// Protocol is how subscribers are served.
type Protocol string

// The protocols. TCP is that of the baseline of that name: a byte either way, then envelopes.
const (
	GRPC        Protocol = "grpc"
	GRPCWeb     Protocol = "grpc-web"
	ConnectJSON Protocol = "connect-json"
	SSE         Protocol = "sse"
	NDJSON      Protocol = "ndjson"
	TCP         Protocol = "tcp"
)

// Sum is what the checksum covers.
type Sum string

const (
	// SumAll is all bytes of a message: where all subscribers get the same ones.
	SumAll Sum = "all"
	// SumPayment is the payment, the partition and the offset: where cursors or types of events
	// differ between subscribers.
	SumPayment Sum = "payment"
	// SumFields is SumPayment whatever the order of the metadata's entries: where each subscriber's
	// message was marshaled for itself, and Go's maps have no order.
	SumFields Sum = "fields"
)

// Group is subscribers that ask for the same.
type Group struct {
	Subscribers int
	Provider    paymentpb.Provider
	Status      paymentpb.PaymentStatus
	Limit       int
	NewOnly     bool
	// Since asks for all that is on Kafka. When it comes does not count for the latencies.
	Since bool
	// Stalled ones read nothing once they are subscribed.
	Stalled bool

	// From and To are the numbers of the payments that the group gets, those that its filter selects.
	From, To int
	// Existing is the number of the first payment that comes as a new one; those from there on may
	// still come as existing ones, up to the subscriber's own start.
	Existing int
}

// Job is a run.
type Job struct {
	Address  string
	CAFile   string // of TLS; empty is cleartext
	Protocol Protocol
	HTTP1    bool
	Groups   []Group
	Topic    sample.Topic
	Sum      Sum
	// StreamsPerConn is for subscribers that only wait; 0 is 1.
	StreamsPerConn int
	// Window is what a server may send on HTTP/2 before it needs to be told to go on; 0 is a lot.
	Window int
	// Gated subscribers are sent nothing on HTTP/2 until the call open.
	Gated bool
	// Latency has the time of each delivery taken.
	Latency bool
	// Timeout is how long Wait waits.
	Timeout time.Duration
}

func (j Job) subscribers() int {
	n := 0
	for _, g := range j.Groups {
		n += g.Subscribers
	}
	return n
}

// request is what a subscriber sends.
type request struct {
	method, path string
	header       [][2]string
	body         []byte
}

const envelopeSize = 5

func (j Job) request(g Group) (request, error) {
	message := &paymentpb.StreamPaymentsRequest{Provider: g.Provider, Status: g.Status, Limit: int32(g.Limit)}
	if g.NewOnly {
		message.Start = paymentpb.StreamStart_START_NEW_ONLY
	}
	if g.Since {
		message.Since = timestamppb.New(time.Unix(0, 0))
	}
	r := request{method: http.MethodPost, path: paymentpbconnect.PaymentServiceStreamPaymentsProcedure}
	var err error
	switch j.Protocol {
	case GRPC:
		r.header = [][2]string{{"content-type", "application/grpc"}, {"te", "trailers"}}
		r.body, err = proto.Marshal(message)
	case GRPCWeb:
		r.header = [][2]string{{"content-type", "application/grpc-web+proto"}, {"x-grpc-web", "1"}}
		r.body, err = proto.Marshal(message)
	case ConnectJSON:
		r.header = [][2]string{{"content-type", "application/connect+json"}, {"connect-protocol-version", "1"}}
		r.body, err = protojson.Marshal(message)
	case SSE, NDJSON:
		accept := "application/x-ndjson"
		if j.Protocol == SSE {
			accept = "text/event-stream"
		}
		return request{
			method: http.MethodGet,
			path:   "/payments/stream?" + query(message).Encode(),
			header: [][2]string{{"accept", accept}},
		}, nil
	case TCP:
		return request{}, nil
	default:
		return r, fmt.Errorf("there is no protocol %q", j.Protocol)
	}
	if err != nil {
		return r, fmt.Errorf("encode the request: %w", err)
	}
	envelope := make([]byte, envelopeSize, envelopeSize+len(r.body))
	binary.BigEndian.PutUint32(envelope[1:], uint32(len(r.body)))
	r.body = append(envelope, r.body...)
	return r, nil
}

func query(r *paymentpb.StreamPaymentsRequest) url.Values {
	q := url.Values{}
	set := func(name string, v int) {
		if v != 0 {
			q.Set(name, strconv.Itoa(v))
		}
	}
	set("provider", int(r.GetProvider()))
	set("status", int(r.GetStatus()))
	set("limit", int(r.GetLimit()))
	set("start", int(r.GetStart()))
	if r.GetSince() != nil {
		q.Set("since", r.GetSince().AsTime().Format(time.RFC3339Nano))
	}
	return q
}

// selects reports whether a group's filter does.
func (g *Group) selects(p *paymentpb.Payment) bool {
	return (g.Provider == 0 || g.Provider == p.GetProvider()) && (g.Status == 0 || g.Status == p.GetStatus())
}

func (j Job) check() error {
	if j.Protocol == TCP && (j.HTTP1 || j.CAFile != "") {
		return errors.New("plain sockets have neither HTTP nor TLS")
	}
	if j.StreamsPerConn > 1 && (j.HTTP1 || j.Protocol == TCP) {
		return errors.New("only HTTP/2 has several streams on a connection")
	}
	if j.Gated && (j.HTTP1 || j.Protocol == TCP) {
		return errors.New("only HTTP/2 holds a server back")
	}
	return nil
}
