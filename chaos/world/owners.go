package world

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"paystream/chaos/judge"
)

const (
	ownersEvery = 100 * time.Millisecond // a rebalance takes until the last member's next heartbeat: up to a second
	ownersGap   = time.Second            // nobody knows what was in a longer time without an answer
)

// owners is what the group's coordinator says of it.
type owners struct {
	asked   time.Time
	stable  bool
	members string // who they are, and what each has
}

// watchOwners tells the judge when partitions may have changed their owner: each rebalance takes all from all,
// and gives them out again. What it returns ends it.
func (w *World) watchOwners(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		last := owners{asked: time.Now()}
		for ticker := time.NewTicker(ownersEvery); ; {
			select {
			case <-ctx.Done():
				ticker.Stop()
				return
			case <-ticker.C:
			}
			now := w.owners(ctx)
			if !now.stable || !last.stable || now.members != last.members || now.asked.Sub(last.asked) > ownersGap {
				w.Judge.Unsettled(judge.Unrest{From: last.asked, To: time.Now()})
			}
			last = now
		}
	}()
	return func() { cancel(); <-done }
}

func (w *World) owners(ctx context.Context) owners {
	o := owners{asked: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, ownersGap)
	defer cancel()
	groups, err := w.Cluster.Admin().DescribeGroups(ctx, Group)
	g := groups[Group]
	if err != nil || g.Err != nil {
		return o
	}
	members := []string{fmt.Sprintf("coordinator %d", g.Coordinator.NodeID)}
	for _, m := range g.Members {
		members = append(members, m.MemberID+" "+assigned(m))
	}
	slices.Sort(members[1:])
	o.stable, o.members = g.State == "Stable", strings.Join(members, "\n")
	return o
}

func assigned(m kadm.DescribedGroupMember) string {
	a, ok := m.Assigned.AsConsumer()
	if !ok {
		return ""
	}
	var b strings.Builder
	for _, t := range a.Topics {
		slices.Sort(t.Partitions)
		fmt.Fprint(&b, t.Topic, t.Partitions)
	}
	return b.String()
}
