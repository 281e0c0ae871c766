// Package cluster runs a Kafka of three nodes, brokers and controllers at once, as processes that can be
// killed and restarted.
//
// What it guarantees:
//
//   - What was acknowledged is on two nodes: topics have replication 3 and min.insync.replicas 2, and no
//     replica that has fallen behind becomes a leader.
//   - Each gateway reaches the brokers by listeners of its own, advertised by addresses that its links
//     listen on; the harness reaches them directly.
//   - [Cluster.Close] leaves no process and no file.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"paystream/chaos/process"
)

// nodes is how many there are: the least with which one may be missing.
const nodes = 3

const (
	startPatience = 90 * time.Second
	stopPatience  = 30 * time.Second
)

// Cluster is a Kafka that runs.
type Cluster struct {
	nodes  []*node
	client *kgo.Client
	admin  *kadm.Client

	mu sync.Mutex // one node is away at a time
}

// Config says what to start.
type Config struct {
	Lib   string // the folder of Kafka's jars
	Dir   string // what the nodes write
	Views int    // how many gateways have listeners of their own
}

// Start returns when all three nodes serve.
func Start(ctx context.Context, cfg Config) (_ *Cluster, err error) {
	c := &Cluster{}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	for id := 1; id <= nodes; id++ {
		n, err := newNode(id, cfg)
		if err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, n)
	}
	var g errgroup.Group
	for _, n := range c.nodes {
		g.Go(func() error {
			if err := n.format(ctx, c.nodes); err != nil {
				return err
			}
			return n.start()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	c.client, err = kgo.NewClient(c.Client()...)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	c.admin = kadm.NewClient(c.client)
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	if err := c.awaitAll(ctx); err != nil {
		return nil, fmt.Errorf("start Kafka: %w", err)
	}
	return c, nil
}

// Close kills the nodes.
func (c *Cluster) Close() {
	if c.client != nil {
		c.client.Close()
	}
	for _, n := range c.nodes {
		n.process.Kill()
		_ = os.RemoveAll(n.dir)
	}
}

// Client are the options of a client that reaches the brokers directly, and soon sees what has changed.
func (c *Cluster) Client() []kgo.Opt {
	var seeds []string
	for _, n := range c.nodes {
		seeds = append(seeds, n.address(direct))
	}
	return []kgo.Opt{
		kgo.SeedBrokers(seeds...),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.MetadataMaxAge(2 * time.Second),
		kgo.DialTimeout(2 * time.Second),
		kgo.RequestTimeoutOverhead(5 * time.Second),
	}
}

// Admin asks and changes what the cluster has.
func (c *Cluster) Admin() *kadm.Client { return c.admin }

// Proxied are the brokers' addresses as one gateway's links lead to them: where each is to lead, by
// where it is to listen.
func (c *Cluster) Proxied(view int) map[string]string {
	links := map[string]string{}
	for _, n := range c.nodes {
		links[n.advertised[view]] = n.address(viewName(view))
	}
	return links
}

// Fail ends a node, by SIGKILL or, if gently, by SIGTERM, calls meanwhile, and starts the node again. It
// returns when all replicas are in sync; one node fails at a time.
func (c *Cluster) Fail(ctx context.Context, id int, gently bool, meanwhile func()) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[id-1]
	if gently {
		err = n.process.Terminate(stopPatience)
	} else {
		n.process.Kill()
	}
	meanwhile()
	if e := n.start(); e != nil {
		return errors.Join(err, e)
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	return errors.Join(err, c.awaitAll(ctx), c.AwaitInSync(ctx))
}

// awaitAll waits until every node is there and the coordinators have loaded.
func (c *Cluster) awaitAll(ctx context.Context) error {
	return poll(ctx, func(ctx context.Context) error {
		for _, n := range c.nodes {
			if !n.process.Running() {
				return fatalError{n.process.Failure()}
			}
		}
		found, err := c.admin.BrokerMetadata(ctx)
		if err != nil {
			return err
		}
		if len(found.Brokers) < nodes {
			return fmt.Errorf("%d of %d brokers", len(found.Brokers), nodes)
		}
		fetched, err := c.admin.FetchOffsets(ctx, "chaos-probe")
		return errors.Join(err, fetched.Error())
	})
}

// AwaitInSync waits until no partition lacks a replica.
func (c *Cluster) AwaitInSync(ctx context.Context) error {
	return poll(ctx, func(ctx context.Context) error {
		topics, err := c.admin.ListTopicsWithInternal(ctx)
		if err != nil {
			return err
		}
		for _, t := range topics.Sorted() {
			for _, p := range t.Partitions.Sorted() {
				if p.Err != nil || len(p.ISR) < len(p.Replicas) {
					return fmt.Errorf("%s partition %d: %d of %d replicas in sync (%w)", t.Topic, p.Partition, len(p.ISR), len(p.Replicas), p.Err)
				}
			}
		}
		return nil
	})
}

// Insist tries something again until it succeeds, as it may not while a broker is away.
func (c *Cluster) Insist(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	return poll(ctx, try)
}

// fatalError ends a poll.
type fatalError struct{ error }

func poll(ctx context.Context, try func(context.Context) error) error {
	for {
		one, cancel := context.WithTimeout(ctx, 3*time.Second)
		err := try(one)
		cancel()
		if err == nil || errors.As(err, &fatalError{}) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// FindLib returns the folder of Kafka's jars in a tree of paystream's sources.
func FindLib(root string) (string, error) {
	lib, err := filepath.Abs(filepath.Join(root, ".kafka", "lib"))
	if err != nil {
		return "", fmt.Errorf("find Kafka: %w", err)
	}
	if _, err := os.Stat(filepath.Join(lib, ".complete")); err != nil {
		return "", fmt.Errorf("no Kafka in %s: run internal/kafkatest/fetch.sh", lib)
	}
	return lib, nil
}

func newNode(id int, cfg Config) (*node, error) {
	ports, err := process.FreePorts(3 + 2*cfg.Views)
	if err != nil {
		return nil, err
	}
	n := &node{
		id: id, lib: cfg.Lib, dir: filepath.Join(cfg.Dir, fmt.Sprintf("broker%d", id)),
		addresses:  map[string]string{controller: ports[0], between: ports[1], direct: ports[2]},
		advertised: ports[3+cfg.Views:],
	}
	for view := range cfg.Views {
		n.addresses[viewName(view)] = ports[3+view]
	}
	return n, nil
}
