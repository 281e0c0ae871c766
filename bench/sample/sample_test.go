package sample_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"paystream/bench/sample"
)

func TestPaymentsAreTheSameEverywhere(t *testing.T) {
	t.Parallel()
	payments := sample.Generate(2000)
	ids := map[string]bool{}
	for _, p := range payments {
		ids[p.Key] = true
	}
	if len(ids) != 2000 {
		t.Errorf("%d ids", len(ids))
	}
	if !reflect.DeepEqual(sample.Generate(2100)[:2000], payments) {
		t.Error("another time they are others")
	}
	file := filepath.Join(t.TempDir(), "payments")
	if err := payments.Write(file); err != nil {
		t.Fatal(err)
	}
	got, err := sample.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(payments, got) {
		t.Error("what is read is not what was written")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b[:len(b)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sample.Read(file); err == nil {
		t.Error("a file that is cut short is read")
	}
}

func TestNumbersAndPlacesFit(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{1, 3, 50} {
		topic := sample.NewTopic("t", partitions, 2*time.Millisecond, 100, time.UnixMilli(1_790_000_000_000))
		next := make([]int64, partitions)
		for i := range 200 {
			p, offset := topic.Partition(i), topic.Offset(i)
			if offset != next[p] || topic.Number(p, offset) != i {
				t.Fatalf("payment %d of %d partitions: partition %d, offset %d, number %d", i, partitions, p, offset, topic.Number(p, offset))
			}
			next[p]++
		}
		if topic.Millis(100) != 1_790_000_000_000 || topic.Millis(101)-topic.Millis(100) != 2 {
			t.Errorf("payment 100 comes at %d, the next one at %d", topic.Millis(100), topic.Millis(101))
		}
	}
}

func TestEventsAreWhole(t *testing.T) {
	t.Parallel()
	payments := sample.Generate(10)
	topic := sample.NewTopic("t", 3, time.Second, 0, time.UnixMilli(1_790_000_000_000))
	cursors := map[string]bool{}
	for i := range payments {
		e, err := topic.Event(payments, i, sample.New)
		if err != nil {
			t.Fatal(err)
		}
		cursors[e.GetCursor()] = true
		if e.GetPayment().GetId() != payments[i].Key || e.GetPayment().GetProcessedAt() != 1_790_000_000+int64(i) ||
			e.GetPublishedAt() != topic.Millis(i) || e.GetTopic() != "t" || e.GetEventType() != sample.New || proto.Size(e) < 150 {
			t.Errorf("payment %d is %v", i, e)
		}
	}
	if len(cursors) != len(payments) {
		t.Errorf("%d cursors", len(cursors))
	}
}

func TestFeedKeepsItsPace(t *testing.T) {
	t.Parallel()
	feed := sample.Feed{From: 10, To: 35, Batch: 10, Every: 20 * time.Millisecond}
	var batches [][2]int
	begin := time.Now()
	sent, err := feed.Batches(func(from, to int) error {
		batches = append(batches, [2]int{from, to})
		if from == 10 {
			time.Sleep(30 * time.Millisecond) // the next one is late
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][2]int{{10, 20}, {20, 30}, {30, 35}}, batches); diff != "" {
		t.Error(diff)
	}
	if took := time.Since(begin); took < 40*time.Millisecond {
		t.Errorf("three batches 20 ms apart took %v", took)
	}
	if len(sent) != 25 || sent[9] != sent[0] || sent[10]-sent[0] < int64(30*time.Millisecond) || sent[24] < sent[10] {
		t.Errorf("published at %v", sent)
	}
	failure := errors.New("no")
	if _, err := feed.Batches(func(int, int) error { return failure }); !errors.Is(err, failure) {
		t.Error(err)
	}
}
