package world

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

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
	partition, offset := int64(0), int64(-1)
	var theirs []kgo.RecordHeader
	for _, h := range r.Headers {
		switch n, err := strconv.ParseInt(string(h.Value), 10, 64); {
		case h.Key == ours+"partition" && err == nil:
			partition = n
		case h.Key == ours+"offset" && err == nil:
			offset = n
		}
		if !strings.HasPrefix(h.Key, ours) {
			theirs = append(theirs, h)
		}
	}
	w.Judge.DeadLettered(int32(partition), offset, traffic.Bytes(r.Key, r.Value, theirs))
}
