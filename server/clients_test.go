package server_test

import (
	"testing"

	"paystream/internal/clienttest"
)

// perProtocol runs one test of the contract over every protocol.
func perProtocol(t *testing.T, test func(t *testing.T, dial func(g *gateway) clienttest.Client)) {
	for _, p := range clienttest.Protocols() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			test(t, func(g *gateway) clienttest.Client {
				c := p.Dial(g.address)
				t.Cleanup(c.Close)
				return c
			})
		})
	}
}
