package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// Network is a network in memory, for tests in a bubble of fake time: what waits for it waits durably, in the sense of
// testing/synctest. Hosts are names with a port. The zero value is an empty network.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*pipeListener
	refused   map[string]bool
	dialled   int
}

// Caller is one process on a Network: its connections can be cut all at once, as by its death. The zero value with a
// Network is ready.
type Caller struct {
	Network *Network

	mu    sync.Mutex
	conns map[*pipeConn]struct{}
	dead  bool
}

var (
	errRefused = errors.New("connection refused")
	errDead    = errors.New("the process is dead")
)

// Listen makes a host, with its port, one that can be called.
func (n *Network) Listen(host string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[host] != nil {
		return nil, fmt.Errorf("sim: %s is in use", host)
	}
	if n.listeners == nil {
		n.listeners, n.refused = map[string]*pipeListener{}, map[string]bool{}
	}
	l := &pipeListener{network: n, host: host, calls: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[host] = l
	return l, nil
}

// Refuse has a host refuse connections from now on, or take them again. Those that are open stay.
func (n *Network) Refuse(host string, refuse bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refused[host] = refuse
}

// Dial opens a connection. It is what net.Dialer's DialContext is.
func (c *Caller) Dial(ctx context.Context, _, host string) (net.Conn, error) {
	n := c.Network
	n.mu.Lock()
	l := n.listeners[host]
	if n.refused[host] {
		l = nil
	}
	n.dialled++
	port := n.dialled
	n.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: errRefused}
	}
	near, far := net.Pipe()
	from := pipeAddr(fmt.Sprint("caller:", port))
	conn := &pipeConn{Conn: near, caller: c, local: from, remote: pipeAddr(host)}
	if !c.keep(conn) {
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: errDead}
	}
	select {
	case l.calls <- &pipeConn{Conn: far, local: pipeAddr(host), remote: from}:
		return conn, nil
	case <-l.closed:
		conn.Close()
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: errRefused}
	case <-ctx.Done():
		conn.Close()
		return nil, ctx.Err()
	}
}

func (c *Caller) keep(conn *pipeConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return false
	}
	if c.conns == nil {
		c.conns = map[*pipeConn]struct{}{}
	}
	c.conns[conn] = struct{}{}
	return true
}

// Kill cuts all connections of the process; it opens no other.
func (c *Caller) Kill() {
	c.mu.Lock()
	c.dead = true
	conns := c.conns
	c.conns = nil
	c.mu.Unlock()
	for conn := range conns {
		conn.Conn.Close()
	}
}

type pipeListener struct {
	network *Network
	host    string
	calls   chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

// Accept implements net.Listener.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.calls:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *pipeListener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.network.mu.Lock()
		defer l.network.mu.Unlock()
		delete(l.network.listeners, l.host)
	})
	return nil
}

// Addr implements net.Listener.
func (l *pipeListener) Addr() net.Addr { return pipeAddr(l.host) }

// pipeConn is one end of a connection.
type pipeConn struct {
	net.Conn
	caller        *Caller // nil at the called end
	local, remote pipeAddr
}

// Close implements net.Conn.
func (c *pipeConn) Close() error {
	if c.caller != nil {
		c.caller.mu.Lock()
		delete(c.caller.conns, c)
		c.caller.mu.Unlock()
	}
	return c.Conn.Close()
}

// LocalAddr implements net.Conn.
func (c *pipeConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *pipeConn) RemoteAddr() net.Addr { return c.remote }

type pipeAddr string

// Network implements net.Addr.
func (pipeAddr) Network() string { return "pipe" }

// String implements net.Addr.
func (a pipeAddr) String() string { return string(a) }
