package judge

import "math"

// gap is a word of payments that were neither seen nor told to be gone.
type gap struct {
	topic     int
	partition int32
	first     int64 // the offset of the lowest bit
	missing   uint64
	gone      int64 // what is before it, Kafka was made to forget
}

// waiting is how many payments the subscriber is owed.
func (t *Track) waiting(m Mark) (n int) {
	t.owed(m, func(g gap) { n += ones(g.missing) })
	return n
}

// owed calls for each word with payments from before a mark that were neither seen nor told.
func (t *Track) owed(m Mark, each func(gap)) {
	if t.sample {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for topic, l := range t.judge.topics.list() {
		switch {
		case topic < t.begin:
		case m == nil:
			t.owedOf(topic, l, nil, each)
		case topic < len(m):
			t.owedOf(topic, l, &m[topic], each)
		}
	}
}

// owedOf does the same for one topic.
func (t *Track) owedOf(topic int, l *ledger, ends *[]int64, each func(gap)) {
	l.mu.RLock() // locked behind the track, always
	defer l.mu.RUnlock()
	for p := range l.parts {
		c, own := &l.parts[p], t.column(topic, int32(p))
		from, to := int64(0), int64(math.MaxInt64)
		if ends != nil {
			if p >= len(*ends) {
				break
			}
			to = (*ends)[p]
		}
		if t.newcomer {
			if !own.begun {
				continue
			}
			from = own.first
		}
		if t.left {
			if !own.begun {
				continue
			}
			to = min(to, own.last+1)
		}
		for i, w := range c.payments {
			missing := w &^ own.seen.word(i) &^ own.told.word(i)
			missing = below(missing, i, to) &^ below(^uint64(0), i, from)
			if missing != 0 {
				each(gap{topic, int32(p), int64(i) * 64, missing, c.gone})
			}
		}
	}
}

// verdict adds what is missing, and what was seen and never acknowledged.
func (t *Track) verdict(f *findings) {
	t.owed(nil, func(g gap) {
		for i := range int64(64) {
			if g.missing>>i&1 == 0 {
				continue
			}
			fault := Lost
			if g.first+i < g.gone {
				fault = UntoldGap
			}
			f.add(t.finding(fault, g.topic, g.partition, g.first+i))
		}
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.pending {
		if fault := t.judge.wrong(s); fault != "" {
			f.add(t.finding(fault, s.topic, s.partition, s.offset))
		}
	}
}
