package consumer

import (
	"context"
	"errors"
)

// fetcher reads what follows given offsets. Who calls it decides what is read
// and when, so nothing is read ahead without a bound.
type fetcher interface {
	// group tells which partitions share a fetch: those of the same group;
	// noGroup is a partition that can not be fetched now. At most one fetch of a
	// partition may run at a time.
	group(partition, leader int32) int32

	// name is what to call a group when its fetches fail.
	name(group int32) string

	// fetch asks for what follows the positions, all of one group. It calls
	// handle for each partition that there is an answer about, with what is
	// valid until handle returns. It waits up to maxWait for a first record. An
	// error is one of the whole fetch; then handle may or may not have been
	// called.
	fetch(ctx context.Context, group int32, at []position, handle func(*fetched)) error

	// renew lets go of what a group's fetches keep from one to the next: connections, readers.
	renew(group int32)

	// close ends what fetches have left running.
	close()
}

// noGroup is the group of partitions that can not be fetched.
const noGroup int32 = -1

// position is where a partition is to be read from.
type position struct {
	partition int32
	leader    int32
	epoch     int32 // the leader's
	offset    int64
	maxBytes  int32 // about how much of the partition; one record batch at the least
}

// fetched is what was read of a partition.
type fetched struct {
	partition int32
	epoch     int32    // that was asked with
	fenced    bool     // it is the epoch of the leader that has answered
	records   []record // in offset order, without markers
	next      int64    // the offset to go on from; no less than was asked for
	end       int64    // where what may be read ends now; unknown is -1
	high      int64    // where the partition ends, open transactions included; unknown is -1
	// drained says that there is nothing more up to the partition's end, though
	// next has not reached it.
	drained bool
	// err is why the partition can not be read on from next, which moves on to
	// behind the records also then.
	err error
}

// record is a record of Kafka's.
type record struct {
	key, value []byte
	offset     int64
	time       int64 // Unix milliseconds
}

var (
	errNoLeader    = errors.New("has no leader: are all brokers running?")
	errNotAnswered = errors.New("was left out of the broker's answer")
)
