package kafkatest

import (
	"fmt"
	"path/filepath"
	"strings"
)

// properties is the node's server.properties: one broker and controller that
// starts fast, stays small, and does soon what a broker usually does late.
func (n *node) properties(certs string) string {
	var addresses, protocols []string
	for _, l := range listeners {
		addresses = append(addresses, l.name+"://"+n.address(l.name))
		protocols = append(protocols, l.name+":"+l.protocol)
	}
	var b strings.Builder
	set := func(key string, value any) { fmt.Fprintf(&b, "%s=%v\n", key, value) }

	set("process.roles", "broker,controller")
	set("node.id", n.id)
	set("controller.quorum.bootstrap.servers", n.address("CONTROLLER"))
	set("controller.listener.names", "CONTROLLER")
	set("listeners", strings.Join(addresses, ","))
	set("listener.security.protocol.map", strings.Join(protocols, ","))
	set("inter.broker.listener.name", "PLAINTEXT")
	set("log.dirs", n.dataDir())
	set("auto.create.topics.enable", false)

	set("ssl.keystore.type", "PEM")
	set("ssl.keystore.location", filepath.Join(certs, serverFile))
	set("ssl.truststore.type", "PEM")
	set("ssl.truststore.location", filepath.Join(certs, caFile))
	set("listener.name.mtls.ssl.client.auth", "required")

	const login = "org.apache.kafka.common.security."
	set("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512")
	for _, l := range []string{"sasl_plaintext", "sasl_ssl"} {
		key := "listener.name." + l + "."
		set(key+"plain.sasl.jaas.config", fmt.Sprintf(
			`%splain.PlainLoginModule required user_%s="%s";`, login, PlainUser, PlainPassword))
		// These users are in the cluster's metadata; see format.
		set(key+"scram-sha-256.sasl.jaas.config", login+"scram.ScramLoginModule required;")
		set(key+"scram-sha-512.sasl.jaas.config", login+"scram.ScramLoginModule required;")
	}

	// One node keeps one copy, and internal topics are few and small.
	for _, topic := range []string{"offsets.topic", "transaction.state.log", "share.coordinator.state.topic"} {
		set(topic+".num.partitions", 1)
		set(topic+".replication.factor", 1)
	}
	set("transaction.state.log.min.isr", 1)
	set("share.coordinator.state.topic.min.isr", 1)
	set("group.initial.rebalance.delay.ms", 0)
	set("num.network.threads", 1) // for each listener
	set("num.io.threads", 4)

	// A stop takes as long as the next heartbeat; a start after a kill waits
	// until the session of the killed broker has ended.
	set("broker.heartbeat.interval.ms", 200)
	set("broker.session.timeout.ms", 3000)

	// Retention, compaction and time-outs of transactions are looked at often.
	set("log.initial.task.delay.ms", 100)
	set("log.retention.check.interval.ms", 200)
	set("log.segment.delete.delay.ms", 100)
	set("log.cleaner.backoff.ms", 100)
	set("log.cleaner.dedupe.buffer.size", 4<<20)
	set("log.cleaner.io.buffer.size", 1<<20)
	set("log.index.size.max.bytes", 64<<10)
	set("transaction.abort.timed.out.transaction.cleanup.interval.ms", 200)
	return b.String()
}
