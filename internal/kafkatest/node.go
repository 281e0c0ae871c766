package kafkatest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	host      = "127.0.0.1"
	clusterID = "kafkatestkafkatestkafk" // 22 characters of base64: 16 bytes
)

// listeners are the names of a node's listeners and their security protocols,
// in the order in which they are given ports.
var listeners = []struct{ name, protocol string }{
	{"PLAINTEXT", "PLAINTEXT"},
	{"SASL_PLAINTEXT", "SASL_PLAINTEXT"},
	{"SSL", "SSL"},
	{"SASL_SSL", "SASL_SSL"},
	{"MTLS", "SSL"},
	{"CONTROLLER", "PLAINTEXT"},
}

// node is one Kafka process, its folder and its ports.
type node struct {
	id        int
	lib       string            // the folder of Kafka's jars
	dir       string            // properties, data and log of this node
	addresses map[string]string // by listener; set by format, then fixed

	mu      sync.Mutex
	proc    *process // the latest; nil before the first
	retired bool     // nothing is started any more
}

func newNode(id int, lib, dir string) *node {
	return &node{id: id, lib: lib, dir: dir, addresses: map[string]string{}}
}

func (n *node) address(listener string) string { return n.addresses[listener] }

// format writes the node's configuration and makes its storage, with the SCRAM
// users in it.
func (n *node) format(certs string, ports []int, extra []string) error {
	for i, l := range listeners {
		n.addresses[l.name] = net.JoinHostPort(host, strconv.Itoa(ports[i]))
	}
	if err := os.MkdirAll(filepath.Join(n.dir, "tmp"), 0o700); err != nil {
		return err
	}
	// Of a property given twice, Java keeps the last.
	text := n.properties(certs) + strings.Join(extra, "\n") + "\n"
	if err := os.WriteFile(n.configFile(), []byte(text), 0o600); err != nil {
		return err
	}
	scram := func(mechanism, user, password string) string {
		return fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, user, password)
	}
	proc, err := n.java("kafka.tools.StorageTool", "format", "--standalone",
		"--config", n.configFile(), "--cluster-id", clusterID,
		"--add-scram", scram("SCRAM-SHA-256", Scram256User, Scram256Password),
		"--add-scram", scram("SCRAM-SHA-512", Scram512User, Scram512Password))
	if err != nil {
		return fmt.Errorf("format storage: %w", err)
	}
	<-proc.done
	if proc.err != nil {
		return fmt.Errorf("format storage: %w", proc.err)
	}
	return nil
}

// start starts the broker and returns at once.
func (n *node) start() error {
	_, err := n.java("kafka.Kafka", n.configFile())
	return err
}

// java starts a class of Kafka's as the node's process.
func (n *node) java(class string, args ...string) (*process, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, fmt.Errorf("the tests against a real Kafka need Java 17 or later: %w", err)
	}
	log, err := os.OpenFile(n.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	flags := []string{
		"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
		"-XX:-UsePerfData", // or it leaves files outside our folder
		"-Djava.io.tmpdir=" + filepath.Join(n.dir, "tmp"),
		"-Dorg.slf4j.simpleLogger.showDateTime=true",
		"-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
		// Nine listings of all settings, 2,000 lines.
		"-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn",
		"-cp", filepath.Join(n.lib, "*"), class,
	}
	cmd := exec.Command(java, append(flags, args...)...)
	cmd.Dir = n.dir
	cmd.Stdout, cmd.Stderr = log, log

	n.mu.Lock()
	defer n.mu.Unlock()
	if n.retired {
		return nil, errors.New("the broker has been removed")
	}
	proc, err := startProcess(cmd)
	if err != nil {
		return nil, err
	}
	n.proc = proc
	return proc, nil
}

// stop ends the process by SIGTERM, or after a while by SIGKILL and an error.
// To stop a node that does not run is no error.
func (n *node) stop(timeout time.Duration) error {
	proc := n.process()
	if !proc.running() {
		return nil
	}
	_ = resume(proc.cmd.Process) // a frozen process does not hear SIGTERM
	if err := terminate(proc.cmd.Process); err != nil {
		return err
	}
	select {
	case <-proc.done:
		return nil
	case <-time.After(timeout):
		n.kill()
		return fmt.Errorf("still running %v after SIGTERM; killed", timeout)
	}
}

// kill ends the process, if there is one, and returns when it is gone.
func (n *node) kill() {
	if proc := n.process(); proc != nil {
		_ = proc.cmd.Process.Kill() // fails only if it is gone already
		<-proc.done
	}
}

// retire kills the process and sees to it that there is no other.
func (n *node) retire() {
	n.mu.Lock()
	n.retired = true
	n.mu.Unlock()
	n.kill()
}

// signal sends a signal to the running process.
func (n *node) signal(send func(*os.Process) error) error {
	proc := n.process()
	if !proc.running() {
		return errors.New("it does not run")
	}
	return send(proc.cmd.Process)
}

func (n *node) process() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc
}

// exited is closed when the process that start started has ended.
func (n *node) exited() <-chan struct{} { return n.process().done }

// exitError says how the process ended; call it after that.
func (n *node) exitError() error {
	if err := n.process().err; err != nil {
		return err
	}
	return errors.New("exit status 0")
}

func (n *node) configFile() string { return filepath.Join(n.dir, "server.properties") }
func (n *node) dataDir() string    { return filepath.Join(n.dir, "data") }
func (n *node) logFile() string    { return filepath.Join(n.dir, "broker.log") }

func (n *node) logTail() string {
	const most = 16 << 10
	text, err := os.ReadFile(n.logFile())
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	if len(text) > most {
		text = text[len(text)-most:]
		if _, rest, found := strings.Cut(string(text), "\n"); found {
			return rest
		}
	}
	return string(text)
}
