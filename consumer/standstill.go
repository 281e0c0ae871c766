package consumer

import (
	"cmp"
	"context"
	"time"
)

// defaultStandstill is how long a partition may stand still that has more, where the settings do not say.
const defaultStandstill = 20 * time.Second

// standstills notices partitions that have stopped moving, though there is more in them and nothing is known to be
// wrong: their reader is replaced. Where something is known to be wrong, that is tried again anyway.
type standstills struct {
	c     *Consumer
	after time.Duration
	at    map[int32]standing
}

// standing is since when a partition has been at an offset.
type standing struct {
	next  int64
	since time.Time
}

// run looks until ctx ends.
func (s *standstills) run(ctx context.Context) {
	s.after = cmp.Or(s.c.cfg.Standstill, defaultStandstill)
	s.at = map[int32]standing{}
	for sleep(ctx, s.after/4) {
		s.look(ctx)
	}
}

func (s *standstills) look(ctx context.Context) {
	now := time.Now()
	var still []partition
	for _, p := range s.c.table.all() {
		if was, ok := s.at[p.id]; !ok || was.next != p.next || !p.live || p.failures > 0 || p.outages > 0 {
			s.at[p.id] = standing{p.next, now}
		} else if now.Sub(was.since) >= s.after {
			still = append(still, p)
		}
	}
	for _, p := range still {
		// What fetches say of the end may be what is wrong.
		end, err := s.c.client.offsets(ctx, []placement{{partition: p.id, leader: p.leader, epoch: p.epoch}}, latest)
		if err != nil {
			continue // the next look asks again
		}
		s.at[p.id] = standing{p.next, now}
		if end[0] <= p.next {
			continue // it is at its end
		}
		s.c.replaced.Add(1)
		s.c.logger.Warn("partition stands still though it has more; its reader is replaced",
			"partition", p.id, "offset", p.next, "end", end[0], "after", s.after)
		s.c.fetcher.renew(s.c.table.giveUp(p.id))
		s.c.refresh()
	}
}
