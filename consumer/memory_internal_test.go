package consumer

import "testing"

// TestLargeMemoryIsNotKept for fetches that wait, whatever it is that is large: a small answer may have been
// decompressed to much.
func TestLargeMemoryIsNotKept(t *testing.T) {
	tests := []struct {
		name string
		fill func(m *memory)
		kept bool
	}{
		{"a few records", func(m *memory) { m.slab.GetRecords(1); m.records = append(m.records, record{}) }, true},
		{"the answer", func(m *memory) { m.answer = make([]byte, smallMemory+1) }, false},
		{"decompressed batches", func(m *memory) { m.used = append(m.used, make([]byte, smallMemory+1)) }, false},
		{"records", func(m *memory) { m.slab.GetRecords(keepRecords) }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := newMemory()
			test.fill(m)
			m.reuse()
			if kept := m.size() <= smallMemory; kept != test.kept {
				t.Errorf("%d bytes, kept: %v", m.size(), kept)
			}
		})
	}
}
