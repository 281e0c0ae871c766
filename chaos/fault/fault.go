// Package fault breaks what runs, and mends it again.
//
// What it guarantees: a fault that returns has mended what it broke, or says with an error what it could
// not. Which faults come when is decided by a seed alone: see [Alone] and [Storm].
package fault

import (
	"context"
	"fmt"
	"time"

	"paystream/chaos/judge"
	"paystream/chaos/world"
)

// Fault is one way to break things.
type Fault struct {
	Name  string
	Title string
	Hold  time.Duration // how long it lasts, alone; in a storm half of it to all of it
	Quick time.Duration // the same in a quick run; 0 leaves the fault out
	Mend  time.Duration // how long it takes besides, about

	lane lane
	run  func(ctx context.Context, w *world.World, s Step) (Outcome, error)
}

// Outcome is what became of a fault.
type Outcome struct {
	NotRun string // why it was not run; empty where it was
	Note   string
}

// Step is a fault that is to happen, with all that chance decides about it.
type Step struct {
	At    time.Duration // since the storm began; 0 when it is alone
	Fault string
	Hold  time.Duration
	Which int // of the gateways, or of the partitions, whatever their number
}

func (s Step) String() string {
	return fmt.Sprintf("%6.1f s  %-18s for %4.1f s, at %d", s.At.Seconds(), s.Fault, s.Hold.Seconds(), s.Which)
}

// lane is what faults share that can not happen at once.
type lane string

const (
	brokers  lane = "brokers" // of which one may be away
	gateways lane = "gateways"
	links    lane = "links"
	topic    lane = "topic"
	calm     lane = "" // never in a storm
)

// All are all faults, in the order in which they happen alone.
func All() []Fault {
	const s = time.Second
	return []Fault{
		{"none", "nothing (the machine's own)", 10 * s, 3 * s, 0, calm, wait},
		{"gateway-kill", "gateway, kill -9", 5 * s, 2 * s, s, gateways, gatewayKill},
		{"gateway-term", "gateway, SIGTERM", 5 * s, 2 * s, s, gateways, gatewayTerm},
		{"gateway-freeze", "gateway, SIGSTOP", 30 * s, 6 * s, 0, gateways, disowning(gatewayFreeze)},
		{"leader-kill", "a partition's leader, kill -9", 5 * s, 4 * s, 12 * s, brokers, leaderKill},
		{"rolling-restart", "brokers, restarted in turn", 2 * s, 0, 45 * s, brokers, rollingRestart},
		{"broker-cut", "network cut, gateway from brokers", 10 * s, 4 * s, 0, links, disowning(brokerCut)},
		{"broker-slow", "200 ms latency, gateway to brokers", 15 * s, 0, 0, links, brokerSlow},
		{"client-cut", "network cut, clients from a gateway", 10 * s, 4 * s, 0, links, clientCut},
		{"client-slow", "200 ms latency, clients to a gateway", 15 * s, 4 * s, 0, links, clientSlow},
		{"group-churn", "the group changes every 3 s", 15 * s, 6 * s, 0, topic, groupChurn},
		{"partitions", "a partition is added", 5 * s, 2 * s, 0, topic, addPartition},
		{"transactions", "transactions, half of them aborted midway", 15 * s, 4 * s, 0, calm, transactions},
		{"bad-records", "1 % bad records of every kind", 15 * s, 4 * s, 0, calm, badRecords},
		{"dead-letters", "the dead-letter topic refuses writes", 15 * s, 0, 0, calm, refuseDeadLetters},
		{"retention", "retention overtakes a sleeping subscriber", 12 * s, 0, 10 * s, calm, retention},
		{"recreate", "the topic is deleted and made anew", 5 * s, 2 * s, 8 * s, calm, recreate},
	}
}

// Find returns a fault by its name.
func Find(name string) (Fault, bool) {
	for _, f := range All() {
		if f.Name == name {
			return f, true
		}
	}
	return Fault{}, false
}

// Run does a step, from break to mend.
func Run(ctx context.Context, w *world.World, s Step) (Outcome, error) {
	f, ok := Find(s.Fault)
	if !ok {
		return Outcome{}, fmt.Errorf("there is no fault %q", s.Fault)
	}
	out, err := f.run(ctx, w, s)
	if err != nil {
		return out, fmt.Errorf("%s: %w", s.Fault, err)
	}
	return out, nil
}

func wait(ctx context.Context, _ *world.World, s Step) (Outcome, error) {
	return Outcome{}, hold(ctx, s.Hold)
}

// staleFor is how long an owner that is back may take to notice that it is none any more, and to end a write.
const staleFor = 5 * time.Second

// disowning makes a fault one during which a gateway may lose its partitions without knowing: it goes on with what
// it was about to do, behind the next owner's back.
func disowning(run func(context.Context, *world.World, Step) (Outcome, error)) func(context.Context, *world.World, Step) (Outcome, error) {
	return func(ctx context.Context, w *world.World, s Step) (Outcome, error) {
		begin := time.Now()
		out, err := run(ctx, w, s)
		w.Judge.Unsettled(judge.Unrest{From: begin, To: time.Now().Add(staleFor)})
		return out, err
	}
}

// hold waits; it fails when ctx ends first.
func hold(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
