package process

import (
	"runtime"
	"runtime/debug"
)

// Heap is what a Go process holds by its runtime's own account, in bytes, after a garbage
// collection.
type Heap struct {
	Alloc  int64 // objects
	Stacks int64 // of goroutines
}

// OwnHeap collects garbage, gives back what is free, and returns the process's own.
func OwnHeap() Heap {
	runtime.GC() // what finalizers let go of
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Heap{Alloc: int64(m.HeapAlloc), Stacks: int64(m.StackInuse)}
}
