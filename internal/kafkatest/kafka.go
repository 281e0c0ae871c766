// Package kafkatest runs a real Apache Kafka for tests, and writes to it what
// tests need to be read: batches, transactions, compacted logs.
//
// What it guarantees:
//
//   - One broker and controller (KRaft) on free loopback ports. When [Start] or
//     [Shared] returns, every listener answers and both coordinators, for
//     groups and for transactions, have loaded.
//   - No broker outlives its tests: it is killed when its test ends (Start),
//     when the package's tests end (Shared), on SIGINT and SIGTERM, and, on
//     Linux, by the kernel when the test process dies in any other way.
//   - Its files lie in one temporary folder, removed with the broker. A folder
//     whose process was killed outright is removed by the next start.
//   - A helper that returns has succeeded, and its effect is visible to any
//     client; otherwise it has failed the test and said why.
//
// The broker itself is fetched once, by fetch.sh. Tests that use it carry the
// build tag kafka and run with
//
//	go test -tags kafka -count=1 -p 1 ./...
//
// where -p 1 keeps it to one broker at a time (packages are tested in parallel
// otherwise) and -count=1 tells go that the result is not only the code's.
package kafkatest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The users that the SASL listeners know, one for each mechanism: a client that
// speaks the wrong mechanism is refused.
const (
	PlainUser     = "plain-user"
	PlainPassword = "plain-secret"

	Scram256User     = "scram256-user"
	Scram256Password = "scram256-secret"

	Scram512User     = "scram512-user"
	Scram512Password = "scram512-secret"
)

const (
	startTimeout  = 60 * time.Second
	stopTimeout   = 20 * time.Second
	helperTimeout = 30 * time.Second // of one call of one helper
)

// Kafka is a running broker. Its methods may be called from several tests at
// once; those that take a testing.TB end that test when they fail, and so must
// be called from the test's own goroutine.
type Kafka struct {
	dir  string
	node *node
}

// An Option changes the broker that [Start] starts.
type Option func(*settings)

type settings struct {
	extra []string // lines of server.properties
}

// Config sets a property of the broker, as in server.properties. It overrides
// what the harness sets itself.
func Config(key, value string) Option {
	return func(s *settings) { s.extra = append(s.extra, key+"="+value) }
}

// Start starts a broker of the test's own, and stops it when the test ends. It
// takes a few seconds: use it for tests that stop, pause or configure the
// broker, and [Shared] for all others.
func Start(t testing.TB, opts ...Option) *Kafka {
	t.Helper()
	k, err := start(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.close)
	return k
}

// Run starts a broker for a program that is no test. The caller closes it.
func Run(opts ...Option) (*Kafka, error) { return start(opts...) }

// Close ends a broker that [Run] has started, and removes its files.
func (k *Kafka) Close() { k.close() }

func start(opts ...Option) (*Kafka, error) {
	var s settings
	for _, opt := range opts {
		opt(&s)
	}
	lib, err := findLib()
	if err != nil {
		return nil, err
	}
	removeStaleDirs(os.TempDir())
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	k := &Kafka{dir: dir, node: newNode(1, lib, filepath.Join(dir, "node1"))}
	running.add(k)
	if err := k.boot(s); err != nil {
		err = fmt.Errorf("start Kafka: %w; the broker's log ends:\n%s", err, k.LogTail())
		k.close()
		return nil, err
	}
	return k, nil
}

// boot makes the certificates, formats the node and starts it.
func (k *Kafka) boot(s settings) error {
	if err := writeCertificates(k.dir); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	ports, err := FreePorts(len(listeners))
	if err != nil {
		return err
	}
	if err := k.node.format(k.dir, ports, s.extra); err != nil {
		return err
	}
	return k.run()
}

// run starts the formatted node and waits until it serves.
func (k *Kafka) run() error {
	if err := k.node.start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	cl, err := k.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	for {
		err := probe(ctx, cl)
		if err == nil {
			return nil
		}
		select {
		case <-k.node.exited():
			return fmt.Errorf("broker exited: %w", k.node.exitError())
		case <-ctx.Done():
			return fmt.Errorf("broker not ready after %v: %w", startTimeout, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// probe asks both coordinators for something, which also makes the broker
// create the internal topics that they need.
func probe(ctx context.Context, cl *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	const id = "kafkatest-probe"
	fetched, err := kadm.NewClient(cl).FetchOffsets(ctx, id)
	if err != nil {
		return fmt.Errorf("ask group coordinator: %w", err)
	}
	if err := fetched.Error(); err != nil {
		return fmt.Errorf("ask group coordinator: %w", err)
	}
	if _, _, err := initProducer(ctx, cl, id); err != nil {
		return fmt.Errorf("ask transaction coordinator: %w", err)
	}
	return nil
}

// Plaintext is the address of the listener without TLS and SASL.
func (k *Kafka) Plaintext() string { return k.node.address("PLAINTEXT") }

// SASLPlaintext is the address of the listener with SASL (PLAIN, SCRAM-SHA-256
// and SCRAM-SHA-512), without TLS.
func (k *Kafka) SASLPlaintext() string { return k.node.address("SASL_PLAINTEXT") }

// TLS is the address of the listener with TLS, without SASL.
func (k *Kafka) TLS() string { return k.node.address("SSL") }

// SASLTLS is the address of the listener with TLS and SASL (the same mechanisms).
func (k *Kafka) SASLTLS() string { return k.node.address("SASL_SSL") }

// MutualTLS is the address of the TLS listener that demands a client certificate.
func (k *Kafka) MutualTLS() string { return k.node.address("MTLS") }

// CAFile is the certificate, in PEM, of who signed the broker's certificate. The
// latter is good for localhost, 127.0.0.1 and ::1.
func (k *Kafka) CAFile() string { return filepath.Join(k.dir, caFile) }

// UntrustedCAFile is the certificate of a CA that has signed nothing here.
func (k *Kafka) UntrustedCAFile() string { return filepath.Join(k.dir, untrustedCAFile) }

// ClientCertFile is the certificate, in PEM, that [Kafka.MutualTLS] accepts.
func (k *Kafka) ClientCertFile() string { return filepath.Join(k.dir, clientCertFile) }

// ClientKeyFile is the private key that belongs to [Kafka.ClientCertFile].
func (k *Kafka) ClientKeyFile() string { return filepath.Join(k.dir, clientKeyFile) }

// LogTail is the end of the broker's log, some 16 KiB at most.
func (k *Kafka) LogTail() string { return k.node.logTail() }

// Stop stops the broker as an operator would, by SIGTERM, and returns when it
// is gone. Its data and ports are kept for [Kafka.Restart].
func (k *Kafka) Stop(t testing.TB) {
	t.Helper()
	if err := k.node.stop(stopTimeout); err != nil {
		t.Fatalf("stop Kafka: %v", err)
	}
}

// Kill ends the broker by SIGKILL: no goodbyes, connections are reset.
func (k *Kafka) Kill(t testing.TB) {
	t.Helper()
	k.node.kill()
}

// Pause freezes the broker by SIGSTOP: connections stay open, nothing answers.
func (k *Kafka) Pause(t testing.TB) {
	t.Helper()
	if err := k.node.signal(suspend); err != nil {
		t.Fatalf("pause Kafka: %v", err)
	}
}

// Resume ends what [Kafka.Pause] began.
func (k *Kafka) Resume(t testing.TB) {
	t.Helper()
	if err := k.node.signal(resume); err != nil {
		t.Fatalf("resume Kafka: %v", err)
	}
}

// Restart starts the broker again on the same ports and data, stopping it first
// if it runs, and returns when it serves.
func (k *Kafka) Restart(t testing.TB) {
	t.Helper()
	k.Stop(t)
	if err := k.run(); err != nil {
		t.Fatalf("restart Kafka: %v; the broker's log ends:\n%s", err, k.LogTail())
	}
}

// close ends the broker for good and removes its files.
func (k *Kafka) close() {
	k.destroy()
	running.remove(k) // last: until then an interrupt must find it
}

func (k *Kafka) destroy() {
	k.node.retire()
	_ = os.RemoveAll(k.dir) // what is left, the next start removes
}

// client is a client of the plaintext listener. The caller closes it.
func (k *Kafka) client(opts ...kgo.Opt) (*kgo.Client, error) {
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(k.Plaintext()),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.MetadataMinAge(50 * time.Millisecond),
	}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return cl, nil
}

// FreePorts picks ports below the range from which the kernel takes those of
// outgoing connections: in it, a client that keeps dialling a stopped broker
// may be given the broker's own port, and then connects to itself.
func FreePorts(n int) ([]int, error) {
	const lowest, highest = 12000, 32000
	var ports []int
	for range 100 * n {
		// At random, so that processes that start at once rarely meet.
		port := lowest + rand.IntN(highest-lowest)
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			continue
		}
		defer l.Close() // all at the end, so that none is found twice
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("find %d free ports between %d and %d", n, lowest, highest)
}

// initProducer gives a transactional id its producer id and epoch.
func initProducer(ctx context.Context, cl *kgo.Client, id string) (int64, int16, error) {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID = &id
	req.TransactionTimeoutMillis = int32(helperTimeout.Milliseconds())
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return 0, 0, fmt.Errorf("init producer id: %w", err)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return 0, 0, fmt.Errorf("init producer id: %w", err)
	}
	return resp.ProducerID, resp.ProducerEpoch, nil
}
