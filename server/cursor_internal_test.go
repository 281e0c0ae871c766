package server

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paystream/broadcast"
)

func TestCursorRoundTrip(t *testing.T) {
	t.Parallel()
	f := Fingerprint{1, 2, 3}
	for name, v := range map[string]broadcast.Vector{
		"no partition":     {},
		"one":              {0},
		"several":          {0, 17, 1 << 40},
		"the greatest":     {1<<63 - 1},
		"many partitions":  make(broadcast.Vector, 1000),
		"more than a byte": {127, 128, 16383, 16384},
	} {
		got, _, err := parseCursor(formatCursor(f, v, nil), f)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(v, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestCursorCarriesLeaderEpochs(t *testing.T) {
	t.Parallel()
	f, v := Fingerprint{1}, broadcast.Vector{5, 6, 7}
	of := func(b []byte) string { return seal(append([]byte("c"), append(f[:], b...)...)) }
	for name, test := range map[string]struct {
		token string
		want  []int32
	}{
		"of each partition":             {formatCursor(f, v, []int32{0, 300, 1<<31 - 2}), []int32{0, 300, 1<<31 - 2}},
		"fewer are known":               {formatCursor(f, v, []int32{4, -1}), []int32{4, -1, -1}},
		"more are known":                {formatCursor(f, v, []int32{1, 2, 3, 4}), []int32{1, 2, 3}},
		"a cursor of old, without them": {of([]byte{3, 5, 6, 7}), nil},
	} {
		got, epochs, err := parseCursor(test.token, f)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(v, got) + cmp.Diff(test.want, epochs); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, b := range map[string][]byte{
		"too few":   {3, 5, 6, 7, 1, 1},
		"too many":  {3, 5, 6, 7, 1, 1, 1, 1},
		"too large": {3, 5, 6, 7, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f},
	} {
		if _, _, err := parseCursor(of(b), f); !errors.Is(err, errMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPageRoundTrip(t *testing.T) {
	t.Parallel()
	f := Fingerprint{9}
	want := page{provider: 2, status: 4, total: 123456, snapshot: broadcast.Vector{5, 6}, epochs: []int32{3, -1}, at: broadcast.Vector{1, 0}}
	got, err := parsePage(want.token(f), f)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(page{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTokensAreNotMistaken(t *testing.T) {
	t.Parallel()
	f := Fingerprint{1}
	cursor := formatCursor(f, broadcast.Vector{1, 2, 3}, []int32{1, 1, 2})
	token := page{snapshot: broadcast.Vector{1}, at: broadcast.Vector{1}}.token(f)
	if _, _, err := parseCursor(token, f); !errors.Is(err, errIsPage) {
		t.Errorf("page token as cursor: %v", err)
	}
	if _, err := parsePage(cursor, f); !errors.Is(err, errIsCursor) {
		t.Errorf("cursor as page token: %v", err)
	}
	if _, _, err := parseCursor(cursor, Fingerprint{2}); !errors.Is(err, errForeign) {
		t.Errorf("another topic's cursor: %v", err)
	}
	for cut := range len(cursor) {
		if _, _, err := parseCursor(cursor[:cut], f); !errors.Is(err, errMalformed) {
			t.Errorf("cut to %d letters: %v", cut, err)
		}
	}
	if _, _, err := parseCursor(cursor+"A", f); !errors.Is(err, errMalformed) {
		t.Errorf("one letter more: %v", err)
	}
	if _, _, err := parseCursor(cursor[:5]+"\n"+cursor[5:], f); !errors.Is(err, errMalformed) {
		t.Errorf("a line break within: %v", err)
	}
}

// FuzzCursor gives the parsers bytes, sealed as the gateway seals them so that they get past the
// checksum, and bytes as they are. What is accepted must come back the same.
func FuzzCursor(f *testing.F) {
	topic := Fingerprint{1, 2, 3, 4, 5, 6, 7, 8}
	f.Add([]byte("c"), []byte{3, 1, 2, 3})
	f.Add([]byte("c"), []byte{})
	f.Add([]byte("c"), []byte{3, 1, 2, 3, 1, 0, 9})
	f.Add([]byte("p"), []byte{1, 2, 50, 1, 7, 1, 3})
	f.Add([]byte("p"), []byte{1, 2, 50, 1, 7, 1, 3, 4})
	f.Add([]byte("p"), []byte{1, 2, 0xff, 0xff, 0xff, 0xff, 0x0f, 1})
	f.Add([]byte("c"), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, kind, body []byte) {
		sealed := seal(append(append(slices.Clip(kind), topic[:]...), body...))
		for _, token := range []string{sealed, string(body)} {
			if v, epochs, err := parseCursor(token, topic); err == nil {
				again, sameEpochs, err := parseCursor(formatCursor(topic, v, epochs), topic)
				if err != nil || !cmp.Equal(v, again) || epochs != nil && !cmp.Equal(epochs, sameEpochs) {
					t.Errorf("%v of %v became %v of %v, %v", v, epochs, again, sameEpochs, err)
				}
			}
			if p, err := parsePage(token, topic); err == nil && p.epochs != nil {
				again, err := parsePage(p.token(topic), topic)
				if err != nil || !cmp.Equal(p, again, cmp.AllowUnexported(page{})) {
					t.Errorf("%v became %v, %v", p, again, err)
				}
			}
		}
	})
}
