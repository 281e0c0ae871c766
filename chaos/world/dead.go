package world

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"paystream/chaos/judge"
	"paystream/chaos/traffic"
)

// ours is how the headers begin that a gateway adds to a dead letter.
const ours = "paystream-"

// ReadDeadLetters shows the judge every record of the dead-letter topic, until there is one for each bad
// record and nothing more comes, or patience is over.
func (w *World) ReadDeadLetters(ctx context.Context, patience time.Duration) error {
	client, err := kgo.NewClient(append(w.Cluster.Client(),
		kgo.ConsumeTopics(DeadLetters), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		return fmt.Errorf("read the dead letters: %w", err)
	}
	defer client.Close()
	for end := time.Now().Add(patience); time.Now().Before(end) && ctx.Err() == nil; {
		quiet, cancel := context.WithTimeout(ctx, 3*time.Second)
		fetched := client.PollFetches(quiet)
		cancel()
		fetched.EachRecord(w.deadLetter)
		if records, _ := w.Judge.DeadLetters(); fetched.NumRecords() == 0 && records >= w.Judge.Figures().Bad {
			break
		}
	}
	return ctx.Err()
}

// deadLetter reads one. What does not say where it is from has no offset, and so no bad record.
func (w *World) deadLetter(r *kgo.Record) {
	l := judge.Letter{Topic: -1, Offset: -1, Written: r.Timestamp}
	var theirs []kgo.RecordHeader
	for _, h := range r.Headers {
		switch n, err := strconv.ParseInt(string(h.Value), 10, 64); {
		case h.Key == ours+"topic-id":
			l.Topic = slices.Index(w.topicIDs, string(h.Value))
		case h.Key == ours+"partition" && err == nil:
			l.Partition = int32(n)
		case h.Key == ours+"offset" && err == nil:
			l.Offset = n
		}
		if !strings.HasPrefix(h.Key, ours) {
			theirs = append(theirs, h)
		}
	}
	l.Sum = traffic.Bytes(r.Key, r.Value, theirs)
	w.Judge.DeadLettered(l)
}

// deadPatience is how long gateways have to make the dead-letter topic, which they do when they begin.
const deadPatience = 10 * time.Second

// dateDeadLetters has Kafka give each dead letter the time at which it takes it, in place of the bad record's, so
// that repeats can be held against changes of owner. Gateways that make no such topic need none.
func (w *World) dateDeadLetters(ctx context.Context) error {
	for end := time.Now().Add(deadPatience); ; time.Sleep(100 * time.Millisecond) {
		there, err := w.HasDeadLetters(ctx)
		if err != nil {
			return err
		}
		if there {
			break
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return ctx.Err()
		}
	}
	appended := "LogAppendTime"
	return w.Cluster.Insist(ctx, func(ctx context.Context) error {
		resp, err := w.Cluster.Admin().AlterTopicConfigs(ctx,
			[]kadm.AlterConfig{{Op: kadm.SetConfig, Name: "message.timestamp.type", Value: &appended}}, DeadLetters)
		for _, r := range resp {
			err = errors.Join(err, r.Err)
		}
		return err
	})
}
