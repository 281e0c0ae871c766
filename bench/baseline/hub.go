package baseline

import "sync"

// queue is how many events wait for one subscriber before the publisher waits for it.
const queue = 1024

// hub hands each event to each subscriber, through a channel of its own.
type hub struct {
	mu     sync.Mutex
	subs   map[chan event]struct{}
	events []event // loaded, not published yet
}

func newHub() *hub { return &hub{subs: map[chan event]struct{}{}} }

func (h *hub) subscribe() chan event {
	c := make(chan event, queue)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subs[c] = struct{}{}
	return c
}

// unsubscribe leaves; what the publisher is about to hand over meanwhile is dropped.
func (h *hub) unsubscribe(c chan event) {
	left := make(chan struct{})
	go func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subs, c)
		close(left)
	}()
	for {
		select {
		case <-c:
		case <-left:
			return
		}
	}
}

func (h *hub) subscribers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.subs)
}

func (h *hub) load(events []event) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = events
	return nil
}

func (h *hub) publish(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events[:n] {
		for c := range h.subs {
			c <- e
		}
	}
	h.events = h.events[n:]
}
