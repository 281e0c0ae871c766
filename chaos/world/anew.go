package world

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

var errBehind = errors.New("not everybody has what the topic had")

// Anew deletes the topic and makes it anew. What Kafka deletes nobody can be shown any more; so that nothing may
// be missing all the same, the traffic rests first until every subscriber has everything, and every bad record is
// in the dead letters. Of the new topic everybody is owed all.
func (w *World) Anew(ctx context.Context, partitions int, patience time.Duration) error {
	resting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := w.Traffic.Rest(resting); err != nil {
		return fmt.Errorf("rest: %w", err)
	}
	defer w.Traffic.Resume()
	w.CaughtUp(ctx, patience)
	if n := w.Judge.Waiting(nil); n > 0 {
		return fmt.Errorf("%w: %d deliveries are missing", errBehind, n)
	}
	if err := w.settled(ctx); err != nil {
		return err
	}
	w.Judge.Anew()
	if err := w.Cluster.RecreateTopic(ctx, Topic, partitions); err != nil {
		return err
	}
	return w.noteTopic(ctx)
}

// settled waits until the group has committed all that there is: then each bad record is in the dead letters.
func (w *World) settled(ctx context.Context) error {
	if members, err := w.Members(ctx); err != nil || members == 0 {
		return err
	}
	return w.Cluster.Insist(ctx, func(ctx context.Context) error {
		ends, err := w.Cluster.Admin().ListEndOffsets(ctx, Topic)
		if err := errors.Join(err, ends.Error()); err != nil {
			return err
		}
		committed, err := w.Cluster.Admin().FetchOffsets(ctx, Group)
		if err := errors.Join(err, committed.Error()); err != nil {
			return err
		}
		ends.Each(func(end kadm.ListedOffset) {
			if c, ok := committed.Lookup(Topic, end.Partition); end.Offset > 0 && (!ok || c.At < end.Offset) {
				err = errors.Join(err, fmt.Errorf("%w: partition %d is settled up to %d of %d", errBehind, end.Partition, c.At, end.Offset))
			}
		})
		return err
	})
}

func (w *World) noteTopic(ctx context.Context) error {
	id, err := w.Cluster.TopicID(ctx, Topic)
	w.topicIDs = append(w.topicIDs, id)
	return err
}
