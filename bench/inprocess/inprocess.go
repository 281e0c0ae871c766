// Package inprocess is what is measured without a gateway around it: reading from Kafka, decoding,
// and appending, each in a process of its own. The process reads its own CPU time, from where
// everything is ready to where it is done.
package inprocess

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"time"

	"paystream/bench/process"
	"paystream/bench/sample"
)

// Work is what is measured.
type Work struct {
	Brokers string
	Topic   sample.Topic
	Records int // in the topic, or to decode
	Passes  int // how often it is done, each time from the start
	// Profile is where a CPU profile is to be written, if one is.
	Profile string
}

// Cost is what that took, all passes together.
type Cost struct {
	Records int
	CPU     time.Duration
	Wall    time.Duration
}

// Run serves a parent's calls: consume, count, listen, decode, unmarshal and append.
func Run(payments sample.Payments, in io.Reader, out io.Writer) error {
	measured := func(pass func(Work) error) func(Work) (Cost, error) {
		return func(w Work) (Cost, error) { return measure(w, pass) }
	}
	return process.Serve(in, out, process.Calls{
		"consume":   process.Handle(measured(consume)),
		"count":     process.Handle(measured(count)),
		"decode":    process.Handle(measured(func(w Work) error { return decode(payments[:w.Records]) })),
		"unmarshal": process.Handle(measured(func(w Work) error { return unmarshal(payments[:w.Records]) })),
		"listen":    process.Handle(listen),
		"append":    process.Handle(func(a Appends) (AllAppendTimes, error) { return a.run(payments) }),
	})
}

func measure(w Work, pass func(Work) error) (_ Cost, err error) {
	if w.Profile != "" {
		file, err := os.Create(w.Profile)
		if err != nil {
			return Cost{}, fmt.Errorf("write the profile: %w", err)
		}
		if err := pprof.StartCPUProfile(file); err != nil {
			return Cost{}, errors.Join(fmt.Errorf("profile: %w", err), file.Close())
		}
		defer func() {
			pprof.StopCPUProfile()
			err = errors.Join(err, file.Close())
		}()
	}
	begin, err := process.CPU(os.Getpid())
	if err != nil {
		return Cost{}, err
	}
	at := time.Now()
	for i := range w.Passes {
		if err := pass(w); err != nil {
			return Cost{}, fmt.Errorf("pass %d: %w", i+1, err)
		}
	}
	wall := time.Since(at)
	end, err := process.CPU(os.Getpid())
	return Cost{Records: w.Records * w.Passes, CPU: end - begin, Wall: wall}, err
}
