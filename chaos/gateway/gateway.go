// Package gateway runs gateways as processes, behind links that can fail on both sides.
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"paystream/chaos/network"
	"paystream/chaos/process"
)

// Gateway is a gateway and its links. Its methods but Readiness are for one goroutine at a time.
type Gateway struct {
	ID      int
	Clients *network.Link   // from the subscribers
	Brokers []*network.Link // to each of the brokers

	binary, dir, logs, address, admin string
	env                               []string
	process                           *process.Process
}

// Config says what to run.
type Config struct {
	ID      int
	Binary  string
	Dir     string
	Logs    string // a folder; Dir where it is empty
	Network *network.Network
	Brokers map[string]string // links to the brokers: where each is to lead, by where it is to listen
	Seeds   []string          // brokers that are reached without a link
	Env     []string
}

// Start starts a gateway and returns at once.
func Start(cfg Config) (*Gateway, error) {
	ports, err := process.FreePorts(3)
	if err != nil {
		return nil, err
	}
	g := &Gateway{ID: cfg.ID, binary: cfg.Binary, dir: cfg.Dir, logs: cmp.Or(cfg.Logs, cfg.Dir), address: ports[0], admin: ports[1]}
	if g.Clients, err = cfg.Network.Link(ports[2], g.address); err != nil {
		return nil, err
	}
	seeds := slices.Clone(cfg.Seeds)
	for listen, upstream := range cfg.Brokers {
		link, err := cfg.Network.Link(listen, upstream)
		if err != nil {
			return nil, err
		}
		g.Brokers = append(g.Brokers, link)
		seeds = append(seeds, listen)
	}
	slices.Sort(seeds)
	_, port, err := net.SplitHostPort(g.address)
	if err != nil {
		return nil, err
	}
	g.env = append([]string{
		"KAFKA_BROKERS=" + strings.Join(seeds, ","), "GRPC_PORT=" + port, "ADMIN_ADDR=" + g.admin, "LOG_FORMAT=json",
	}, cfg.Env...)
	return g, g.Restart()
}

// Restart starts the gateway again, which has ended.
func (g *Gateway) Restart() (err error) {
	g.process, err = process.Start(process.Command{
		Path: g.binary, Args: []string{"serve"}, Dir: g.dir, Env: g.env,
		Log: filepath.Join(g.logs, fmt.Sprintf("gateway%d.log", g.ID)),
	})
	return err
}

// Process is the latest.
func (g *Gateway) Process() *process.Process { return g.process }

// Admin is the address of its metrics.
func (g *Gateway) Admin() string { return g.admin }

// AwaitReady waits until the gateway has caught up with Kafka.
func (g *Gateway) AwaitReady(ctx context.Context) error {
	for {
		ok, text := g.Readiness(ctx)
		if ok {
			return nil
		}
		if !g.process.Running() {
			return g.process.Failure()
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), fmt.Errorf("gateway %d is not ready: %s", g.ID, text))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Readiness is what /readyz says, asked for past the links.
func (g *Gateway) Readiness(ctx context.Context) (ok bool, text string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	status, text, err := get(ctx, "http://"+g.address+"/readyz")
	if err != nil {
		return false, err.Error()
	}
	return status == http.StatusOK, text
}

// Metrics are the gateway's figures, in Prometheus' text.
func (g *Gateway) Metrics(ctx context.Context) (string, error) {
	_, text, err := get(ctx, "http://"+g.admin+"/metrics")
	return text, err
}

func get(ctx context.Context, url string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, strings.TrimSpace(string(b)), err
}
