package consumer

import "testing"

// TestEpochsNeverGoBack: two readers have answers of different leaders in hand.
func TestEpochsNeverGoBack(t *testing.T) {
	t.Parallel()
	e := newEpochs()
	e.begin(0, 1, 10)
	one := epochOf{partition: 0, epoch: 1}
	if _, ok := e.succeed(one, 3, 10); !ok || e.at(0) != 3 {
		t.Fatalf("%v, epoch %d; want 3", ok, e.at(0))
	}
	if !e.hasRead(0, 3, 20) {
		t.Fatal("what was read under the present epoch is refused")
	}
	if _, ok := e.succeed(one, 2, 10); !ok || e.at(0) != 3 {
		t.Errorf("%v, epoch %d after the late word of 2", ok, e.at(0))
	}
	if e.hasRead(0, 2, 15) || e.hasRead(0, 1, 15) {
		t.Error("what was read under an earlier epoch is taken")
	}
	if beyond, ok := e.succeed(epochOf{0, 3}, 4, 19); ok || beyond != 20 || e.at(0) != 3 {
		t.Errorf("%d, %v, epoch %d; want the 20 that were read to be missing", beyond, ok, e.at(0))
	}
	if _, ok := e.succeed(epochOf{0, 3}, 4, 20); !ok || e.at(0) != 4 {
		t.Errorf("%v, epoch %d; want 4", ok, e.at(0))
	}
	if _, ok := e.end(one); ok {
		t.Error("where an epoch ended is remembered from before a later one")
	}
}

// TestALeaderOfBeforeIsNotFollowed: a broker that was cut off from the others, and answers the gateway, still holds
// itself for the leader.
func TestALeaderOfBeforeIsNotFollowed(t *testing.T) {
	t.Parallel()
	table := newTable()
	table.group = func(_, leader int32) int32 { return leader }
	table.add(&partition{leader: 1, epoch: 5})
	for _, step := range []struct {
		why         string
		told        placement
		leader, now int32
	}{
		{"a new leader", placement{leader: 2, epoch: 6}, 2, 6},
		{"the word of one that was cut off", placement{leader: 1, epoch: 5}, 2, 6},
		{"the leader has died", placement{leader: noLeader, epoch: 6}, noLeader, 6},
		{"the word of one that was cut off, again", placement{leader: 1, epoch: 5}, noLeader, 6},
		{"it has come back", placement{leader: 2, epoch: 6}, 2, 6},
		{"elected once more", placement{leader: 1, epoch: 7}, 1, 7},
	} {
		table.place([]placement{step.told})
		if p := table.get(0); p.leader != step.leader || p.epoch != step.now {
			t.Errorf("%s: leader %d of epoch %d, want %d of %d", step.why, p.leader, p.epoch, step.leader, step.now)
		}
	}
}
