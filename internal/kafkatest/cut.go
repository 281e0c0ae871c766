package kafkatest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// CutBack takes the records of a partition from an offset on from the disk of a broker that is not running, as a crash
// does that comes before they were synced. It cuts between batches, in the only segment.
func (k *Kafka) CutBack(t testing.TB, topic string, partition int32, offset int64) {
	t.Helper()
	dir := filepath.Join(k.node.dataDir(), fmt.Sprintf("%s-%d", topic, partition))
	if err := cutBack(dir, offset); err != nil {
		t.Fatalf("kafkatest: cut back %s: %v", dir, err)
	}
}

func cutBack(dir string, offset int64) error {
	segments, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(segments) != 1 {
		return fmt.Errorf("segments %v, %w", segments, err)
	}
	log, err := os.ReadFile(segments[0])
	if err != nil {
		return err
	}
	// A batch begins with its first offset, and the length of what follows that.
	const offsetAndLength = 12
	for at := 0; len(log)-at >= offsetAndLength; {
		if int64(binary.BigEndian.Uint64(log[at:])) >= offset {
			return os.Truncate(segments[0], int64(at))
		}
		at += offsetAndLength + int(binary.BigEndian.Uint32(log[at+8:]))
	}
	return errors.New("there is no batch from there on")
}
