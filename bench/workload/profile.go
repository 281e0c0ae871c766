package workload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"paystream/bench/process"
)

// profileTime is how much of a gateway's run is profiled: its admin address wants to know before.
const profileTime = 2 * time.Second

// profile begins a CPU profile of a server, if profiles are wanted, and returns what ends it.
func (e *Env) profile(ctx context.Context, s *server) (finish func() error, err error) {
	if e.Profiles == "" {
		return func() error { return nil }, nil
	}
	file, err := e.newProfile(s.name)
	if err != nil {
		return nil, err
	}
	if s.child != nil {
		err := call(ctx, s.child, "profile", file, nil)
		return func() error { return call(ctx, s.child, "profiled", process.None{}, nil) }, err
	}
	done := make(chan error, 1)
	go func() {
		b, err := s.get(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", int(profileTime.Seconds())))
		done <- errors.Join(err, os.WriteFile(file, []byte(b), 0o644)) //nolint:gosec // as above
	}()
	return func() error { return <-done }, nil
}

// newProfile returns where the next profile is to be written, nowhere if none are wanted.
func (e *Env) newProfile(name string) (file string, err error) {
	if e.Profiles == "" {
		return "", nil
	}
	if err := os.MkdirAll(e.Profiles, 0o755); err != nil { //nolint:gosec // a folder that was asked for
		return "", fmt.Errorf("make the folder for profiles: %w", err)
	}
	e.profiled++
	return filepath.Abs(filepath.Join(e.Profiles, fmt.Sprintf("%03d-%s.pprof", e.profiled, name)))
}
