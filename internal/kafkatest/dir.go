package kafkatest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// dirPrefix, the pid of its process and a random part name a broker's folder.
const dirPrefix = "paystream-kafkatest-"

func newDir() (string, error) {
	return os.MkdirTemp("", fmt.Sprintf("%s%d-*", dirPrefix, os.Getpid()))
}

// removeStaleDirs removes from parent the folders of processes that are gone.
// What it cannot remove, such as another user's, it leaves.
func removeStaleDirs(parent string) {
	found, err := filepath.Glob(filepath.Join(parent, dirPrefix+"*"))
	if err != nil {
		return // the pattern is at fault, and then there is nothing to find
	}
	for _, dir := range found {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		if pid, err := strconv.Atoi(owner); err == nil && pid > 0 && gone(pid) {
			_ = os.RemoveAll(dir)
		}
	}
}

// gone reports whether it is certain that no process has this pid.
func gone(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer p.Release()
	return errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// findLib finds the folder of Kafka's jars, going up from the working folder,
// which in a test is the package's.
func findLib() (string, error) {
	const script = "internal/kafkatest/fetch.sh"
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, script)); err == nil {
			lib := filepath.Join(dir, ".kafka", "lib")
			if _, err := os.Stat(filepath.Join(lib, ".complete")); err != nil {
				return "", fmt.Errorf("no Kafka in %s: run %s first", lib, script)
			}
			return lib, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no %s in or above %s", script, start)
		}
	}
}
