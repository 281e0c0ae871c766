package broadcast_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"paystream/broadcast"
)

// TestIndexGrowsAndShrinks with what is retained, and finds all of that and nothing else.
func TestIndexGrowsAndShrinks(t *testing.T) {
	const n = 3000 // several pages of the index
	synctest.Test(t, func(t *testing.T) {
		log, _ := newLog(broadcast.Limits{Age: time.Hour}, 1)
		for round := range int64(3) {
			for range 4 {
				fill(log, n/4)
				time.Sleep(10 * time.Minute)
			}
			time.Sleep(25 * time.Minute) // the first half has left, or nearly
			log.Expire(time.Now())
			for i := range (round + 1) * n {
				_, ok := log.Get(fmt.Sprint("k", i))
				if want := i >= log.Oldest().At(0); ok != want {
					t.Fatalf("round %d: get k%d: %v, want %v", round, i, ok, want)
				}
			}
			time.Sleep(time.Hour)
			log.Expire(time.Now())
			if _, ok := log.Get(fmt.Sprint("k", (round+1)*n-1)); ok || log.Stats().Records != 0 {
				t.Fatal("found, though all have left")
			}
		}
	})
}

// TestGetWhileKeysMove looks keys up that are always there, while others come and go and these have new
// states, so that entries are moved from bucket to bucket.
func TestGetWhileKeysMove(t *testing.T) {
	const always, appends = 50, 40_000
	log, _ := newLog(broadcast.Limits{Records: 2000}, 1)
	offset := int64(0)
	add := func(key string) {
		log.Append(broadcast.Batch{Records: []broadcast.Record{record(key, offset)}, Next: offset + 1})
		offset++
	}
	for i := range always {
		add(fmt.Sprint("always-", i))
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for reader := range 2 {
		readers.Go(func() {
			for i := reader; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				key := fmt.Sprint("always-", i%always)
				if e, ok := log.Get(key); !ok || e.Key != key {
					t.Errorf("get %s: %v, %v", key, e, ok)
					return
				}
			}
		})
	}
	for i := range appends {
		switch {
		case i%20 == 0: // all of them within a window
			add(fmt.Sprint("always-", i/20%always))
		case i/5000%2 == 0: // many keys
			add(fmt.Sprint("k", i))
		default: // few, so that the index shrinks
			add(fmt.Sprint("k", i%10))
		}
	}
	close(done)
	readers.Wait()
}

// TestTexts of all shapes come out as they went in, and nothing of the caller's memory is kept.
func TestTexts(t *testing.T) {
	tests := []struct{ name, key, value string }{
		{"key first", "key", "key and value"},
		{"key within", "key", "\n\x03key and value"},
		{"key by itself", "key", "value"},
		{"key too far within", "key", strings.Repeat("v", 1000) + "key"},
		{"no value", "key", ""},
		{"neither", "", ""},
		{"no key", "", "value"},
		{"key is the value", "key", "key"},
		{"larger than a chunk", "key", strings.Repeat("v", 300_000)},
		{"long key", strings.Repeat("k", 100_000), "value"},
		{"long key within", strings.Repeat("k", 100_000), "\n" + strings.Repeat("k", 100_000)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			log, _ := newLog(broadcast.Limits{}, 1)
			key, value := []byte(test.key), []byte(test.value)
			for i := range int64(600) { // among others, in more than one chunk and segment
				r := broadcast.Record{Key: fmt.Sprint("k", i), Value: strings.Repeat("v", int(i)), Offset: i}
				if i == 500 {
					r.Key, r.Value = string(key), string(value)
				}
				log.Append(broadcast.Batch{Records: []broadcast.Record{r}, Next: i + 1})
			}
			if e, ok := log.Get(test.key); !ok || e.Key != test.key || e.Value != test.value || e.Offset != 500 {
				t.Errorf("got %v %.80v", ok, e)
			}
			if e, ok := log.Get("k499"); !ok || e.Value != strings.Repeat("v", 499) {
				t.Errorf("its neighbour: got %v %v", ok, e)
			}
		})
	}
}

// TestBitsOfBuckets: keys that come and go, some of them again, are found as long as they are retained, however the
// index has grown and shrunk, and whatever bits their buckets still have of others.
func TestBitsOfBuckets(t *testing.T) {
	const window = 300
	log, _ := newLog(broadcast.Limits{Records: window}, 1)
	random := rand.New(rand.NewPCG(1, 2))
	last := map[string]int64{}
	for next := int64(0); next < 20_000; {
		var batch broadcast.Batch
		for range 1 + random.IntN(200) {
			keys := 1 + next/10%2000 // few at times, so that there are few buckets
			key := fmt.Sprint("key ", random.Int64N(keys))
			batch.Records = append(batch.Records, record(key, next))
			last[key] = next
			next++
		}
		batch.Next = next
		log.AppendAll([]broadcast.Batch{batch})
		for key, offset := range last {
			e, ok := log.Get(key)
			if retained := offset >= next-window; ok != retained || ok && e.Offset != offset {
				t.Fatalf("at %d: %q is at %d, got %v %v", next, key, offset, ok, e.Offset)
			}
		}
	}
}

func TestHugeHoleInOffsets(t *testing.T) {
	log, view := newLog(broadcast.Limits{}, 1)
	sub := subscribe(t, log, view, broadcast.Start{})
	const hole = 1 << 40
	for i, next := range []int64{1, 1 << 16, 1<<16 + 2, hole, hole + 1} {
		at := log.Newest().At(0)
		log.Append(broadcast.Batch{Records: []broadcast.Record{record("k", at)}, Next: next})
		if got := log.Newest().At(0); got != next {
			t.Errorf("append %d: newest %d, want %d", i, got, next)
		}
		if got := drain(t, sub); len(got) != 1 || got[0].Offset != at || sub.Vector().At(0) != next {
			t.Errorf("append %d: delivered %v, at %v, want one and %d", i, got, sub.Vector(), next)
		}
		if n := log.Count(log.Newest(), 0); n != 1 {
			t.Errorf("append %d: %d latest states of one key", i, n)
		}
	}
	if e, ok := log.Get("k"); !ok || e.Offset != hole {
		t.Errorf("get: %v %v", e, ok)
	}
}
