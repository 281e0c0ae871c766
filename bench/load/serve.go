package load

import (
	"errors"
	"io"
	"time"

	"paystream/bench/process"
	"paystream/bench/sample"
)

// Result is what a run came to, once it has been found right.
type Result struct {
	Deliveries int64
	Bytes      int64 // of messages, without envelopes and the like
	Latencies  Latencies
}

// Finish ends a run. Sent is when each payment was published, where latencies are wanted.
type Finish struct {
	Sent []int64
	// Partial says that nobody waited for the end: what has come is not checked.
	Partial bool
}

// Run serves a parent's calls. A run is dial, subscribe, open where the job is gated, wait, and
// finish, in this order; the first event may come as soon as subscribe has begun.
func Run(payments sample.Payments, in io.Reader, out io.Writer) error {
	var r *run
	var want []expectation
	running := func() error {
		if r == nil {
			return errors.New("there is no run")
		}
		return nil
	}
	return process.Serve(in, out, process.Calls{
		"dial": process.Handle(func(job Job) (process.None, error) {
			var err error
			if want, err = expectations(job, payments); err != nil {
				return process.None{}, err
			}
			if r, err = dial(job); err != nil {
				return process.None{}, err
			}
			counts := make([]int, len(want))
			for g := range want {
				if counts[g] = want[g].total; job.Groups[g].Stalled {
					counts[g] = -1
				}
			}
			r.expect(counts)
			return process.None{}, nil
		}),
		"subscribe": process.Handle(func(process.None) (process.None, error) {
			if err := running(); err != nil {
				return process.None{}, err
			}
			return process.None{}, r.subscribe()
		}),
		"open": process.Handle(func(process.None) (process.None, error) {
			if err := running(); err != nil {
				return process.None{}, err
			}
			return process.None{}, r.release()
		}),
		"wait": process.Handle(func(process.None) (time.Duration, error) {
			if err := running(); err != nil {
				return 0, err
			}
			return r.wait()
		}),
		"finish": process.Handle(func(f Finish) (Result, error) {
			if err := running(); err != nil {
				return Result{}, err
			}
			return r.finish(f, payments, want)
		}),
	})
}

// linger is how long a run goes on listening for events that nobody expects.
const linger = 100 * time.Millisecond

func (r *run) finish(f Finish, payments sample.Payments, want []expectation) (Result, error) {
	if !f.Partial {
		time.Sleep(linger)
	}
	r.stop()
	select {
	case err := <-r.failed:
		return Result{}, err
	default:
	}
	var result Result
	for _, s := range r.subscribers {
		if !s.group.Stalled {
			result.Deliveries += int64(s.events)
			result.Bytes += s.bytes
		}
	}
	if f.Partial {
		return result, nil
	}
	if err := r.verify(payments, want); err != nil {
		return Result{}, err
	}
	if r.job.Latency {
		var err error
		if result.Latencies, err = r.latencies(f.Sent); err != nil {
			return Result{}, err
		}
	}
	return result, nil
}
