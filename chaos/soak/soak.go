// Package soak runs gateways for long under a crowd that comes and goes, and judges whether they grow.
package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"paystream/chaos/gateway"
	"paystream/chaos/subscriber"
	"paystream/chaos/world"
	paymentpb "paystream/gen/payment"
	"paystream/internal/clienttest"
)

// Sample is what each of the gateways had at one moment.
type Sample struct {
	At       time.Duration // since the soak began
	Gateways []Figures
}

// Figures are what a gateway takes.
type Figures struct {
	Memory     int64 // resident, bytes
	Heap       int64 // at which Go collects garbage next: what lives, and as much again
	Goroutines int64
	Files      int64
}

const (
	samples     = 60              // over the whole time
	leastPeriod = 1 * time.Second // between two samples
)

// wantAll is one of how many subscribers wants everything; the others want one provider's payments of one status, each
// a sixteenth of all. 500 that want all of 1,000 payments a second are more than two cores carry along with brokers and
// those who judge them, and what is measured then is how far subscribers fall behind.
const wantAll = 10

// Run has a crowd of subscribers come and go for a time.
func Run(ctx context.Context, w *world.World, crowd int, length time.Duration, each func(Sample)) ([]Sample, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	defer running.Wait()
	protocols := clienttest.Protocols()
	for i := range crowd {
		p := protocols[i%len(protocols)]
		cfg := subscriber.Config{
			Name: fmt.Sprintf("%s, of the crowd, %d", p.Name, i), Protocol: p, Habit: subscriber.Restless,
			Gateways: w.Addresses(), First: i, Turn: i, Seed: uint64(i), Judge: w.Judge,
		}
		if i/len(protocols)%wantAll > 0 { // some of each protocol
			cfg.Provider, cfg.Status = paymentpb.Provider(1+i%3), paymentpb.PaymentStatus(1+i/3%4)
		}
		s := subscriber.New(cfg)
		running.Go(func() { s.Run(ctx); s.Track.Left() })
	}
	defer cancel() // before the wait
	period := max(leastPeriod, length/samples)
	var all []Sample
	for begin := time.Now(); time.Since(begin) < length; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(period):
		}
		s, err := take(ctx, w)
		if err != nil {
			return nil, err
		}
		s.At = time.Since(begin)
		all = append(all, s)
		each(s)
	}
	return all, nil
}

func take(ctx context.Context, w *world.World) (s Sample, err error) {
	for _, g := range w.Gateways {
		f, err := of(ctx, g)
		if err != nil {
			return s, fmt.Errorf("gateway %d: %w", g.ID, err)
		}
		s.Gateways = append(s.Gateways, f)
	}
	return s, nil
}

var errNoFigure = errors.New("no such figure")

func of(ctx context.Context, g *gateway.Gateway) (f Figures, err error) {
	text, err := g.Metrics(ctx)
	if err != nil {
		return f, fmt.Errorf("ask for metrics: %w", err)
	}
	for name, to := range map[string]*int64{
		"process_resident_memory_bytes": &f.Memory, "go_memstats_next_gc_bytes": &f.Heap, "go_goroutines": &f.Goroutines,
	} {
		if *to, err = figure(text, name); err != nil {
			return f, err
		}
	}
	files, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(g.Process().Pid()), "fd"))
	f.Files = int64(len(files))
	return f, err
}

// figure reads one of Prometheus' text.
func figure(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return int64(v), err
		}
	}
	return 0, fmt.Errorf("%s: %w", name, errNoFigure)
}
