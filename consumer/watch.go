package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// metadataEvery is how often the cluster is asked where partitions are and
	// whether there are new ones.
	metadataEvery = 1500 * time.Millisecond
	// metadataPause is how soon it is asked again when something has failed.
	metadataPause = 250 * time.Millisecond
)

// metadata is the name of the trouble with it.
const metadata = "metadata"

// refresh asks the watcher for fresh metadata.
func (c *Consumer) refresh() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// watch follows the cluster's metadata.
func (c *Consumer) watch(ctx context.Context) {
	failures := 0
	for {
		if failures > 0 {
			sleep(ctx, backoff(failures))
		} else if sleep(ctx, metadataPause) {
			pause(ctx, metadataEvery-metadataPause, c.kick)
		}
		c.looks.begin()
		view, err := c.client.metadata(ctx)
		if err == nil {
			err = c.apply(ctx, view)
		}
		if err == nil {
			c.looks.end()
		}
		if c.table.failing() {
			c.refresh() // a new leader may be there any moment, and a fetch that has to wait does not ask for it
		}
		switch {
		case ctx.Err() != nil || errors.Is(err, ErrReplaced):
			return
		case err != nil:
			failures++
			c.troubles.lost(metadata, c.cfg.Kafka.Explain(err))
		case failures > 0:
			failures = 0
			c.troubles.over(metadata)
			c.table.retry() // brokers that were away may be back
		}
	}
}

// apply takes over what has changed in the cluster.
func (c *Consumer) apply(ctx context.Context, v *view) error {
	if v.topicID != c.client.topicID {
		return c.replace()
	}
	c.table.place(v.partitions)
	known := c.table.len()
	for i, p := range v.partitions {
		if p.leader == noLeader && i < known {
			c.troubles.lost(partitionName(p.partition), errNoLeader)
			c.table.update(p.partition, func(p *partition) { p.failures = max(1, p.failures) })
		}
	}
	if known < len(v.partitions) {
		return c.discover(ctx, v.partitions[known:])
	}
	return nil
}

// discover takes in new partitions, which are read from their first record.
func (c *Consumer) discover(ctx context.Context, found []placement) error {
	first, err := c.client.offsets(ctx, found, earliest)
	if err != nil {
		return err
	}
	for i, p := range found {
		c.log.Open(p.partition, first[i])
		c.group.open(p.partition, first[i])
		c.begins(p.partition, p.epoch, first[i])
		c.table.add(&partition{
			id: p.partition, leader: p.leader, epoch: p.epoch, next: first[i], end: -1, high: -1, live: true,
		})
		c.logger.Info("partition discovered", "partition", p.partition, "offset", first[i])
	}
	return nil
}

// ErrReplaced says that the topic was deleted and made anew under the same name. At the same offsets the new one has
// other records: offsets, cursors and all that is in the log are the old one's.
var ErrReplaced = errors.New("topic was deleted and made anew")

// CheckTopic waits until Kafka has said, after this call, that the topic is still the one that was begun with. Where it is
// not, Run ends. All callers share the answers, and Kafka is asked four times a second at the most.
func (c *Consumer) CheckTopic(ctx context.Context) error {
	looked := c.looks.next()
	c.refresh()
	select {
	case <-looked:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for Kafka to say which topic there is: %w", ctx.Err())
	}
}

// looks tells those who wait for it that Kafka has been asked since. Its methods are safe for concurrent use.
type looks struct {
	mu      sync.Mutex
	waiting chan struct{}   // for a look that has not begun; nil is nobody
	begun   []chan struct{} // for the one that has, or one behind it
}

// next returns a channel that is closed when a look that begins after this has ended well.
func (l *looks) next() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == nil {
		l.waiting = make(chan struct{})
	}
	return l.waiting
}

func (l *looks) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting != nil {
		l.begun, l.waiting = append(l.begun, l.waiting), nil
	}
}

func (l *looks) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, waiting := range l.begun {
		close(waiting)
	}
	l.begun = nil
}

// checkTopic fails when the topic is not the one that was begun with.
func (c *Consumer) checkTopic(ctx context.Context) error {
	v, err := c.client.metadata(ctx)
	if err != nil {
		return err
	}
	if v.topicID != c.client.topicID {
		return c.replace()
	}
	return nil
}

// replace ends Run.
func (c *Consumer) replace() error {
	c.gone.Store(true)
	c.stop(ErrReplaced)
	return ErrReplaced
}
