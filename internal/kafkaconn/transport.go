package kafkaconn

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// dialTimeout covers the whole opening of a connection: TCP, TLS, SASL.
	dialTimeout = 5 * time.Second

	// metadataTTL is how old the transport's own view of the cluster gets, and
	// also the time-out of its request for it. It decides only how soon a new
	// broker's address is known, and, in a kafka.Writer, a new leader.
	metadataTTL = time.Second
)

// Patience is how long a request has to wait at least to be told why no broker
// answers, rather than only that the time is up: the transport connects for
// itself first.
const Patience = 2*dialTimeout + 2*time.Second

// AnyBroker is the broker id that stands for whichever answers first.
const AnyBroker int32 = -1

// Transport is a kafka.Transport that can be closed and that carries requests
// of kmsg. It is safe for concurrent use. The embedded one fits a kafka.Writer
// or kafka.Client; its Dial field belongs to the Transport.
type Transport struct {
	*kafka.Transport
	cfg   Config
	addr  net.Addr
	conns *conns
	sent  atomic.Int32 // requests, for their correlation ids
	stop  context.CancelFunc
}

// Transport returns a transport for requests about the topics. It does not
// connect yet. The caller closes it.
func (c Config) Transport(topics ...string) (*Transport, error) {
	tlsConfig, mechanism, err := c.security()
	if err != nil {
		return nil, err
	}
	t := &Transport{cfg: c, addr: kafka.TCP(c.Brokers...), conns: newConns(tlsConfig)}
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	t.Transport = &kafka.Transport{
		Context:        ctx,
		Dial:           t.conns.dial,
		DialTimeout:    dialTimeout,
		MetadataTTL:    metadataTTL,
		MetadataTopics: topics, // else it asks for every topic of the cluster
		ClientID:       c.ClientID,
		SASL:           mechanism,
	}
	return t, nil
}

// Addr is what kafka.Writer and kafka.Client want as their address.
func (t *Transport) Addr() net.Addr { return t.addr }

// Request sends a request, in the version set in it, to the broker of that id
// and returns the response. It fails with kafka.BrokerNotAvailable as long as
// the transport has not heard of that broker. buf, which may be nil, is memory to read it into;
// the memory used is returned, and belongs to the response until the caller is
// done with it. After an error the memory is not returned, since it may still
// be written to.
func (t *Transport) Request(
	ctx context.Context, broker int32, req kmsg.Request, buf []byte,
) (kmsg.Response, []byte, error) {
	m := &message{broker: broker, clientID: t.cfg.ClientID, id: t.sent.Add(1), req: req, buf: buf}
	res, err := t.RoundTrip(ctx, t.addr, m)
	if err != nil {
		return nil, nil, fmt.Errorf("%s request: %w", kmsg.NameForKey(req.Key()), err)
	}
	if res != m { // a message answers itself
		return nil, nil, fmt.Errorf("%s request: answered by %T", kmsg.NameForKey(req.Key()), res)
	}
	return m.res, m.buf, nil
}

// Close closes all connections, also those in use, and waits until whoever uses
// them has seen it.
func (t *Transport) Close() {
	t.stop()
	t.CloseIdleConnections()
	t.conns.close()
	t.conns.wait()
}

// Dialer is a kafka.Dialer that can be closed.
type Dialer struct {
	*kafka.Dialer
	conns *conns
}

// Dialer returns a dialer, for a kafka.Reader or kafka.ConsumerGroup. The caller
// closes it.
func (c Config) Dialer() (*Dialer, error) {
	tlsConfig, mechanism, err := c.security()
	if err != nil {
		return nil, err
	}
	conns := newConns(tlsConfig)
	return &Dialer{conns: conns, Dialer: &kafka.Dialer{
		ClientID:      c.ClientID,
		Timeout:       dialTimeout,
		DialFunc:      conns.dial,
		SASLMechanism: mechanism,
	}}, nil
}

// Close closes all connections, also those in use, and refuses new ones. It does
// not wait: close it first, and then what uses it, which does.
func (d *Dialer) Close() { d.conns.close() }
