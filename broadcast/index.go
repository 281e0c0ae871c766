package broadcast

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"
)

// index leads from a key to its newest entry. It holds no keys: a bucket is the position of an entry,
// and entries of one bucket are linked, the newest first, so that those that have left the log are at
// the end, where whoever comes to them stops. What leaves need not be looked up, then.
//
// It grows and shrinks by one bucket at a time (linear hashing): with n buckets, 2^k <= n < 2^(k+1), a
// key is in the bucket that the last k+1 bits of its hash say, or, if there is none yet, the last k.
//
// Readers take no lock. The appender's changes may make them miss a key, never find a wrong one: who
// finds nothing looks at version.
//
// A bucket also has a bit for each of its entries, chosen by their keys' hashes. To find that a new key is none of
// them, the entries need not be looked at, which is a miss of the caches for each.
type index struct {
	seed    maphash.Seed
	buckets atomic.Uint64
	pages   atomic.Pointer[[]*page]
	version atomic.Uint64 // changes with every change that hides keys; odd while it lasts
	keys    uint64        // the appender's
}

// pageBuckets is how many buckets are allocated at once.
const pageBuckets = 512

// page holds buckets.
type page [pageBuckets]atomic.Uint64

// A bucket is 1 + the position of its newest entry, and above that the bits of all its entries, maybe of more: of
// such as have left. 0 is an empty one.
const (
	positionBits = 48
	behind       = 1<<positionBits - 1 // masks 1 + the position
)

// bit is an entry's in its bucket.
func bit(hash uint64) uint64 { return 1 << (positionBits + hash>>52&15) }

func newIndex() *index {
	x := &index{seed: maphash.MakeSeed()}
	x.pages.Store(&[]*page{{}})
	x.buckets.Store(1)
	return x
}

func (x *index) hash(key string) uint64 { return maphash.String(x.seed, key) }

// tag is what an entry knows of its key's hash: most of the wrong ones need no look at their keys.
func tag(hash uint64) uint8 { return uint8(hash >> 56) }

// bucket returns the bucket of a hash, or nil while the index shrinks.
func (x *index) bucket(hash uint64) *atomic.Uint64 {
	n := x.buckets.Load()
	i := hash & (1<<bits.Len64(n) - 1)
	if i >= n {
		i = hash & (1<<(bits.Len64(n)-1) - 1)
	}
	return x.number(i)
}

// number returns a bucket by its number.
func (x *index) number(i uint64) *atomic.Uint64 {
	pages := *x.pages.Load()
	if i/pageBuckets >= uint64(len(pages)) {
		return nil
	}
	return &pages[i/pageBuckets][i%pageBuckets]
}

// newestOf returns a key's newest entry, or none.
func (l *Log) newestOf(key string) placed {
	hash := l.index.hash(key)
	version := l.index.version.Load()
	newest, _ := l.lookUp(key, hash)
	if newest.entry != nil || (version%2 == 0 && version == l.index.version.Load()) {
		return newest
	}
	l.mu.Lock() // rare: it was not found while keys were being moved
	defer l.mu.Unlock()
	newest, _ = l.lookUp(key, hash)
	return newest
}

// lookUp returns a key's newest entry and the one before it in its bucket, or none.
func (l *Log) lookUp(key string, hash uint64) (found, before placed) {
	b := l.index.bucket(hash)
	if b == nil || b.Load()&bit(hash) == 0 {
		return placed{}, placed{}
	}
	for p := l.first(b); p.entry != nil; p = l.next(p) {
		if p.tag == tag(hash) && p.key() == key {
			return p, before
		}
		before = p
	}
	return placed{}, placed{}
}

// first returns the newest entry of a bucket, or none.
func (l *Log) first(b *atomic.Uint64) placed {
	if at := b.Load() & behind; at != 0 {
		return l.retained(at - 1)
	}
	return placed{}
}

// next returns the entry behind p in its bucket, or none.
func (l *Log) next(p placed) placed { return l.back(p, p.link.Load()) }

// back returns the retained entry so far before p, or none.
func (l *Log) back(p placed, distance uint32) placed {
	if distance == 0 || uint64(distance) > p.pos {
		return placed{}
	}
	return l.retained(p.pos - uint64(distance))
}

// enter holds mu and makes p the newest entry of its key, where old, which may be none, was it, and
// before led to that. What readers may see of p must be set.
func (l *Log) enter(p placed, hash uint64, old, before placed) {
	x := l.index
	b := x.bucket(hash)
	if old.entry != nil && before.entry == nil {
		l.linkTo(p, l.next(old)) // in its place
		b.Store(p.pos + 1 | b.Load()&^behind)
		return
	}
	bits := bit(hash)
	if first := b.Load() & behind; first > l.low.Load() {
		p.link.set(uint32(p.pos + 1 - first))
		bits |= b.Load() &^ behind
	}
	b.Store(p.pos + 1 | bits)
	if old.entry != nil {
		x.version.Add(2) // who has passed the place where p is now must not take the key for missing
		l.linkTo(before, l.next(old))
		return
	}
	x.keys++
	if x.keys > x.buckets.Load() {
		l.split()
	}
}

// linkTo makes to, which may be none, the entry behind p in its bucket.
func (l *Log) linkTo(p, to placed) {
	distance := uint32(0)
	if to.entry != nil {
		distance = uint32(p.pos - to.pos)
	}
	p.link.Store(distance)
}

// leave holds mu and counts a key less. Its entry, the last one of its bucket, is out of reach by itself.
func (l *Log) leave() {
	l.index.keys--
	if l.index.keys < l.index.buckets.Load()/2 {
		l.merge()
	}
}

// split holds mu, adds a bucket, and moves there what belongs there.
func (l *Log) split() {
	x := l.index
	n := x.buckets.Load()
	if n%pageBuckets == 0 {
		pages := append(*x.pages.Load(), new(page)) // behind the end of what readers hold
		x.pages.Store(&pages)
	}
	from, to := x.number(n-half(n)), x.number(n)
	x.version.Add(1)
	stay, move := chain{log: l, bucket: from}, chain{log: l, bucket: to}
	for p := l.first(from); p.entry != nil; {
		next := l.next(p)
		if hash := x.hash(p.key()); hash&(2*half(n)-1) == n {
			move.add(p, bit(hash))
		} else {
			stay.add(p, bit(hash))
		}
		p = next
	}
	stay.end()
	move.end()
	x.buckets.Store(n + 1)
	x.version.Add(1)
}

// merge holds mu and takes the last bucket away, its entries to where they came from.
func (l *Log) merge() {
	x := l.index
	n := x.buckets.Load() - 1
	if n == 0 {
		return
	}
	to, from := x.number(n-half(n)), x.number(n)
	x.version.Add(1)
	all := chain{log: l, bucket: to}
	bits := (to.Load() | from.Load()) &^ behind
	a, b := l.first(to), l.first(from)
	for a.entry != nil || b.entry != nil {
		if b.entry == nil || (a.entry != nil && a.pos > b.pos) {
			next := l.next(a)
			all.add(a, bits)
			a = next
		} else {
			next := l.next(b)
			all.add(b, bits)
			b = next
		}
	}
	all.end()
	x.buckets.Store(n)
	if n%pageBuckets == 0 {
		pages := append([]*page(nil), (*x.pages.Load())[:n/pageBuckets]...)
		x.pages.Store(&pages)
	} else {
		from.Store(0)
	}
	x.version.Add(1)
}

// half is the greatest power of two that is not above n.
func half(n uint64) uint64 { return 1 << (bits.Len64(n) - 1) }

// chain is a bucket's entries being written anew, the newest first.
type chain struct {
	log    *Log
	bucket *atomic.Uint64
	value  uint64 // the bucket's, once it is complete
	last   placed
}

func (c *chain) add(p placed, bits uint64) {
	if c.last.entry == nil {
		c.value = p.pos + 1
	} else {
		c.log.linkTo(c.last, p)
	}
	c.value |= bits
	c.last = p
}

func (c *chain) end() {
	if c.last.entry != nil {
		c.log.linkTo(c.last, placed{})
	}
	c.bucket.Store(c.value)
}
