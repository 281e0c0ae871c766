// Package world puts together what a run of chaos needs: three brokers, three gateways between links
// that can fail, traffic, subscribers of every protocol and habit, and the judge.
//
// What it guarantees: every subscriber begins before the first record and so is owed all of them;
// [World.Close] leaves no process, connection or file.
package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"paystream/chaos/cluster"
	"paystream/chaos/gateway"
	"paystream/chaos/judge"
	"paystream/chaos/network"
	"paystream/chaos/subscriber"
	"paystream/chaos/traffic"
	paymentpb "paystream/gen/payment"
	"paystream/internal/clienttest"
)

const (
	// Topic is the payments'.
	Topic = "payments.raw"
	// DeadLetters is the topic of the bad records.
	DeadLetters = Topic + ".dlq"
	// Group is the gateways' consumer group.
	Group = "payment-service"
	// Partitions is with how many the topic begins.
	Partitions = 6

	gateways      = 3
	readyPatience = time.Minute
)

// World is everything that runs.
type World struct {
	Cluster     *cluster.Cluster
	Gateways    []*gateway.Gateway
	Traffic     *traffic.Traffic
	Subscribers []*subscriber.Subscriber
	Judge       *judge.Judge
	Rate        int // payments a second

	network  *network.Network
	dir      string
	seed     uint64
	topicIDs []string // of the topic, and of those that were made anew, the oldest first

	stopTraffic, stopSubscribers context.CancelFunc
	stopOwners                   func()
	trafficEnd                   chan error
	subscribers                  sync.WaitGroup
}

// Config says what to start.
type Config struct {
	Root   string // paystream's sources
	Binary string // of the gateway; built from the sources where it is empty
	Rate   int    // payments a second
	Seed   uint64
	Logs   string             // a folder for the gateways' logs, all of what they say; they go with the rest where it is empty
	Habits []subscriber.Habit // each protocol has a subscriber of each
}

// Start starts everything but the traffic.
func Start(ctx context.Context, cfg Config, tell func(string)) (_ *World, err error) {
	w := &World{Judge: judge.New(), Rate: cfg.Rate, network: network.New(), seed: cfg.Seed}
	defer func() {
		if err != nil {
			w.Close()
		}
	}()
	if w.dir, err = os.MkdirTemp("", "paystream-chaos-"); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	binary := cfg.Binary
	if binary == "" {
		tell("building the gateway")
		binary = filepath.Join(w.dir, "paystream")
		if err := Build(ctx, cfg.Root, binary); err != nil {
			return nil, err
		}
	}
	lib, err := cluster.FindLib(cfg.Root)
	if err != nil {
		return nil, err
	}
	tell("starting three brokers")
	if w.Cluster, err = cluster.Start(ctx, cluster.Config{Lib: lib, Dir: w.dir, Views: gateways}); err != nil {
		return nil, err
	}
	if err := w.Cluster.CreateTopic(ctx, Topic, Partitions); err != nil {
		return nil, err
	}
	if err := w.noteTopic(ctx); err != nil {
		return nil, err
	}
	tell("starting three gateways")
	if err := w.startGateways(ctx, binary, cfg.Logs); err != nil {
		return nil, err
	}
	w.Traffic = traffic.New(traffic.Config{Topic: Topic, Client: w.Cluster.Client(), Judge: w.Judge, Rate: cfg.Rate})
	w.stopOwners = w.watchOwners(ctx)
	if err := w.subscribe(ctx, cfg.Habits); err != nil {
		return nil, err
	}
	return w, w.dateDeadLetters(ctx)
}

// Build builds the gateway with its own module's versions.
func Build(ctx context.Context, root, binary string, flags ...string) error {
	args := append([]string{"build", "-trimpath", "-o", binary}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, ".")...) //nolint:gosec // our own sources
	cmd.Dir = root
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build paystream: %w: %s", err, output)
	}
	return nil
}

func (w *World) startGateways(ctx context.Context, binary, logs string) error {
	level := "info"
	if logs != "" {
		level = "debug"
	}
	for id := range gateways {
		g, err := gateway.Start(gateway.Config{
			ID: id, Binary: binary, Dir: w.dir, Logs: logs, Network: w.network, Brokers: w.Cluster.Proxied(id),
			Env: []string{
				"LOG_LEVEL=" + level,
				"RETAIN_PAYMENTS=10000", // some seconds: who sleeps or is slow is served from Kafka
				"KAFKA_TOPIC=" + Topic, "KAFKA_GROUP_ID=" + Group, "AMOUNT_UNITS=minor",
				fmt.Sprintf("KAFKA_MAX_RECORD_BYTES=%d", traffic.MaxRecordBytes),
			},
		})
		if err != nil {
			return err
		}
		w.Gateways = append(w.Gateways, g)
	}
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	for _, g := range w.Gateways {
		if err := g.AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// subscribe starts a subscriber of each protocol and habit.
func (w *World) subscribe(ctx context.Context, habits []subscriber.Habit) error {
	cursor, err := w.beginning(ctx)
	if err != nil {
		return fmt.Errorf("ask for the first cursor: %w", err)
	}
	ctx, w.stopSubscribers = context.WithCancel(context.WithoutCancel(ctx))
	for i, p := range clienttest.Protocols() {
		for k, habit := range habits {
			n := len(w.Subscribers)
			s := subscriber.New(subscriber.Config{
				Name: p.Name + ", " + string(habit), Protocol: p, Habit: habit, Gateways: w.Addresses(),
				First: i + k, Turn: i, Cursor: cursor, Seed: w.seed + uint64(n), Judge: w.Judge,
			})
			w.Subscribers = append(w.Subscribers, s)
			w.subscribers.Go(func() { s.Run(ctx) })
		}
	}
	return nil
}

// Addresses are where subscribers reach the gateways.
func (w *World) Addresses() []string {
	var addresses []string
	for _, g := range w.Gateways {
		addresses = append(addresses, g.Clients.Address())
	}
	return addresses
}

// beginning is the cursor before the first record.
func (w *World) beginning(ctx context.Context) (string, error) {
	client := clienttest.DialGRPC(w.Gateways[0].Clients.Address())
	defer client.Close()
	stream, err := client.Open(ctx, &paymentpb.StreamPaymentsRequest{})
	if err != nil {
		return "", err
	}
	defer stream.Close()
	return stream.FirstCursor(), nil
}

// Steady are the subscribers that always read.
func (w *World) Steady() []*subscriber.Subscriber {
	var steady []*subscriber.Subscriber
	for _, s := range w.Subscribers {
		if s.Habit == subscriber.Steady {
			steady = append(steady, s)
		}
	}
	return steady
}

// Spread has the subscribers be at all gateways again, so that whatever breaks next breaks for some.
func (w *World) Spread(ctx context.Context) {
	for _, s := range w.Subscribers {
		s.GoHome()
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
}

// Begin starts the traffic.
func (w *World) Begin(ctx context.Context) {
	ctx, w.stopTraffic = context.WithCancel(context.WithoutCancel(ctx))
	w.trafficEnd = make(chan error, 1)
	go func() { w.trafficEnd <- w.Traffic.Run(ctx) }()
}

// End stops the traffic and returns when all of it was acknowledged or has failed.
func (w *World) End() error {
	if w.stopTraffic == nil {
		return nil
	}
	w.stopTraffic()
	w.stopTraffic = nil
	return <-w.trafficEnd
}

// CaughtUp waits until every subscriber has what was acknowledged up to now, and says how long that
// took. When it takes longer than patience, the rest counts as missing, which is for the judge.
func (w *World) CaughtUp(ctx context.Context, patience time.Duration) time.Duration {
	mark, begin := w.Judge.Mark(), time.Now()
	for w.Judge.Waiting(mark) > 0 && time.Since(begin) < patience {
		select {
		case <-ctx.Done():
			return time.Since(begin)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return time.Since(begin)
}

// Close ends everything.
func (w *World) Close() {
	_ = w.End()
	if w.stopSubscribers != nil {
		w.stopSubscribers()
		w.subscribers.Wait()
	}
	if w.stopOwners != nil {
		w.stopOwners()
	}
	for _, g := range w.Gateways {
		g.Process().Kill()
	}
	w.network.Close()
	if w.Cluster != nil {
		w.Cluster.Close()
	}
	if w.dir != "" {
		_ = os.RemoveAll(w.dir)
	}
}

// Health says which of the processes that should run do not.
func (w *World) Health() error {
	var errs []error
	for _, g := range w.Gateways {
		if !g.Process().Running() {
			errs = append(errs, g.Process().Failure())
		}
	}
	return errors.Join(errs...)
}
