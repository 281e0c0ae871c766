package process

import "runtime"

// Heap is what a Go process holds by its runtime's own account, in bytes, after a garbage
// collection.
type Heap struct {
	Alloc  int64 // objects
	Stacks int64 // of goroutines
}

// OwnHeap collects garbage and returns the process's own. It does so twice: what finalizers let go of
// in the first collection goes in the second.
func OwnHeap() Heap {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Heap{Alloc: int64(m.HeapAlloc), Stacks: int64(m.StackInuse)}
}
