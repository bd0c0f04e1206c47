package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
)

// server is an HTTP server on a loopback port of its own.
type server struct {
	script
	url     string
	http    *http.Server
	closing context.Context // Ends when Close begins.
	end     context.CancelFunc
	done    chan struct{} // Closed when Serve has returned.
	mu      sync.Mutex    // Guards closed, and that active grows only while it is false.
	closed  bool
	active  sync.WaitGroup
}

// newServer listens and serves handle.
func newServer(handle func(s *server, w http.ResponseWriter, r *http.Request)) (*server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	return serveOn(listener, handle), nil
}

// serveOn serves handle on a listener.
func serveOn(listener net.Listener, handle func(s *server, w http.ResponseWriter, r *http.Request)) *server {
	s := &server{url: "http://" + listener.Addr().String(), done: make(chan struct{})}
	s.closing, s.end = context.WithCancel(context.Background())
	s.http = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.enter() {
			panic(http.ErrAbortHandler)
		}
		defer s.active.Done()
		handle(s, w, r)
	})}
	go func() {
		defer close(s.done)
		// Serve's error is ErrServerClosed; another one shows as requests that fail.
		_ = s.http.Serve(listener)
	}()
	return s
}

// enter counts a request in; false when the server is being closed.
func (s *server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.active.Add(1)
	}
	return !s.closed
}

// Close ends the server, its connections and its goroutines.
func (s *server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end()
	err := s.http.Close()
	<-s.done
	s.active.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
