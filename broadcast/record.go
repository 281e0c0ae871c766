package broadcast

import "time"

// Label is a small number by which filters select records; at most 63.
type Label uint8

// Filter is a set of labels, a bit for each. The zero Filter selects all.
type Filter uint64

// Matches reports whether the filter selects a label.
func (f Filter) Matches(l Label) bool { return f == 0 || f&(1<<l) != 0 }

// Record is one record to append.
type Record struct {
	// Key names what the record is a state of. Value is its content, opaque to the log and less than
	// 4 GiB. The log has copied both when Append returns; a key that stands near the beginning of the
	// value takes no memory.
	Key, Value string
	Offset     int64
	Time       int64 // of publishing, Unix milliseconds
	Label      Label
	// Tombstone says that the key is forgotten: the record is kept to supersede earlier ones and is
	// shown to nobody.
	Tombstone bool
}

// Batch is what has been read of one partition, in offset order.
type Batch struct {
	Partition int32
	Records   []Record
	// Next is the offset behind the batch: behind the last record, and behind whatever was left out
	// of it. It moves readers on also when Records is empty.
	Next int64
	// Replayed says that the records are old, so that their age counts from their own time and not
	// from now.
	Replayed bool
}

// Limits bound what a log retains; whichever is passed first. Zero means no bound.
type Limits struct {
	Records int
	Bytes   int // values, frames and the log's own cost of each record
	Age     time.Duration
}

// forFrames returns the part of a limit of bytes that frames may take at any time.
func (l Limits) forFrames() int { return min(maxFrameBytes, l.Bytes/4) }

// Entry is a retained record.
type Entry struct {
	Key, Value string
	Partition  int32
	Offset     int64
	Time       int64 // of publishing, Unix milliseconds
	Label      Label
}

// Stats are a log's figures at one moment.
type Stats struct {
	Records    int // retained, tombstones not counted
	Bytes      int // of retained entries
	FrameBytes int // of rendered frames
}
