package broadcast_test

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"paystream/broadcast"
)

// payments appends n records like payments: some 230 bytes, of which the key is a part.
func payments(log *broadcast.Log, from, n int64) (bytes int64) {
	const batch = 64
	rest := strings.Repeat("p", 205)
	for at := from; at < from+n; at += batch {
		b := broadcast.Batch{Next: min(at+batch, from+n)}
		for offset := at; offset < b.Next; offset++ {
			key := fmt.Sprintf("pay_%016d", offset)
			b.Records = append(b.Records, broadcast.Record{Key: key, Value: "\n\x18" + key + rest[offset%20:], Offset: offset})
			bytes += int64(len(b.Records[len(b.Records)-1].Value))
		}
		log.Append(b)
	}
	return bytes
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestBytesAreTrue holds what the log says that it costs against what it costs.
func TestBytesAreTrue(t *testing.T) {
	const n = 64_000
	tests := []struct {
		name   string
		passes int64 // windows that go through the log
		kept   float64
	}{
		{"filled", 1, 1},
		{"in steady state, an eighth stays readable", 4, 1 + 1./8},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := heap()
			log := broadcast.New(broadcast.Limits{Records: n})
			log.Open(0, 0)
			bytes := payments(log, 0, n*test.passes) / test.passes
			took := heap() - before
			stats := log.Stats()
			overhead := (float64(took)/test.kept - float64(bytes)) / n
			counted := float64(int64(stats.Bytes)-bytes) / n
			t.Logf("%d bytes a record, of which the value has %d; beyond values %.1f, counted %.1f",
				took/n, bytes/n, overhead, counted)
			if math.Abs(counted/overhead-1) > 0.15 {
				t.Errorf("a record costs %.1f bytes beyond its value, %.1f are counted", overhead, counted)
			}
		})
	}
}
