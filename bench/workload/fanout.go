package workload

import (
	"context"
	"os"
	"runtime"
	"time"

	"paystream/bench/load"
	"paystream/bench/process"
	"paystream/bench/report"
)

// fanOut is a run of subscribers against a server.
type fanOut struct {
	server *server
	job    load.Job
	// publish, where not nil, is called once all are subscribed, and returns when each payment was
	// published.
	publish func(ctx context.Context) ([]int64, error)
	// live measures from when all are subscribed, and not from when they begin to.
	live bool
}

// usage is what processes have used up to a moment.
type usage struct {
	at                           time.Time
	server, load, broker, itself time.Duration
	busy                         time.Duration
}

// run runs it, and returns its figures once every subscriber was found to have got the right ones.
func (e *Env) run(ctx context.Context, f fanOut) (report.Metrics, error) {
	child, err := process.Self(ctx, "load", e.sampleFile)
	if err != nil {
		return nil, err
	}
	defer child.Stop()
	if f.job.Address == "" {
		f.job.Address = f.server.address
	}
	if err := call(ctx, child, "dial", f.job, nil); err != nil {
		return nil, err
	}
	profiled, err := e.profile(ctx, f.server)
	if err != nil {
		return nil, err
	}
	begin, err := e.usage(f.server, child)
	if err != nil {
		return nil, err
	}
	if err := call(ctx, child, "subscribe", process.None{}, nil); err != nil {
		return nil, err
	}
	if f.live || f.job.Gated {
		if begin, err = e.usage(f.server, child); err != nil {
			return nil, err
		}
	}
	if f.job.Gated {
		if err := call(ctx, child, "open", process.None{}, nil); err != nil {
			return nil, err
		}
	}
	var sent []int64
	if f.publish != nil {
		if sent, err = f.publish(ctx); err != nil {
			return nil, err
		}
	}
	var took time.Duration
	if err := call(ctx, child, "wait", process.None{}, &took); err != nil {
		return nil, err
	}
	end, err := e.usage(f.server, child)
	if err != nil {
		return nil, err
	}
	memory, err := process.MemoryOf(f.server.Pid())
	if err != nil {
		return nil, err
	}
	if err := profiled(); err != nil {
		return nil, err
	}
	var result load.Result
	if err := call(ctx, child, "finish", load.Finish{Sent: sent}, &result); err != nil {
		return nil, err
	}
	return figures(begin, end, memory, result), nil
}

// usage reads what all processes of a run have used so far.
func (e *Env) usage(s *server, child *process.Child) (usage, error) {
	u := usage{at: time.Now()}
	for _, p := range []struct {
		pid int
		cpu *time.Duration
	}{{s.Pid(), &u.server}, {child.Pid(), &u.load}, {e.broker.Pid(), &u.broker}, {os.Getpid(), &u.itself}} {
		var err error
		if *p.cpu, err = process.CPU(p.pid); err != nil {
			return u, err
		}
	}
	var err error
	u.busy, err = process.Busy()
	return u, err
}

// figures are those that every run has.
func figures(begin, end usage, memory process.Memory, result load.Result) report.Metrics {
	wall := end.at.Sub(begin.at)
	server, loads := end.server-begin.server, end.load-begin.load
	ours := server + loads + end.broker - begin.broker + end.itself - begin.itself
	deliveries := float64(result.Deliveries)
	m := report.Metrics{
		report.Deliveries:  deliveries,
		report.ServerCPU:   server.Seconds(),
		report.LoadCPU:     loads.Seconds(),
		report.Wall:        wall.Seconds(),
		report.PeakRSS:     float64(memory.Peak),
		report.PerCPU:      deliveries / server.Seconds(),
		report.CPUPer:      server.Seconds() / deliveries,
		report.Elsewhere:   max(0, (end.busy-begin.busy-ours).Seconds()) / (wall.Seconds() * float64(runtime.NumCPU())),
		report.BytesPer:    float64(result.Bytes) / deliveries,
		report.ServerCores: server.Seconds() / wall.Seconds(),
	}
	if l := result.Latencies; l.SinceFirst.Count > 0 {
		m[report.Samples] = float64(l.SincePublished.Count)
		m[report.P50] = l.SincePublished.P50.Seconds()
		m[report.P99] = l.SincePublished.P99.Seconds()
		m[report.SpreadP50] = l.SinceFirst.P50.Seconds()
		m[report.SpreadP99] = l.SinceFirst.P99.Seconds()
	}
	return m
}
