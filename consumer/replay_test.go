package consumer_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paystream/broadcast"
)

// backfillGoesOnWithoutOne: a partition that can not be read holds up no other, and is read when it can be.
func backfillGoesOnWithoutOne(t *testing.T, reader option) {
	for name, trouble := range map[string]func(t *testing.T, c *kfake.Cluster) (over func()){
		"its fetches fail":      fetchesFail,
		"its leader hangs up":   leaderHangsUp,
		"its leader is silent":  leaderIsSilent,
		"it has no leader":      noLeader,
		"it only seems to have": onlySeemsToHave,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 2, kfake.NumBrokers(2))
			for part := range int32(2) {
				if err := c.MoveTopicPartition(topic, part, part); err != nil {
					t.Fatal(err)
				}
			}
			p := newProducer(t, c.ListenAddrs())
			for part := range int32(2) {
				p.pay(part, many(fmt.Sprint(part, "-"), 300)...)
			}
			g := start(t, c.ListenAddrs(), reader, retain(10))
			g.ready()
			over := trouble(t, c)
			defer over()
			from := broadcast.Vector{0, 0}
			r := g.backfill(from)
			defer r.b.Leave()
			began := time.Now()
			if err := r.read(from, 300); err != nil {
				t.Fatal(err)
			}
			for i := range 5 {
				p.pay(0, fmt.Sprint("live-", i))
				if err := r.read(from, 1); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("the other one was read for %v", took)
			}
			if v := r.sub.Vector(); v.At(0) != 305 || v.At(1) != 0 || v.Covers(g.log.Oldest()) {
				t.Errorf("stands at %v, and the log begins at %v", v, g.log.Oldest())
			}
			if diff := cmp.Diff(append(many("0-", 300), many("live-", 5)...), ofPartition(t, r.got, 0)); diff != "" {
				t.Error(diff)
			}
			over()
			if err := r.read(from, 300); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(many("1-", 300), ofPartition(t, r.got, 1)); diff != "" {
				t.Error(diff)
			}
			if v := r.sub.Vector(); !v.Covers(g.log.Newest()) {
				t.Errorf("stands at %v, and the log ends at %v", v, g.log.Newest())
			}
		})
	}
}

// ofOne lets fetches of partition 1 be answered otherwise until it is over.
func ofOne(c *kfake.Cluster, otherwise func(*kmsg.FetchRequest) (kmsg.Response, error)) (over func()) {
	var ended atomic.Bool
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if ended.Load() || !slices.Contains(partitionsOf(req), 1) {
			return nil, nil, false
		}
		res, err := otherwise(req.(*kmsg.FetchRequest))
		return res, err, res != nil || err != nil
	})
	return func() { ended.Store(true) }
}

func fetchesFail(_ *testing.T, c *kfake.Cluster) (over func()) {
	return ofOne(c, func(req *kmsg.FetchRequest) (kmsg.Response, error) {
		return failOne(req, 1, kerr.KafkaStorageError.Code), nil
	})
}

func leaderHangsUp(_ *testing.T, c *kfake.Cluster) (over func()) {
	return ofOne(c, func(*kmsg.FetchRequest) (kmsg.Response, error) { return nil, errors.New("hang up") })
}

func leaderIsSilent(_ *testing.T, c *kfake.Cluster) (over func()) {
	gate := make(chan struct{})
	var ended atomic.Bool
	answer := ofOne(c, func(*kmsg.FetchRequest) (kmsg.Response, error) {
		c.SleepControl(func() { <-gate })
		return nil, nil
	})
	return func() {
		answer()
		if ended.CompareAndSwap(false, true) {
			close(gate)
		}
	}
}

// onlySeemsToHave: the broker tells of more, and answers at once with nothing.
func onlySeemsToHave(_ *testing.T, c *kfake.Cluster) (over func()) {
	return ofOne(c, nothingYet)
}

func nothingYet(req *kmsg.FetchRequest) (kmsg.Response, error) {
	res := fetchError(req, 0)
	for i := range res.Topics {
		for j := range res.Topics[i].Partitions {
			p := &res.Topics[i].Partitions[j]
			p.HighWatermark, p.LastStableOffset, p.RecordBatches = 300, 300, []byte{} // kafka.Reader takes nil amiss
		}
	}
	return res, nil
}

func noLeader(t *testing.T, c *kfake.Cluster) (over func()) {
	var ended atomic.Bool
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: new(topic)}}
	without, err := req.RequestWith(t.Context(), newProducer(t, c.ListenAddrs()).cl)
	if err != nil {
		t.Fatal(err)
	}
	for i := range without.Topics[0].Partitions {
		if p := &without.Topics[0].Partitions[i]; p.Partition == 1 {
			p.Leader = -1
		}
	}
	c.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if req.GetVersion() != 10 || ended.Load() {
			return nil, nil, false
		}
		res := *without
		res.Version = req.GetVersion()
		return &res, nil, true
	})
	answer := fetchesFail(t, c) // of those who do not ask for the leader, or have not yet
	return func() {
		ended.Store(true)
		answer()
	}
}

// backfillFindsTheNewLeader: a fetch from a broker that is silent is given up when another one leads.
func backfillFindsTheNewLeader(t *testing.T, reader option) {
	c := newCluster(t, 1, kfake.NumBrokers(2))
	old := c.LeaderFor(topic, 0)
	newProducer(t, c.ListenAddrs()).pay(0, many("p", 300)...)
	g := start(t, c.ListenAddrs(), reader, retain(10))
	g.ready()
	gate := make(chan struct{})
	defer close(gate)
	var silent atomic.Int64
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if c.CurrentNode() == old {
			if req.(*kmsg.FetchRequest).Topics[0].Partitions[0].FetchOffset == 0 {
				silent.Add(1)
			}
			c.SleepControl(func() { <-gate })
		}
		return nil, nil, false
	})
	from := broadcast.Vector{0}
	r := g.backfill(from)
	defer r.b.Leave()
	g.until("fetch of the backfill", func() bool { return silent.Load() > 0 })
	began := time.Now()
	move(t, c, 0)
	if err := r.read(from, 300); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// backfillLosesNothingAtANewLeader: while nobody can say whether a new leader has what the old one had, nothing is read
// of it, and nothing passed over.
func backfillLosesNothingAtANewLeader(t *testing.T, reader option) {
	c := newCluster(t, 1, kfake.NumBrokers(2))
	newProducer(t, c.ListenAddrs()).pay(0, many("p", 300)...)
	g := start(t, c.ListenAddrs(), reader, retain(10))
	g.ready()
	var refused atomic.Int64
	c.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if refused.Add(1) <= 4 {
			return nil, errors.New("hang up"), true
		}
		return nil, nil, false
	})
	move(t, c, 0)
	from := broadcast.Vector{0}
	r := g.backfill(from)
	defer r.b.Leave()
	if err := r.read(from, 300); err != nil {
		t.Fatal(err)
	}
	if refused.Load() < 4 {
		t.Error("nobody asked")
	}
}

// backfillDoesNotCircle: a broker that answers at once though it has nothing is not asked on and on.
func backfillDoesNotCircle(t *testing.T, reader option) {
	c := newCluster(t, 2)
	p := newProducer(t, c.ListenAddrs())
	for part := range int32(2) {
		p.pay(part, many(fmt.Sprint(part, "-"), 300)...)
	}
	g := start(t, c.ListenAddrs(), reader, retain(10))
	g.ready()
	before := g.Status().Fetches
	var ended atomic.Bool
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if ended.Load() {
			return nil, nil, false
		}
		res, err := nothingYet(req.(*kmsg.FetchRequest))
		return res, err, true
	})
	from := broadcast.Vector{0, 0}
	r := g.backfill(from)
	defer r.b.Leave()
	time.Sleep(time.Second)
	if n := g.Status().Fetches - before; n > 60 {
		t.Errorf("%d fetches in a second", n)
	}
	ended.Store(true)
	if err := r.read(from, 600); err != nil {
		t.Fatal(err)
	}
}
