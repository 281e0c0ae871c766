package consumer

import "slices"

// maxPending is how many bad records of a partition are remembered one by one. Beyond that, what comes is looked
// through again.
const maxPending = 1 << 16

// ledger is what a partition's owner has still to settle. A record is settled once it is in the log or, where it is
// bad, in the dead-letter topic; what is committed never passes one that is not.
type ledger struct {
	committed int64 // -1 is nothing yet
	// from and to are offsets that are to be looked through for bad records: what came before the partition was owned.
	// They are equal when that is done. Before to is known it is unknown.
	from, to int64
	pending  []int64 // bad records met behind to, in order, that are not in the dead-letter topic yet
}

// unknown is a ledger's to, until it is known.
const unknown = -1

// newLedger begins with what was committed, or where nothing was, with the first offset of the window.
func newLedger(committed, first int64) *ledger {
	l := &ledger{committed: committed, from: committed, to: unknown}
	if committed < 0 {
		l.committed, l.from = -1, first
	}
	return l
}

// found says where what was there before ends: all behind it has been or will be met.
func (l *ledger) found(end int64) {
	l.to = max(l.from, end)
	l.pending = slices.DeleteFunc(l.pending, func(offset int64) bool { return offset < l.to })
}

// met enters a bad record that has come live.
func (l *ledger) met(offset int64) {
	if l.to != unknown && offset < l.to {
		return // it is to be looked through anyway
	}
	if len(l.pending) == maxPending && l.to != unknown {
		if l.from == l.to {
			l.from = l.pending[0]
		}
		l.to, l.pending = offset+1, l.pending[:0]
		return
	}
	if n := len(l.pending); n == 0 || l.pending[n-1] < offset {
		l.pending = append(l.pending, offset)
	}
}

// todo returns the offset from which on there are bad records to be looked for, and whether everything before the
// ledger's to is to be looked through.
func (l *ledger) todo() (offset int64, through, ok bool) {
	switch {
	case l.to == unknown:
		return 0, false, false
	case l.from < l.to:
		return l.from, true, true
	case len(l.pending) > 0:
		return l.pending[0], false, true
	}
	return 0, false, false
}

// upTo returns up to which offset what has been read from todo's on, up to next, can be done: reading may be ahead of
// what has been met.
func (l *ledger) upTo(next int64) int64 {
	if l.from < l.to {
		return min(next, l.to)
	}
	n, _ := slices.BinarySearch(l.pending, next)
	if n == 0 {
		return l.from
	}
	return l.pending[n-1] + 1
}

// wants reports whether a record, of those that can be done, is one to look at.
func (l *ledger) wants(offset int64) bool {
	if offset < l.to {
		return offset >= l.from
	}
	_, found := slices.BinarySearch(l.pending, offset)
	return found
}

// done says that all bad records before an offset, which upTo has returned, are in the dead-letter topic.
func (l *ledger) done(offset int64) {
	if l.from < l.to {
		l.from = min(max(l.from, offset), l.to)
	}
	if l.from == l.to {
		n, _ := slices.BinarySearch(l.pending, offset)
		l.pending = l.pending[n:]
	}
}

// settled returns the offset before which everything is settled, of a partition whose log goes up to next.
func (l *ledger) settled(next int64) int64 {
	switch {
	case l.to == unknown || l.from < l.to:
		return min(next, l.from)
	case len(l.pending) > 0:
		return min(next, l.pending[0])
	}
	return next
}
