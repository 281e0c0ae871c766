// Package soak runs gateways for long under a crowd that comes and goes, and says whether they grow.
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
	"paystream/internal/clienttest"
)

// Sample is what the gateways had at one moment, added up.
type Sample struct {
	At         time.Duration // since the soak began
	Memory     int64         // resident, bytes
	Goroutines int64
	Files      int64
}

const (
	samples     = 60              // over the whole time
	warm        = 5               // of them are left out of what is compared: windows and buffers fill
	leastPeriod = 2 * time.Second // between two samples
)

// Run has a crowd of subscribers come and go for a time.
func Run(ctx context.Context, w *world.World, crowd int, length time.Duration, each func(Sample)) ([]Sample, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	defer running.Wait()
	protocols := clienttest.Protocols()
	for i := range crowd {
		p := protocols[i%len(protocols)]
		s := subscriber.New(subscriber.Config{
			Name: fmt.Sprintf("%s, of the crowd, %d", p.Name, i), Protocol: p, Habit: subscriber.Restless,
			Gateways: w.Addresses(), First: i, Turn: i, Seed: uint64(i), Judge: w.Judge,
		})
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

func take(ctx context.Context, w *world.World) (Sample, error) {
	var sum Sample
	for _, g := range w.Gateways {
		s, err := of(ctx, g)
		if err != nil {
			return sum, fmt.Errorf("gateway %d: %w", g.ID, err)
		}
		sum.Memory += s.Memory
		sum.Goroutines += s.Goroutines
		sum.Files += s.Files
	}
	return sum, nil
}

var errNoFigure = errors.New("no such figure")

func of(ctx context.Context, g *gateway.Gateway) (s Sample, err error) {
	text, err := g.Metrics(ctx)
	if err != nil {
		return s, fmt.Errorf("ask for metrics: %w", err)
	}
	if s.Goroutines, err = figure(text, "go_goroutines"); err != nil {
		return s, err
	}
	if s.Memory, err = figure(text, "process_resident_memory_bytes"); err != nil {
		return s, err
	}
	files, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(g.Process().Pid()), "fd"))
	s.Files = int64(len(files))
	return s, err
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

// Row is one figure over the whole time.
type Row struct {
	Name        string
	Values      []int64
	First, Last int64 // the mean of the first quarter, once warm, and of the last
	Most        int64
}

// Growth is how much the last quarter is above the first, in percent.
func (r Row) Growth() float64 { return 100 * (float64(r.Last)/float64(max(1, r.First)) - 1) }

// Rows are the figures of the samples.
func Rows(all []Sample) []Row {
	rows := []Row{{Name: "resident memory, MiB"}, {Name: "goroutines"}, {Name: "open files"}}
	for _, s := range all {
		for i, v := range []int64{s.Memory >> 20, s.Goroutines, s.Files} {
			rows[i].Values = append(rows[i].Values, v)
			rows[i].Most = max(rows[i].Most, v)
		}
	}
	for i := range rows {
		settled := rows[i].Values[min(warm, len(all)/4):]
		rows[i].First, rows[i].Last = mean(settled[:(len(settled)+3)/4]), mean(settled[len(settled)*3/4:])
	}
	return rows
}

func mean(v []int64) int64 {
	sum := int64(0)
	for _, n := range v {
		sum += n
	}
	return sum / int64(max(1, len(v)))
}
