package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"paystream/chaos/process"
)

// The listeners of a node; besides these there is one for each gateway.
const (
	controller = "CONTROLLER"
	between    = "BETWEEN" // the brokers
	direct     = "DIRECT"  // for the harness
)

func viewName(view int) string { return fmt.Sprintf("GATEWAY%d", view) }

// clusterID is 22 characters of base64: 16 bytes.
const clusterID = "paystreamchaoschaoscha"

// node is one Kafka process.
type node struct {
	id         int
	lib, dir   string
	addresses  map[string]string // by listener
	advertised []string          // by gateway: where its link listens

	process *process.Process
}

func (n *node) address(listener string) string { return n.addresses[listener] }

func (n *node) config() string { return filepath.Join(n.dir, "server.properties") }

// format writes the configuration and makes the storage.
func (n *node) format(ctx context.Context, all []*node) error {
	if err := os.MkdirAll(filepath.Join(n.dir, "tmp"), 0o700); err != nil {
		return fmt.Errorf("make a broker's folder: %w", err)
	}
	if err := os.WriteFile(n.config(), []byte(n.properties(all)), 0o600); err != nil {
		return fmt.Errorf("write a broker's properties: %w", err)
	}
	args := n.java("kafka.tools.StorageTool", "format", "--config", n.config(), "--cluster-id", clusterID)
	if out, err := exec.CommandContext(ctx, "java", args...).CombinedOutput(); err != nil { //nolint:gosec // Kafka's own tool
		return fmt.Errorf("format storage: %w: %s", err, out)
	}
	return nil
}

func (n *node) start() (err error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return fmt.Errorf("Kafka needs Java 17 or later: %w", err) //nolint:staticcheck // it is a name
	}
	n.process, err = process.Start(process.Command{
		Path: java, Args: n.java("kafka.Kafka", n.config()), Dir: n.dir, Log: filepath.Join(n.dir, "broker.log"),
	})
	return err
}

func (n *node) java(class string, args ...string) []string {
	return append([]string{
		"-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-XX:-UsePerfData",
		"-Djava.io.tmpdir=" + filepath.Join(n.dir, "tmp"),
		"-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn",
		"-cp", filepath.Join(n.lib, "*"), class,
	}, args...)
}

func (n *node) properties(all []*node) string {
	var voters, listeners, advertised, protocols []string
	for _, other := range all {
		voters = append(voters, fmt.Sprintf("%d@%s", other.id, other.address(controller)))
	}
	add := func(name, to string) {
		listeners = append(listeners, name+"://"+n.address(name))
		advertised = append(advertised, name+"://"+to)
		protocols = append(protocols, name+":PLAINTEXT")
	}
	for _, name := range []string{controller, between, direct} {
		add(name, n.address(name))
	}
	for view, to := range n.advertised {
		add(viewName(view), to)
	}
	var b strings.Builder
	set := func(key string, value any) { fmt.Fprintf(&b, "%s=%v\n", key, value) }

	set("process.roles", "broker,controller")
	set("node.id", n.id)
	set("controller.quorum.voters", strings.Join(voters, ","))
	set("controller.listener.names", controller)
	set("listeners", strings.Join(listeners, ","))
	set("advertised.listeners", strings.Join(advertised, ","))
	set("listener.security.protocol.map", strings.Join(protocols, ","))
	set("inter.broker.listener.name", between)
	set("log.dirs", filepath.Join(n.dir, "data"))

	set("default.replication.factor", nodes)
	set("min.insync.replicas", nodes-1)
	set("unclean.leader.election.enable", false)
	set("auto.create.topics.enable", false)
	for _, topic := range []string{"offsets.topic", "transaction.state.log", "share.coordinator.state.topic"} {
		set(topic+".num.partitions", 3)
		set(topic+".replication.factor", nodes)
	}
	set("transaction.state.log.min.isr", nodes-1)
	set("share.coordinator.state.topic.min.isr", nodes-1)
	set("group.initial.rebalance.delay.ms", 0)
	set("num.network.threads", 1) // for each listener
	set("num.io.threads", 4)
	set("num.replica.fetchers", 1)

	// A dead broker is noticed soon, and gives its leaderships back soon after its return.
	set("broker.heartbeat.interval.ms", 500)
	set("broker.session.timeout.ms", 3000)
	set("controller.quorum.election.timeout.ms", 1000)
	set("controller.quorum.fetch.timeout.ms", 2000)
	set("leader.imbalance.check.interval.seconds", 10)
	// What is acknowledged, followers have fetched. By default one that hears of a new leader before that leader does
	// asks again after 1 s, and one whose leader has nothing new takes others' partitions on after up to 0.5 s.
	set("replica.fetch.backoff.ms", 50)
	set("replica.fetch.wait.max.ms", 100)

	set("log.index.size.max.bytes", 256<<10)
	set("log.cleaner.dedupe.buffer.size", 4<<20)
	set("transaction.abort.timed.out.transaction.cleanup.interval.ms", 1000)
	return b.String()
}
