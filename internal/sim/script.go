package sim

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// Behaviour is how a server answers one request. The zero value is to do well at once.
type Behaviour struct {
	// Status of the response; 0 means what the protocol's success is.
	Status int
	// Body of the response; empty means what the protocol's success has, and nothing where Status is set.
	Body string
	// Header is added to the response's.
	Header http.Header
	// Delay before the answer.
	Delay time.Duration
	// Hang never answers: the request ends when its client gives up or the server is closed.
	Hang bool
	// Drop closes the connection without an answer.
	Drop bool
}

// script hands out behaviours.
type script struct {
	scriptMu sync.Mutex
	next     []Behaviour
	always   Behaviour
}

// Script has the next requests answered as given, one behaviour a request; those after them as Always says.
func (s *script) Script(behaviours ...Behaviour) {
	s.scriptMu.Lock()
	defer s.scriptMu.Unlock()
	s.next = append([]Behaviour(nil), behaviours...)
}

// Always has every request that Script does not speak of answered as given.
func (s *script) Always(b Behaviour) {
	s.scriptMu.Lock()
	defer s.scriptMu.Unlock()
	s.always = b
}

func (s *script) take() Behaviour {
	s.scriptMu.Lock()
	defer s.scriptMu.Unlock()
	if len(s.next) == 0 {
		return s.always
	}
	b := s.next[0]
	s.next = s.next[1:]
	return b
}

// perform answers a request as b says, and returns false where b leaves the answer to the caller: the protocol's
// success. closing ends hanging requests.
func (b Behaviour) perform(w http.ResponseWriter, r *http.Request, closing context.Context) bool {
	if b.Delay > 0 {
		timer := time.NewTimer(b.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		case <-closing.Done():
		}
	}
	if b.Hang {
		select {
		case <-r.Context().Done():
		case <-closing.Done():
		}
	}
	if b.Hang || b.Drop {
		panic(http.ErrAbortHandler) // net/http's way to close a connection without an answer; it is not logged.
	}
	for k, vs := range b.Header {
		w.Header()[k] = append([]string(nil), vs...)
	}
	if b.Status == 0 && b.Body == "" {
		return false
	}
	if b.Status != 0 {
		w.WriteHeader(b.Status)
	}
	_, _ = w.Write([]byte(b.Body)) // The client may have gone; that is its right.
	return true
}
