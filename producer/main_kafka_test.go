//go:build kafka

package producer_test

import (
	"testing"

	"go.uber.org/goleak"

	"paystream/internal/kafkatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(kafkatest.Suite{M: m}) }
