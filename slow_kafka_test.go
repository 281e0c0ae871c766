//go:build kafka

package main

import (
	"strings"
	"testing"

	paymentpb "paystream/gen/payment"
	"paystream/internal/clienttest"
	"paystream/internal/kafkatest"
)

// TestSlowSubscribersBehindAProxy has a gateway with many that take nothing, each on a connection of its
// own to the proxy: another one beside them has everything all the same.
func TestSlowSubscribersBehindAProxy(t *testing.T) {
	k := kafkatest.Shared(t)
	for name, start := range proxies() {
		t.Run(name, func(t *testing.T) {
			topic := kafkatest.TopicName(t)
			k.CreateTopic(t, topic, 1, nil)
			g := startProcess(t, kafkaEnv(k, topic)...)
			g.awaitReady(t)
			proxy := start(t, []*instance{g, g, g})
			var last clienttest.Stream
			for range 21 {
				c := clienttest.DialGRPC(strings.TrimPrefix(proxy.grpc, "http://"), clienttest.SmallBuffers)
				defer c.Close()
				s, err := c.Open(patiently(t), &paymentpb.StreamPaymentsRequest{})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				last = s
			}
			k.Produce(t, topic, bulk(100)...)
			for n := range 100 {
				if _, err := last.NextMessage(); err != nil {
					t.Fatalf("behind %d: %v", n, err)
				}
			}
		})
	}
}
