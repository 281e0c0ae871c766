package server

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paystream/broadcast"
)

// forgetful says once what Kafka has taken back, and can not be asked after that.
type forgetful struct {
	fixedSource

	gaps  []broadcast.Gap
	asked int
}

func (f *forgetful) Check(context.Context, broadcast.Vector, []int32) ([]broadcast.Gap, error) {
	if f.asked++; f.asked > 1 {
		return nil, errors.New("nobody answers")
	}
	return f.gaps, nil
}

// TestWhatWasTakenBackIsKept: a stream whose cursor was found to be of records that Kafka has lost is told so, also when
// Kafka goes away in between, and Kafka is not asked for it again.
func TestWhatWasTakenBackIsKept(t *testing.T) {
	t.Parallel()
	source := &forgetful{gaps: []broadcast.Gap{{Partition: 0, From: 20, To: 15}}}
	server := New(Config{}, broadcast.New(broadcast.Limits{}), source)
	server.log.Open(0, 0)
	c, err := server.claimOf(t.Context(), formatCursor(source.Fingerprint(), broadcast.Vector{20}, []int32{0}))
	if err != nil {
		t.Fatal(err)
	}
	f, err := server.begin(server.formats.proto, beginning{claim: c})
	if err != nil {
		t.Fatal(err)
	}
	if f.CaughtUp() {
		t.Error("there is nothing to tell")
	}
	_, err = f.Next(t.Context())
	gap, ok := errors.AsType[*broadcast.GapError](err)
	if !ok {
		t.Fatalf("%v, want a gap", err)
	}
	want := &broadcast.GapError{At: broadcast.Vector{20}, Next: broadcast.Vector{15}, Gaps: source.gaps}
	if diff := cmp.Diff(want, gap); diff != "" || source.asked != 1 {
		t.Errorf("asked %d times; gap (-want +got):\n%s", source.asked, diff)
	}
}
