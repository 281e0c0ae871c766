package load

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// conn is a connection with its subscribers.
type conn interface {
	// subscribe sends the requests.
	subscribe() error
	// open lets a server go on that was held back.
	open() error
	// read takes what comes until the connection is closed.
	read() error
	close()
}

// run is one job, from dialing to the end.
type run struct {
	job         Job
	subscribers []*subscriber
	conns       []conn
	readers     sync.WaitGroup

	closing atomic.Bool
	opening atomic.Int64  // streams that are not open yet
	opened  chan struct{} // closed when all are
	waiting atomic.Int64  // subscribers that have not got all yet
	done    chan struct{} // closed when all have
	failed  chan error    // the first failure
	began   time.Time
}

// dial connects everyone.
func dial(job Job) (*run, error) {
	if err := job.check(); err != nil {
		return nil, err
	}
	r := &run{
		job:    job,
		opened: make(chan struct{}), done: make(chan struct{}), failed: make(chan error, 1),
	}
	config, err := job.tls()
	if err != nil {
		return nil, err
	}
	if err := r.addSubscribers(); err != nil {
		return nil, err
	}
	perConn := max(job.StreamsPerConn, 1)
	r.conns = make([]conn, (len(r.subscribers)+perConn-1)/perConn)
	g, ctx := errgroup.WithContext(context.Background())
	g.SetLimit(64)
	for i := range r.conns {
		g.Go(func() error {
			streams := r.subscribers[i*perConn : min((i+1)*perConn, len(r.subscribers))]
			c, err := r.connect(ctx, config, streams)
			r.conns[i] = c
			return err
		})
	}
	if err := g.Wait(); err != nil {
		r.stop()
		return nil, fmt.Errorf("connect: %w", err)
	}
	return r, nil
}

func (j Job) tls() (*tls.Config, error) {
	if j.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(j.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("read the certificate: there is none")
	}
	protocol := "h2"
	if j.HTTP1 {
		protocol = "http/1.1"
	}
	return &tls.Config{RootCAs: pool, NextProtos: []string{protocol}, ServerName: "localhost", MinVersion: tls.VersionTLS12}, nil
}

func (r *run) addSubscribers() error {
	for gi := range r.job.Groups {
		g := &r.job.Groups[gi]
		for i := range g.Subscribers {
			s := &subscriber{
				number: len(r.subscribers), group: g, topic: r.job.Topic.Partitions, sum: r.job.Sum, want: -1,
				place: placeInProto, done: r.complete, partitions: make([]received, r.job.Topic.Partitions),
			}
			if r.job.Protocol == SSE || r.job.Protocol == NDJSON || r.job.Protocol == ConnectJSON {
				s.place = placeInJSON
			}
			for p := range s.partitions { // the first number from From on in each partition
				number := g.From + (p-g.From%r.job.Topic.Partitions+r.job.Topic.Partitions)%r.job.Topic.Partitions
				s.partitions[p].next = r.job.Topic.Offset(number)
			}
			if i == 0 && !g.Stalled {
				s.kept = newKept(g.To - g.From)
			}
			if r.job.Latency && !g.Stalled && !g.Since {
				s.came = make([]int64, g.To-g.From)
			}
			r.subscribers = append(r.subscribers, s)
		}
	}
	if len(r.subscribers) == 0 {
		return errors.New("there are no subscribers")
	}
	r.opening.Store(int64(len(r.subscribers)))
	return nil
}

// expect sets how many events each group gets.
func (r *run) expect(want []int) {
	waiting := 0
	for _, s := range r.subscribers {
		for g := range r.job.Groups {
			if s.group == &r.job.Groups[g] {
				s.want = want[g]
			}
		}
		if s.want > 0 {
			waiting++
		}
	}
	r.waiting.Store(int64(waiting))
	if waiting == 0 {
		close(r.done)
	}
}

func (r *run) connect(ctx context.Context, config *tls.Config, streams []*subscriber) (conn, error) {
	var socket net.Conn
	var err error
	if config != nil {
		socket, err = (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", r.job.Address)
	} else {
		socket, err = (&net.Dialer{}).DialContext(ctx, "tcp", r.job.Address)
	}
	if err != nil {
		return nil, err
	}
	first := streams[0]
	split := newSplitter(r.job.Protocol, first.event)
	request, err := r.job.request(*first.group)
	if err != nil {
		return nil, err
	}
	switch {
	case r.job.Protocol == TCP:
		return &tcpConn{conn: socket, sub: first, split: split, opened: r.open}, nil
	case r.job.HTTP1:
		return &http1Conn{conn: socket, request: request, sub: first, split: split, opened: r.open}, nil
	}
	c := newHTTP2Conn(socket, r.job)
	for _, s := range streams {
		if request, err = r.job.request(*s.group); err != nil {
			return nil, err
		}
		c.add(request, s, newSplitter(r.job.Protocol, s.event), r.open)
	}
	return c, c.hello()
}

// open is called by each stream that is open.
func (r *run) open() {
	if r.opening.Add(-1) == 0 {
		close(r.opened)
	}
}

// complete is called by each subscriber that has got all.
func (r *run) complete() {
	if r.waiting.Add(-1) == 0 {
		close(r.done)
	}
}

// subscribe sends all requests and waits until all streams are open.
func (r *run) subscribe() error {
	r.began = time.Now()
	for _, c := range r.conns {
		r.readers.Go(func() {
			if err := c.read(); err != nil && !r.closing.Load() {
				r.fail(err)
			}
		})
		if err := c.subscribe(); err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
	}
	return r.await(r.opened, "streams are open")
}

func (r *run) fail(err error) {
	select {
	case r.failed <- err:
	default:
	}
}

// release lets a server that was held back send to everyone.
func (r *run) release() error {
	r.began = time.Now()
	for _, c := range r.conns {
		if err := c.open(); err != nil {
			return err
		}
	}
	return nil
}

// wait returns when every subscriber has got all.
func (r *run) wait() (time.Duration, error) {
	err := r.await(r.done, "subscribers have everything")
	return time.Since(r.began), err
}

// defaultTimeout is how long a run may take.
const defaultTimeout = 2 * time.Minute

func (r *run) await(event <-chan struct{}, what string) error {
	timeout := r.job.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-event:
		return nil
	case err := <-r.failed:
		return err
	case <-timer.C:
		r.stop()
		return fmt.Errorf("not all %s after %v: %s", what, timeout, r.shortfall())
	}
}

// stop closes all connections and waits for their readers.
func (r *run) stop() {
	r.closing.Store(true)
	for _, c := range r.conns {
		if c != nil {
			c.close()
		}
	}
	r.readers.Wait()
}

// shortfall says who lacks what, once everything has stopped.
func (r *run) shortfall() string {
	short := 0
	var first *subscriber
	for _, s := range r.subscribers {
		if s.events < s.want {
			if short++; first == nil {
				first = s
			}
		}
	}
	if first == nil {
		return fmt.Sprintf("%d of %d streams are not open", r.opening.Load(), len(r.subscribers))
	}
	return fmt.Sprintf("%d of %d subscribers lack some; subscriber %d has %d of %d",
		short, len(r.subscribers), first.number, first.events, first.want)
}
