package faulty

import "testing"

// TestSourcesAreWhatIsReplaced notices a change of the gateway's that the gateways which do wrong have to follow: what
// tries them takes a real Kafka and a minute.
func TestSourcesAreWhatIsReplaced(t *testing.T) {
	t.Parallel()
	for _, wrong := range Wrongs() {
		if _, err := writeOverlay("../..", t.TempDir(), wrong, 10); err != nil {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
