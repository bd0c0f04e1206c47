package web

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/prometheus/prometheus/util/netconnlimit"
)

// DefaultMaxConnections is how many connections Listen accepts at a time where it is told nothing else.
const DefaultMaxConnections = 512

// Listen checks that address may be listened on with webConfigFile (see CheckExposure) and binds it. At most
// maxConnections (zero: DefaultMaxConnections) are served at a time; more wait. The listener's Addr is the actual one,
// also for port 0. It is separate from Server so that a port in use is found before anything else is started.
func Listen(address, webConfigFile string, maxConnections int) (net.Listener, error) {
	if err := CheckExposure(address, webConfigFile); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s: another process has this port (%w); stop it or choose another with --listen",
			address, syscall.EADDRINUSE)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	// A name such as "localhost" is loopback by agreement; the address it led to is what counts.
	if err := CheckExposure(l.Addr().String(), webConfigFile); err != nil {
		_ = l.Close() // nothing was accepted
		return nil, fmt.Errorf("%s is %s: %w", address, l.Addr(), err)
	}
	if maxConnections == 0 {
		maxConnections = DefaultMaxConnections
	}
	return netconnlimit.SharedLimitListener(l, netconnlimit.NewSharedSemaphore(maxConnections)), nil
}
