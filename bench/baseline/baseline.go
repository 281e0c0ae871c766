// Package baseline is what paystream is compared with: servers that stream the same payments, each
// in a process of its own, from memory.
//
// All of them deliver every payment to every subscriber, in order, and wait for the slowest: they
// are the least that does the job, so they are faster than a server that also had to let nobody
// wait. Each kind is what people write first, or what the machine can do at the most:
//
//   - connect: a channel per subscriber and stream.Send, on connect-go
//   - grpc: the same on google.golang.org/grpc
//   - tcp: the same bytes on plain sockets, from one buffer that all share, in big writes
//   - handler: an HTTP handler that sends its headers and waits
package baseline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/pprof"

	"paystream/bench/process"
	"paystream/bench/sample"
	paymentpb "paystream/gen/payment"
)

// The kinds of baseline.
const (
	Connect        = "connect"
	GRPC           = "grpc"
	TCP            = "tcp"
	Handler        = "handler"         // tuned as paystream's server is
	HandlerUntuned = "handler-untuned" // as net/http has it
)

// server is one kind of baseline.
type server interface {
	// serve serves until the listener is closed.
	serve(listener net.Listener) error
	// load makes the payments of a feed ready, so that publish needs only to send them.
	load(events []event) error
	// publish delivers the next n payments that were loaded. It may return before they are sent.
	publish(n int)
	// subscribers is how many there are.
	subscribers() int
}

// Run serves a parent's calls: address, subscribers, load, feed, memory, profile and
// profiled. The file holds the payments.
func Run(kind, file string, in io.Reader, out io.Writer) error {
	s, err := newServer(kind)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	served := make(chan error, 1)
	go func() { served <- s.serve(listener) }()
	err = process.Serve(in, out, process.Calls{
		"address":     process.Handle(func(process.None) (string, error) { return listener.Addr().String(), nil }),
		"subscribers": process.Handle(func(process.None) (int, error) { return s.subscribers(), nil }),
		"memory":      process.Handle(func(process.None) (process.Heap, error) { return process.OwnHeap(), nil }),
		"profile": process.Handle(func(file string) (process.None, error) {
			out, err := os.Create(file) //nolint:gosec // the parent's choice
			if err != nil {
				return process.None{}, fmt.Errorf("write a profile: %w", err)
			}
			return process.None{}, pprof.StartCPUProfile(out)
		}),
		"profiled": process.Handle(func(process.None) (process.None, error) {
			pprof.StopCPUProfile()
			return process.None{}, nil
		}),
		"load": process.Handle(func(f Load) (process.None, error) {
			payments, err := sample.Read(file) // not before: a handler that waits needs none of it
			if err != nil {
				return process.None{}, err
			}
			events, err := f.events(payments)
			if err != nil {
				return process.None{}, err
			}
			return process.None{}, s.load(events)
		}),
		"feed": process.Handle(func(f sample.Feed) ([]int64, error) {
			return f.Batches(func(from, to int) error { s.publish(to - from); return nil })
		}),
	})
	_ = listener.Close()
	if ended := <-served; !errors.Is(ended, net.ErrClosed) {
		err = errors.Join(err, fmt.Errorf("serve: %w", ended))
	}
	return err
}

func newServer(kind string) (server, error) {
	switch kind {
	case Connect:
		return newConnectServer(), nil
	case GRPC:
		return newGRPCServer(), nil
	case TCP:
		return newTCPServer(), nil
	case Handler:
		return &handlerServer{tuned: true}, nil
	case HandlerUntuned:
		return &handlerServer{}, nil
	}
	return nil, fmt.Errorf("there is no baseline %q", kind)
}

// Load says which payments a baseline will be fed with.
type Load struct {
	Feed      sample.Feed
	EventType string
}

// event is a payment, as one message.
type event = *paymentpb.PaymentEvent

func (l Load) events(payments sample.Payments) ([]event, error) {
	events := make([]event, 0, l.Feed.To-l.Feed.From)
	for i := l.Feed.From; i < l.Feed.To; i++ {
		e, err := l.Feed.Topic.Event(payments, i, l.EventType)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}
