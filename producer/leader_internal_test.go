package producer

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

type failing struct{ err error }

func (f failing) RoundTrip(context.Context, net.Addr, kafka.Request) (kafka.Response, error) {
	return nil, f.err
}

// A partition without a leader is tried again, as kafka-go does with what says that it is temporary.
func TestNoLeaderIsTemporary(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"no leader":    {protocol.NewErrNoLeader("payments.raw", 0), true},
		"no partition": {protocol.NewErrNoPartition("payments.raw", 0), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := abortable{failing{tt.err}, t.Context()}.RoundTrip(t.Context(), nil, nil)
			var temporary interface{ Temporary() bool }
			if got := errors.As(err, &temporary) && temporary.Temporary(); got != tt.want {
				t.Errorf("%v: temporary is %v, want %v", err, got, tt.want)
			}
		})
	}
}
