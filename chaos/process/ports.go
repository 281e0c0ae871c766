package process

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// FreePorts picks ports of the loopback below the range from which the kernel takes those of outgoing
// connections: a client that keeps dialling a server that is down could else be given that server's own.
func FreePorts(n int) ([]string, error) {
	const lowest, highest = 12000, 32000
	var found []string
	for range 100 * n {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(lowest+rand.IntN(highest-lowest)))
		l, err := net.Listen("tcp", address) //nolint:noctx // it is closed again
		if err != nil {
			continue
		}
		defer l.Close() // all at the end, so that none is found twice
		if found = append(found, address); len(found) == n {
			return found, nil
		}
	}
	return nil, fmt.Errorf("find %d free ports between %d and %d", n, lowest, highest)
}
