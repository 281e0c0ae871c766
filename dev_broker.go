package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/gofrs/flock"
	"github.com/twmb/franz-go/pkg/kfake"
)

const (
	devPartitions = 3
	kafkaPort     = 9092
	devCluster    = "paystream-dev"
	dataLock      = "lock"      // the file in a data directory that its user holds
	dataMark      = "meta.json" // the file that the broker writes first, and reads first
)

// devBroker is the embedded broker: a Kafka of one process. Without a data directory it forgets all
// at its end. With one, what it has acknowledged is in the system's hands and outlives the process
// however that ends, but not a machine that loses its power, since nothing is synced one by one; and
// cluster and topic stay the same, so that cursors stay good.
type devBroker struct {
	*kfake.Cluster
	topic string
	lock  *flock.Flock
}

// startBroker starts a broker that has the topic, on Kafka's own port or on a free one. An empty
// directory is none.
func startBroker(ctx context.Context, topic, dir string, log *slog.Logger) (*devBroker, error) {
	b := &devBroker{topic: topic}
	options := []kfake.Opt{
		kfake.NumBrokers(1), kfake.ClusterID(devCluster), kfake.SeedTopics(devPartitions, topic), kfake.WithLogger(brokerLog{log}),
	}
	if dir != "" {
		var err error
		if b.lock, err = lockDataDir(dir); err != nil {
			return nil, err
		}
		options = append(options, kfake.DataDir(dir))
	}
	err := b.start(ctx, options)
	if err != nil {
		b.unlock()
		if dir != "" {
			return nil, fmt.Errorf("start the embedded broker on what is in --data-dir=%s (removing it begins anew): %w", dir, err)
		}
		return nil, fmt.Errorf("start the embedded broker: %w", err)
	}
	return b, nil
}

func (b *devBroker) start(ctx context.Context, options []kfake.Opt) (err error) {
	if !taken(ctx, net.JoinHostPort("localhost", strconv.Itoa(kafkaPort))) {
		b.Cluster, _ = kfake.NewCluster(append(slices.Clip(options), kfake.Ports(kafkaPort))...)
	}
	if b.Cluster == nil {
		if b.Cluster, err = kfake.NewCluster(options...); err != nil {
			return err
		}
	}
	// A broker that has been there before, for another topic, makes none by itself.
	if b.TopicInfo(b.topic) == nil {
		if err := b.CreateTopic(b.topic, devPartitions, nil); err != nil {
			b.Cluster.Close()
			return fmt.Errorf("create topic %q: %w", b.topic, err)
		}
	}
	return nil
}

// Close ends the broker, and lets others have its directory.
func (b *devBroker) Close() {
	b.Cluster.Close()
	b.unlock()
}

func (b *devBroker) unlock() {
	if b.lock != nil {
		_ = b.lock.Unlock() // the end of the process does the same
	}
}

func (b *devBroker) addr() string { return b.ListenAddrs()[0] }

// records is how many the topic holds.
func (b *devBroker) records() int64 {
	var n int64
	for _, p := range b.PartitionInfos(b.topic) {
		n += p.HighWatermark - p.LogStartOffset
	}
	return n
}

func (b *devBroker) partitions() int { return len(b.PartitionInfos(b.topic)) }

// lockDataDir makes a directory this process's own, and makes it if it is not there. A process that
// is killed does not keep it.
func lockDataDir(dir string) (*flock.Flock, error) {
	refused := func(err error) error { return badUsage(fmt.Errorf("--data-dir=%s: %w", dir, err)) }
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, refused(errors.New("this is a file: name a directory"))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, refused(fmt.Errorf("make the directory: %w", plain(err)))
	}
	if err := checkDataDir(dir); err != nil {
		return nil, refused(err)
	}
	lock := flock.New(filepath.Join(dir, dataLock))
	switch ok, err := lock.TryLock(); {
	case err != nil:
		return nil, refused(fmt.Errorf("lock it: %w", plain(err)))
	case !ok:
		return nil, fmt.Errorf("--data-dir=%s is in use by another paystream dev: stop that one, or name another directory", dir)
	}
	return lock, nil
}

// checkDataDir refuses a directory that can't be written to, and one that holds other things: a
// slip would strew a broker's files about somebody's home.
func checkDataDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read the directory: %w", plain(err))
	}
	probe, err := os.CreateTemp(dir, "probe-*.tmp") // the broker removes what ends in .tmp
	if err != nil {
		return fmt.Errorf("the directory can't be written to: %w", plain(err))
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name())
	marked := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == dataMark })
	foreign := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() != dataLock && filepath.Ext(e.Name()) != ".tmp" })
	if foreign && !marked {
		return errors.New("it holds files that are not a broker's: name one that is empty, or is not there yet")
	}
	return nil
}

// plain is an error of the file system without the call and the path that it failed on.
func plain(err error) error {
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number
	}
	return err
}

// brokerLog passes on what the broker finds wrong, most of it about its disk.
type brokerLog struct{ log *slog.Logger }

func (l brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	if level <= kfake.LogLevelWarn {
		l.log.Warn("the embedded broker reports", "problem", fmt.Sprintf(format, args...))
	}
}
