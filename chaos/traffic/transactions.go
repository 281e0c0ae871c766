package traffic

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"paystream/chaos/judge"
)

const (
	// transactionSize is in how many payments a transaction consists of; it is aborted behind the half.
	transactionSize = 40
	// transactionPause lies between two transactions: an open one holds back what follows it.
	transactionPause = 500 * time.Millisecond
	// transactionTimeout ends one whose producer has lost its coordinator.
	transactionTimeout = 10 * time.Second
)

// transact writes transactions while they are switched on.
func (t *Traffic) transact(ctx context.Context) error {
	var client *kgo.Client
	defer func() {
		if client != nil {
			client.Close()
		}
	}()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(transactionPause):
		}
		if !t.transactions.Load() {
			continue
		}
		if client == nil {
			var err error
			if client, err = t.open(kgo.TransactionalID("chaos"), kgo.TransactionTimeout(transactionTimeout)); err != nil {
				return err
			}
		}
		n++
		if err := t.transaction(client, n%2 == 0); err != nil { //nolint:contextcheck // one that is begun is ended
			client.Close() // the next one ends what this one has left open
			client = nil
		}
	}
}

// transaction writes one, and tells the judge of its records when it is known how it ended.
func (t *Traffic) transaction(client *kgo.Client, abort bool) error {
	if err := client.BeginTransaction(); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*transactionTimeout)
	defer cancel()
	var w written
	for i := range transactionSize {
		r := t.together.next(false)
		client.Produce(ctx, t.kafka(r), func(k *kgo.Record, err error) { w.add(r, k, err) })
		if i == transactionSize/2 {
			w.fail(client.Flush(ctx)) // so that an aborted one has records on Kafka
			if abort {
				break
			}
		}
	}
	end := kgo.TryCommit
	if abort {
		end = kgo.TryAbort
		w.fail(client.AbortBufferedRecords(ctx))
	} else if err := client.Flush(ctx); err != nil || w.failed() {
		end = kgo.TryAbort
	}
	err := client.EndTransaction(ctx, end)
	w.tell(t, end, err)
	return err
}

// written is what a transaction has written.
type written struct {
	mu      sync.Mutex
	records []*Record
	kafka   []*kgo.Record // by record; nil where it failed
	err     error
}

func (w *written) add(r *Record, k *kgo.Record, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.err, k = errors.Join(w.err, err), nil
	}
	w.records, w.kafka = append(w.records, r), append(w.kafka, k)
}

func (w *written) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = errors.Join(w.err, err)
}

func (w *written) failed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err != nil
}

// tell tells the judge how each record ended. An abort that got no answer still comes: by the producer's
// next beginning or by the time-out. A commit that got none may have happened or not.
func (w *written) tell(t *Traffic, end kgo.TransactionEndTry, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	kind := judge.Payment
	switch {
	case end == kgo.TryAbort:
		kind = judge.Aborted
	case err != nil:
		kind = judge.Uncertain
	}
	for i, r := range w.records {
		if k := w.kafka[i]; k == nil {
			t.judge.Stray(kind, r.Print)
		} else {
			t.judge.Acknowledged(k.Partition, k.Offset, kind, r.Print)
		}
	}
}
