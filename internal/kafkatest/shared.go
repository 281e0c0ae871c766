package kafkatest

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
)

// shared is the broker of this test process. Only Suite.Run writes inMain.
var shared struct {
	sync.Mutex
	inMain bool
	kafka  *Kafka
	err    error // why it could not be started
}

// Shared returns the broker that all tests of the process use together,
// starting it for the first of them. The package needs a TestMain that stops
// it: [Main] or [Suite]. Tests keep out of each other's way by using topics of
// their own ([TopicName]) and leave the broker running.
func Shared(t testing.TB) *Kafka {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	switch {
	case !shared.inMain:
		t.Fatal("kafkatest.Shared needs a TestMain that calls kafkatest.Main")
	case shared.err != nil:
		t.Fatal(shared.err)
	case shared.kafka == nil:
		if shared.kafka, shared.err = start(); shared.err != nil {
			t.Fatal(shared.err)
		}
	}
	return shared.kafka
}

// Main is the whole TestMain of a package whose tests use [Shared]. It does not
// return.
func Main(m *testing.M) { os.Exit(Suite{m}.Run()) }

// Suite is a package's tests and the shared broker around them, for a TestMain
// that has more to do than [Main]:
//
//	goleak.VerifyTestMain(kafkatest.Suite{M: m})
type Suite struct {
	M interface{ Run() int }
}

// Run runs the tests, stops the broker, if one was started, and returns the
// exit code of the tests.
func (s Suite) Run() int {
	shared.Lock()
	shared.inMain = true
	shared.Unlock()
	defer stopShared()
	return s.M.Run()
}

func stopShared() {
	shared.Lock()
	defer shared.Unlock()
	if shared.kafka != nil {
		shared.kafka.close()
	}
	shared.inMain, shared.kafka, shared.err = false, nil, nil
}

// running are the brokers to be removed when this process is interrupted.
var running registry

// registry is a set of brokers. While it is not empty it listens for SIGINT and
// SIGTERM; at the first it removes them all and lets the signal do its work.
type registry struct {
	mu      sync.Mutex
	brokers map[*Kafka]bool
	stop    chan struct{} // ends the watch
	stopped chan struct{} // it has ended
}

func (r *registry) add(k *Kafka) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.brokers) == 0 {
		r.brokers = map[*Kafka]bool{}
		r.stop, r.stopped = make(chan struct{}), make(chan struct{})
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		go r.watch(signals, r.stop, r.stopped)
	}
	r.brokers[k] = true
}

func (r *registry) remove(k *Kafka) {
	r.mu.Lock()
	last := r.brokers[k] && len(r.brokers) == 1
	delete(r.brokers, k)
	stop, stopped := r.stop, r.stopped
	r.mu.Unlock()
	if last {
		close(stop)
		<-stopped // not under the lock, which an interrupt takes
	}
}

func (r *registry) watch(signals chan os.Signal, stop <-chan struct{}, stopped chan<- struct{}) {
	defer close(stopped)
	defer signal.Stop(signals)
	select {
	case <-stop:
	case sig := <-signals:
		r.interrupted(sig)
	}
}

// interrupted removes the brokers and ends the process by the signal that came.
func (r *registry) interrupted(sig os.Signal) {
	r.mu.Lock() // for good: nothing is to be added or waited for any more
	for k := range r.brokers {
		k.destroy()
	}
	signal.Reset(sig)
	if self, err := os.FindProcess(os.Getpid()); err == nil && self.Signal(sig) == nil {
		select {} // it is on its way
	}
	os.Exit(1)
}
