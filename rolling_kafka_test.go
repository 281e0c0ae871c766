//go:build kafka

package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"paystream/internal/kafkatest"
)

// noticed is how long a proxy may take to notice that a gateway has gone, or is ready again.
const noticed = 1200 * time.Millisecond

// TestRollingRestart restarts three gateways behind a proxy, one after the other, while payments come.
// Its clients notice nothing but that they connect anew: each has each payment once, in the order of
// its partition, and none is told of an error.
func TestRollingRestart(t *testing.T) {
	k := kafkatest.Shared(t)
	buildClient(t)
	for name, start := range proxies() {
		t.Run(name, func(t *testing.T) {
			const partitions = 3
			topic := kafkatest.TopicName(t)
			k.CreateTopic(t, topic, partitions, nil)
			var gateways []*instance
			for _, at := range freeAddresses(t, 3) {
				gateways = append(gateways, startProcess(t, gatewayEnv(k, topic, at)...))
			}
			for _, g := range gateways {
				g.awaitReady(t)
			}
			proxy := start(t, gateways)
			all := &subscribers{byName: map[string]*outsideSubscriber{}}
			all.startNode(t, proxy)
			all.startTail(t, proxy)
			all.awaitOpen(t)
			stop := startProduce(t, k, topic)
			for i, g := range gateways {
				time.Sleep(noticed)
				gateways[i] = g.restart(t, gatewayEnv(k, topic, g.address))
			}
			time.Sleep(noticed)
			stop()
			all.check(t, k.Read(t, topic, true))
			proxy.check(t)
		})
	}
}

// restart ends a gateway by SIGTERM, while it has subscribers, and starts another one at its address.
func (i *instance) restart(t *testing.T, env []string) *instance {
	t.Helper()
	if i.metric(t, "paystream_subscribers") == 0 {
		t.Errorf("the gateway at %s has no subscriber: that it ends shows nothing", i.address)
	}
	begin := time.Now()
	i.stop()
	i.awaitEnd(t)
	if i.err != nil {
		t.Errorf("the gateway at %s ended with %v", i.address, i.err)
	}
	ended := time.Since(begin)
	time.Sleep(noticed)
	next := startProcess(t, env...)
	next.awaitReady(t)
	t.Logf("%s: ended after %v", i.address, ended.Round(time.Millisecond))
	return next
}

func gatewayEnv(k *kafkatest.Kafka, topic, address string) []string {
	_, port, _ := strings.Cut(address, ":")
	return append(kafkaEnv(k, topic), "GRPC_PORT="+port)
}

// buildClient builds the client library where a program that uses it finds it.
func buildClient(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "web/node_modules/.bin/tsc", "-p", "web/client/tsconfig.build.json")
	cmd.Env = append(os.Environ(), nodePath(t))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the client library, after npm ci in web/, as make test-kafka does: %v\n%s", err, out)
	}
}

// startProduce has paystream produce write some hundreds of payments a second, until stop is called.
func startProduce(t *testing.T, k *kafkatest.Kafka, topic string) (stop func()) {
	t.Helper()
	cmd := exec.Command(binary, "produce", "-count=0", "-interval=3ms", "-quiet")
	cmd.Dir, cmd.Env = t.TempDir(), kafkaEnv(k, topic)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	c := startChild(t, cmd)
	return func() {
		c.stop()
		c.awaitEnd(t)
		if c.err != nil {
			t.Errorf("produce ended with %v", c.err)
		}
	}
}
