// Package broadcast is the log that all subscribers of a gateway share.
//
// A [Log] holds the newest records of all partitions of one topic in one sequence. Each record has
// a position in it; a [Subscription] is a position and little more. What it guarantees:
//
//   - Order. Positions follow the order of the appends. Within a partition that is offset order.
//     Every subscription sees positions in order; with no resume and no eviction it sees them all.
//   - Loss. A record leaves when the log's [Limits] are passed, the oldest position first. A
//     subscription that had not come to it yet is told so by a [*BehindError]; it is never moved on
//     in silence. What a snapshot's phase has not reached when it leaves is passed over, since a
//     later state of it, or nothing, is retained.
//   - Blocking. [Log.Append] waits for no subscription, and no subscription for another. Reading,
//     subscribing and looking up take no lock that appends take, but for a key that is looked for in
//     vain the very moment that keys are being moved. A subscription that waits costs a channel receive;
//     nothing is queued for it, and waking it is not the appender's work where there are many.
//   - Memory. Values and keys are copied, some 64 KiB together: a retained record keeps nothing else of
//     the caller's, and costs its value and some 70 bytes.
//
// Less formally: the appender writes into the newest segment and publishes the new head. Readers
// find segments through a directory that is replaced, never changed, and so read what is published
// without locks. Keys are looked up in an index of positions, which holds no keys. What goes out to
// clients is rendered once per wire format (a [View]), segment by segment, into memory that all readers
// of the format share.
//
// The package knows neither Kafka nor HTTP nor payments: keys and values are opaque, a record's
// [Label] is what filters look at, and a [Vector] of offsets is where a reader stands.
package broadcast
