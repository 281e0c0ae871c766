package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"

	"paystream/internal/kafkaconn"
)

const (
	// queueRecords is how far a kafka.Reader reads ahead.
	queueRecords = 128
	// quietFetches is how many fetches without a record it takes to ask the
	// broker where the partition ends.
	quietFetches = 4
)

// uncommitted reads everything there is, with a kafka.Reader per partition: each
// is a group of its own. What such a reader does not tell is told by other means
// or not at all:
//
//   - It jumps over what Kafka has deleted. So wherever offsets are missing, the
//     broker is asked for the first one it has.
//   - It gives markers out as messages. They are known by their shape.
//   - It moves on past what was compacted away without saying how far. So at the
//     end of such a partition the position stays before the hole, and what was
//     read is called drained.
//   - It finds a new leader before the metadata tell of one. So nobody knows the leader epoch of what it reads, and a
//     partition that is cut back goes unnoticed ([TruncatedError]).
//   - It retries broken connections without a word, so its error log is read.
//   - It knows no time but the producer's, and does not tell an empty value from
//     none.
type uncommitted struct {
	cfg     kafkaconn.Config
	client  *client
	fetches *atomic.Int64

	mu      sync.Mutex
	readers map[int32]*reader
}

// reader is a kafka.Reader and what it does not tell of itself.
type reader struct {
	*kafka.Reader
	dialer *kafkaconn.Dialer
	next   int64
	quiet  int // fetches in a row without a record

	failure atomic.Pointer[error] // the last one it has logged
}

func newUncommitted(cfg kafkaconn.Config, c *client, fetches *atomic.Int64) *uncommitted {
	return &uncommitted{cfg: cfg, client: c, fetches: fetches, readers: map[int32]*reader{}}
}

func (f *uncommitted) group(partition, _ int32) int32 { return partition }

func (f *uncommitted) name(partition int32) string { return "reader of " + partitionName(partition) }

func (f *uncommitted) renew(partition int32) { f.drop(partition) }

func (f *uncommitted) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.readers {
		r.end()
	}
}

func (f *uncommitted) fetch(ctx context.Context, partition int32, at []position, handle func(*fetched)) error {
	f.fetches.Add(1)
	p := at[0]
	out := &fetched{partition: partition, epoch: p.epoch, next: p.offset, end: -1, high: -1}
	r, err := f.reader(ctx, p)
	if err == nil {
		err = f.read(ctx, r, p, out)
	}
	if err != nil {
		f.drop(partition)
	}
	out.err = brokerError(err)
	if errors.Is(out.err, kerr.OffsetOutOfRange) || len(out.records) > 0 || err == nil {
		handle(out)
		return nil
	}
	return out.err
}

// reader returns the partition's reader, a new one where it stands elsewhere.
func (f *uncommitted) reader(ctx context.Context, at position) (*reader, error) {
	f.mu.Lock()
	r := f.readers[at.partition]
	f.mu.Unlock()
	if r != nil && r.next == at.offset {
		return r, nil
	}
	f.drop(at.partition)
	first, err := f.first(ctx, at)
	if err != nil {
		return nil, err
	}
	if at.offset < first {
		return nil, kerr.OffsetOutOfRange // it would begin at the first, and not say so
	}
	r, err = f.open(at)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readers[at.partition] = r
	return r, nil
}

func (f *uncommitted) open(at position) (*reader, error) {
	dialer, err := f.cfg.Dialer()
	if err != nil {
		return nil, fmt.Errorf("set up connections: %w", err)
	}
	r := &reader{dialer: dialer, next: at.offset}
	r.Reader = kafka.NewReader(kafka.ReaderConfig{
		Brokers:               f.cfg.Brokers,
		Topic:                 f.client.topic,
		Partition:             int(at.partition),
		Dialer:                dialer.Dialer,
		QueueCapacity:         queueRecords,
		MinBytes:              1,
		MaxBytes:              maxShare,
		MaxWait:               maxWait,
		ReadBatchTimeout:      patience,
		ReadLagInterval:       -1, // none
		ReadBackoffMin:        minBackoff,
		ReadBackoffMax:        maxBackoff,
		MaxAttempts:           1, // errors are reported, and retried here
		OffsetOutOfRangeError: true,
		ErrorLogger:           kafka.LoggerFunc(r.logged),
	})
	if err := r.SetOffset(at.offset); err != nil {
		return nil, fmt.Errorf("set offset: %w", err)
	}
	return r, nil
}

// logged is what kafka-go tells its error log: a text and its parts.
func (r *reader) logged(_ string, parts ...any) {
	for _, part := range parts {
		if err, ok := part.(error); ok {
			r.failure.Store(&err)
		}
	}
}

// drop closes a partition's reader, if there is one.
func (f *uncommitted) drop(partition int32) {
	f.mu.Lock()
	r := f.readers[partition]
	delete(f.readers, partition)
	f.mu.Unlock()
	if r != nil {
		r.end()
	}
}

// end ends the reader's connections first: it would wait for their answers.
func (r *reader) end() {
	r.dialer.Close()
	_ = r.Close() // never fails
}

// read waits for a first record and takes those that lie ready behind it.
func (f *uncommitted) read(ctx context.Context, r *reader, at position, out *fetched) error {
	wait, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	m, err := r.FetchMessage(wait)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case wait.Err() != nil && err != nil:
		return f.listen(ctx, r, at, out)
	case err != nil:
		return err
	}
	r.quiet = 0
	r.failure.Store(nil)
	gap := int64(-1)
	more := r.Stats().QueueLength
	for bytes := 0; ; more-- {
		if m.Offset > r.next && gap < 0 {
			gap = r.next
			if err := f.checkGap(ctx, at, gap); err != nil {
				return err // what lies before it has been taken
			}
		}
		r.next, out.next = m.Offset+1, m.Offset+1
		out.end = max(out.end, m.HighWaterMark)
		out.high = out.end
		if !isMarker(m) {
			out.records = append(out.records, record{key: m.Key, value: m.Value, offset: m.Offset, time: m.Time.UnixMilli()})
		}
		bytes += len(m.Key) + len(m.Value)
		if more == 0 || bytes >= int(at.maxBytes) {
			return nil
		}
		if m, err = r.FetchMessage(ctx); err != nil {
			return err
		}
	}
}

// checkGap fails when what is missing from an offset on has been deleted, and
// not only compacted away.
func (f *uncommitted) checkGap(ctx context.Context, at position, gap int64) error {
	first, err := f.first(ctx, at)
	if err != nil {
		return err
	}
	if first > gap {
		return kerr.OffsetOutOfRange
	}
	return nil
}

// listen deals with a fetch that brought nothing.
func (f *uncommitted) listen(ctx context.Context, r *reader, at position, out *fetched) error {
	if err := r.failure.Load(); err != nil {
		return *err
	}
	r.quiet++
	if r.quiet%quietFetches != 0 {
		return nil
	}
	end, err := f.client.offsets(ctx, []placement{{at.partition, at.leader, at.epoch}}, latest)
	if err != nil {
		return err
	}
	out.end, out.high = end[0], end[0]
	stats := r.Stats() // since it was last called
	out.drained = stats.Fetches > 1 && stats.Errors == 0 && stats.QueueLength == 0
	return nil
}

func (f *uncommitted) first(ctx context.Context, at position) (int64, error) {
	first, err := f.client.offsets(ctx, []placement{{at.partition, at.leader, at.epoch}}, earliest)
	if err != nil {
		return 0, err
	}
	return first[0], nil
}

// isMarker reports whether a message is the end of a transaction: its key is a
// version, 0, and a type, 0 (abort) or 1 (commit), its value a version and the
// coordinator's epoch.
func isMarker(m kafka.Message) bool {
	return len(m.Key) == 4 && m.Key[0] == 0 && m.Key[1] == 0 && m.Key[2] == 0 && m.Key[3] <= 1 && len(m.Value) == 6
}

// brokerError makes a broker's error one of package kerr.
func brokerError(err error) error {
	var e kafka.Error
	if errors.As(err, &e) && e > 0 {
		if known := kerr.ErrorForCode(int16(e)); known != nil {
			return known
		}
	}
	return err
}
