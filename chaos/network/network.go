// Package network puts a link that can fail between two programs: Shopify's toxiproxy, as a library.
//
// What it guarantees: a link passes bytes on in order, or not at all. What was on its way when a link is
// healed after a cut never arrives, since its connection is closed; latency is changed without touching
// what is on its way.
package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Network makes links.
type Network struct {
	server *toxiproxy.ApiServer

	mu    sync.Mutex
	links []*Link
}

// New returns a network without links.
func New() *Network {
	return &Network{server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.New(io.Discard))}
}

// Link returns a link that listens on one address and leads to another.
func (n *Network) Link(listen, upstream string) (*Link, error) {
	l := &Link{proxy: toxiproxy.NewProxy(n.server, listen, listen, upstream), address: listen}
	if err := l.proxy.Start(); err != nil {
		return nil, fmt.Errorf("link %s to %s: %w", listen, upstream, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links = append(n.links, l)
	return l, nil
}

// Close closes all links.
func (n *Network) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.links {
		l.proxy.Stop()
	}
}

// Link is a way from one address to another. Its methods may be called by several goroutines.
type Link struct {
	proxy   *toxiproxy.Proxy
	address string

	mu     sync.Mutex
	cut    bool
	slowed bool // the toxics of latency are there
}

// Address is where the link listens.
func (l *Link) Address() string { return l.address }

const (
	cutName  = "cut"
	slowName = "slow"
)

var directions = []string{"upstream", "downstream"}

// Cut lets nothing pass any more, in silence: connections stay open, new ones are taken.
func (l *Link) Cut() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return nil
	}
	l.cut = true
	return l.each(func(direction string) error {
		return l.add(cutName, "timeout", direction, `"timeout":0`)
	})
}

// Mend ends a cut. Connections that lived through it are closed.
func (l *Link) Mend() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.cut {
		return nil
	}
	l.cut = false
	return l.each(func(direction string) error {
		return l.proxy.Toxics.RemoveToxic(context.Background(), cutName+direction)
	})
}

// Slow lets everything take so much longer in each direction; 0 ends it.
func (l *Link) Slow(by time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	attributes := fmt.Sprintf(`"latency":%d`, by.Milliseconds())
	add := !l.slowed
	l.slowed = true
	return l.each(func(direction string) error {
		if add {
			return l.add(slowName, "latency", direction, attributes)
		}
		// To take a toxic away drops what a slow reader has not taken after 5 s: it stays, with latency 0.
		_, err := l.proxy.Toxics.UpdateToxicJson(slowName+direction, strings.NewReader(`{"attributes":{`+attributes+`}}`))
		return err
	})
}

func (l *Link) add(name, kind, direction, attributes string) error {
	_, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(
		`{"name":%q,"type":%q,"stream":%q,"attributes":{%s}}`, name+direction, kind, direction, attributes)))
	return err
}

func (l *Link) each(do func(direction string) error) error {
	var errs []error
	for _, direction := range directions {
		errs = append(errs, do(direction))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("link %s: %w", l.address, err)
	}
	return nil
}
