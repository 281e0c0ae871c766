package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paystream/consumer"
)

const (
	groupID   = "payment-service"
	deadTopic = topic + ".dlq"
)

func inGroup(c *consumer.Config) { c.GroupID = groupID }

// group starts a member of the consumer group.
func startMember(t *testing.T, c *kfake.Cluster, opts ...option) *gateway {
	t.Helper()
	g := start(t, c.ListenAddrs(), append([]option{inGroup}, opts...)...)
	g.ready()
	return g
}

func (g *gateway) owns(n int) {
	g.t.Helper()
	g.until(fmt.Sprintf("%d owned partitions", n), func() bool {
		owned := 0
		for _, p := range g.Status().Partitions {
			if p.Owned {
				owned++
			}
		}
		return owned == n
	})
}

// committed returns what the group has committed, by partition; -1 is nothing.
func committed(t *testing.T, cl *kgo.Client, partitions int32) []int64 {
	t.Helper()
	offsets, err := kadm.NewClient(cl).FetchOffsets(context.Background(), groupID)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		t.Fatal(err)
	}
	list := make([]int64, partitions)
	for p := range list {
		list[p] = -1
		if o, ok := offsets.Lookup(topic, int32(p)); ok {
			list[p] = o.At
		}
	}
	return list
}

func (g *gateway) commits(cl *kgo.Client, want ...int64) {
	g.t.Helper()
	var got []int64
	g.until(fmt.Sprintf("commit of %v", want), func() bool {
		got = committed(g.t.(*testing.T), cl, int32(len(want)))
		return cmp.Equal(want, got)
	})
}

// TestTwoMembersShareTheWork writes bad records while members come and go in good order.
func TestTwoMembersShareTheWork(t *testing.T) {
	t.Parallel()
	const partitions = 4
	c := newCluster(t, partitions)
	p := newProducer(t, c.ListenAddrs())
	one := startMember(t, c)
	one.owns(partitions)
	n := 0
	produce := func() {
		for part := range int32(partitions) {
			p.pay(part, fmt.Sprintf("p%d-%d", part, n))
			p.send(record(part, "bad", strconv.Itoa(n)))
		}
		n++
	}
	produce()
	two := startMember(t, c)
	for range 50 {
		produce()
		time.Sleep(20 * time.Millisecond)
	}
	one.owns(2)
	two.owns(2)
	produce()
	one.stop()
	two.owns(4)
	produce()
	two.commits(p.cl, int64(2*n), int64(2*n), int64(2*n), int64(2*n))
	dead(t, c.ListenAddrs(), partitions*n)
	two.expect(partitions * n)
}

// TestNoGroupForTheStream has a coordinator that answers nothing of use: that is told, and nothing else.
func TestNoGroupForTheStream(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	var gone atomic.Bool
	gone.Store(true)
	c.ControlKey(int16(kmsg.FindCoordinator), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !gone.Load() {
			return nil, nil, false
		}
		res := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
		res.ErrorCode = kerr.CoordinatorNotAvailable.Code
		return res, nil, true
	})
	g := startMember(t, c)
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, "a")
	g.expect(1)
	g.until("trouble", func() bool { return strings.Contains(g.Status().Group.Trouble, "consumer group") })
	if s := g.Status(); !s.Ready || s.Trouble != "" {
		t.Errorf("status: %+v", s)
	}
	gone.Store(false)
	g.commits(p.cl, 1)
	g.until("end of trouble", func() bool { return g.Status().Group.Trouble == "" })
}

func TestANewPartitionIsSettledToo(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	g := startMember(t, c)
	g.owns(1)
	if _, err := kadm.NewClient(p.cl).UpdatePartitions(t.Context(), 2, topic); err != nil {
		t.Fatal(err)
	}
	q := newProducer(t, c.ListenAddrs())
	q.send(record(1, "x", "bad"))
	g.commits(p.cl, 0, 1)
	dead(t, c.ListenAddrs(), 1)
}

// TestLeavingTakesNoLongerThanSaid has a broker that answers no request of the group's any more.
func TestLeavingTakesNoLongerThanSaid(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]kmsg.Key{"commits": kmsg.OffsetCommit, "leaving": kmsg.LeaveGroup, "dead letters": kmsg.Produce} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			p := newProducer(t, c.ListenAddrs())
			g := startMember(t, c, func(c *consumer.Config) { c.LeaveTimeout = time.Second })
			g.owns(1)
			p.pay(0, "a")
			g.commits(p.cl, 1)
			asked := make(chan struct{}, 100)
			c.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				if produce, ok := req.(*kmsg.ProduceRequest); ok && produce.Topics[0].Topic != deadTopic {
					return nil, nil, false
				}
				asked <- struct{}{}
				c.SleepControl(func() { <-t.Context().Done() })
				return nil, nil, false
			})
			p.send(record(0, "x", "bad"))
			if key != kmsg.LeaveGroup {
				<-asked
			}
			start := time.Now()
			g.stop()
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestOwnersLeaveAtOnce has a successor that need not wait for a session to run out.
func TestOwnersLeaveAtOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	one := startMember(t, c)
	one.owns(1)
	p.pay(0, "a")
	one.expect(1)
	one.stop() // the last commit is made, however short ago it was read
	if got := committed(t, p.cl, 1); got[0] != 1 {
		t.Errorf("committed %v at the end", got)
	}
	start := time.Now()
	startMember(t, c).owns(1)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the next owner came after %v", took)
	}
}

// TestACommitBehindTheEndIsNone, as of a topic that has been made anew: all is looked at.
func TestACommitBehindTheEndIsNone(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, many("a", 5)...)
	p.send(record(0, "bad", "bad"))
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 1000, -1)
	if err := kadm.NewClient(p.cl).CommitAllOffsets(t.Context(), groupID, offsets); err != nil {
		t.Fatal(err)
	}
	g := startMember(t, c)
	g.commits(p.cl, 6)
	dead(t, c.ListenAddrs(), 1)
}

// marks returns what a gateway's commit says of a topic that had so many partitions when the group began with it: of
// this topic, of another one, and of one of another cluster.
func marks(t *testing.T, cl *kgo.Client, partitions int) (ours, another, elsewhere string) {
	t.Helper()
	topics, err := kadm.NewClient(cl).Metadata(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	id := topics.Topics[topic].ID
	format := func(cluster string, id []byte) string {
		return fmt.Sprintf("paystream cluster=%s topic=%x partitions=%d", cluster, id, partitions)
	}
	return format(topics.Cluster, id[:]), format(topics.Cluster, make([]byte, 16)), format("elsewhere", make([]byte, 16))
}

// TestWhereAGroupBegins has bad records of which the group has committed nothing, before what the gateway retains.
func TestWhereAGroupBegins(t *testing.T) {
	t.Parallel()
	commit := func(metadata string) *kadm.Offset {
		return &kadm.Offset{Topic: topic, At: 1, LeaderEpoch: -1, Metadata: metadata}
	}
	all, near := []string{"0", "20"}, []string{"20"}
	for name, test := range map[string]struct {
		committed func(ofOne, ofTwo, another, elsewhere string) *kadm.Offset // of partition 0; nil is none
		lookBack  int
		dead      []string // of partition 1, by offset
	}{
		"a new group, near what is retained":     {nil, 1000, all},
		"a new group, far from what is retained": {nil, 40, near}, // 20 for each partition
		"a partition that was added": {
			func(ofOne, _, _, _ string) *kadm.Offset { return commit(ofOne) }, 40, all,
		},
		"a group whose first owners got no further": {
			func(_, ofTwo, _, _ string) *kadm.Offset { return commit(ofTwo) }, 40, near,
		},
		"a topic that was made anew": {
			func(_, _, another, _ string) *kadm.Offset { return commit(another) }, 40, all,
		},
		"offsets carried over from another cluster": {
			func(_, _, _, elsewhere string) *kadm.Offset { return commit(elsewhere) }, 40, near,
		},
		"another program's group": {
			func(_, _, _, _ string) *kadm.Offset { return commit("at noon") }, 40, near,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 2)
			p := newProducer(t, c.ListenAddrs())
			p.pay(0, "a")
			p.send(record(1, "x", "bad"))
			p.pay(1, many("b", 19)...)
			p.send(record(1, "x", "bad"))
			p.pay(1, many("c", 19)...)
			if test.committed != nil {
				ofOne, another, elsewhere := marks(t, p.cl, 1)
				ofTwo, _, _ := marks(t, p.cl, 2)
				offsets := kadm.Offsets{}
				offsets.Add(*test.committed(ofOne, ofTwo, another, elsewhere))
				if err := kadm.NewClient(p.cl).CommitAllOffsets(t.Context(), groupID, offsets); err != nil {
					t.Fatal(err)
				}
			}
			g := startMember(t, c, retain(10), func(c *consumer.Config) { c.LookBack = test.lookBack })
			g.commits(p.cl, 1, 40)
			var got []string
			for _, letter := range dead(t, c.ListenAddrs(), len(test.dead)) {
				got = append(got, headers(letter)["paystream-offset"])
			}
			if diff := cmp.Diff(test.dead, got); diff != "" {
				t.Errorf("dead letters (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCommitsSayOfWhat: of which topic of the name they are, and of which leader epoch. By that a group knows those that
// are good for nothing any more.
func TestCommitsSayOfWhat(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	admin := kadm.NewClient(p.cl)
	ours, another, elsewhere := marks(t, p.cl, 1)
	anew, _, _ := marks(t, p.cl, 0)
	p.send(record(0, "x", "bad"))
	p.pay(0, many("a", 5)...)
	for _, test := range []struct {
		why      string
		metadata string
		dead     int // letters, in all
		then     string
	}{
		{"of a topic that was deleted", another, 1, anew},
		{"of this topic", ours, 1, ours},
		{"of another cluster", elsewhere, 1, ours},
		{"another program's, which says nothing", "", 1, ours},
		{"another program's, which says something", "paystream is not what wrote this", 1, ours},
		{"of a topic that was deleted, again", another, 2, anew},
	} {
		offsets := kadm.Offsets{}
		offsets.Add(kadm.Offset{Topic: topic, At: 3, LeaderEpoch: -1, Metadata: test.metadata})
		if err := admin.CommitAllOffsets(t.Context(), groupID, offsets); err != nil {
			t.Fatal(err)
		}
		g := startMember(t, c)
		g.commits(p.cl, 6)
		g.stop()
		dead(t, c.ListenAddrs(), test.dead)
		made, err := admin.FetchOffsets(t.Context(), groupID)
		if err != nil {
			t.Fatal(err)
		}
		if o, _ := made.Lookup(topic, 0); o.Metadata != test.then || o.LeaderEpoch != g.Epochs()[0] {
			t.Errorf("%s: then committed %+v, want %q and epoch %d", test.why, o.Offset, test.then, g.Epochs()[0])
		}
	}
}

// TestACoordinatorThatMoves loses it in the middle of the work, again and again.
func TestACoordinatorThatMoves(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	p := newProducer(t, c.ListenAddrs())
	var moved atomic.Int32
	c.ControlKey(int16(kmsg.Heartbeat), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if moved.Add(1) > 3 {
			return nil, nil, false
		}
		res := req.ResponseKind().(*kmsg.HeartbeatResponse)
		res.ErrorCode = kerr.NotCoordinator.Code
		return res, nil, true
	})
	g := startMember(t, c)
	n := 0
	for ; moved.Load() <= 4; n++ {
		p.pay(0, "a"+strconv.Itoa(n))
		p.send(record(1, "bad", strconv.Itoa(n)))
		g.expect(n + 1) // at once, whoever settles
		time.Sleep(10 * time.Millisecond)
	}
	g.commits(p.cl, int64(n), int64(n))
	dead(t, c.ListenAddrs(), n)
	if s := g.Status(); s.Group.Rebalances < 4 {
		t.Errorf("%d generations: nothing was lost", s.Group.Rebalances)
	}
}
