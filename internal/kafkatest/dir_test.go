package kafkatest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRemoveStaleDirs(t *testing.T) {
	ended := exec.Command(os.Args[0], "-test.run=^$")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	stale := fmt.Sprintf("%s%d-1", dirPrefix, ended.Process.Pid)
	keep := []string{
		fmt.Sprintf("%s%d-1", dirPrefix, os.Getpid()),  // of a process that lives
		fmt.Sprintf("other-%d-1", ended.Process.Pid),   // not ours
		fmt.Sprintf("%snumber-1", dirPrefix),           // no pid
		fmt.Sprintf("%s-%d", dirPrefix, os.Getpid()+1), // no pid
	}
	slices.Sort(keep)

	parent := t.TempDir()
	for _, name := range append(keep, stale) {
		if err := os.MkdirAll(filepath.Join(parent, name, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	removeStaleDirs(parent)

	entries, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if diff := cmp.Diff(keep, left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}
