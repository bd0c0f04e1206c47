package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// SMTPOptions says what an SMTP server demands. The zero value takes mail from everybody and offers STARTTLS.
type SMTPOptions struct {
	// Username and Password, where set, must be given by AUTH PLAIN or LOGIN before a mail is taken.
	Username, Password string
	// RequireTLS takes no AUTH and no mail before STARTTLS.
	RequireTLS bool
	// NoTLS does not offer STARTTLS.
	NoTLS bool
}

// SMTP is a mail server (RFC 5321, with STARTTLS of RFC 3207 and AUTH of RFC 4954) that keeps what it is sent.
type SMTP struct {
	options  SMTPOptions
	listener net.Listener
	tls      *tls.Config
	rootPEM  []byte
	mails    *log[Mail]

	mu     sync.Mutex // Guards what follows.
	conns  map[net.Conn]struct{}
	closed bool
	reject []string
	active sync.WaitGroup
}

// NewSMTP starts a mail server with a self-signed certificate for localhost and 127.0.0.1.
func NewSMTP(o SMTPOptions) (*SMTP, error) {
	cert, rootPEM, err := selfSigned()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	s := &SMTP{
		options: o, listener: listener, rootPEM: rootPEM, mails: newLog[Mail](), conns: make(map[net.Conn]struct{}),
		tls: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
	}
	s.active.Add(1)
	go s.accept()
	return s, nil
}

// Addr is host:port, the host being 127.0.0.1.
func (s *SMTP) Addr() string { return s.listener.Addr().String() }

// RootPEM is the certificate that clients must trust, for a ca_file.
func (s *SMTP) RootPEM() []byte { return append([]byte(nil), s.rootPEM...) }

// Mails returns every mail that was taken so far.
func (s *SMTP) Mails() []Mail { return s.mails.all() }

// Wait returns all mails once there are at least n, or an error once ctx has ended.
func (s *SMTP) Wait(ctx context.Context, n int) ([]Mail, error) { return s.mails.wait(ctx, n) }

// Reject has the next mails refused at the end of their data, each with one of the replies, such as "451 try later".
func (s *SMTP) Reject(replies ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reject = append([]string(nil), replies...)
}

// verdict returns the reply to a mail's data.
func (s *SMTP) verdict() (reply string, taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.reject) == 0 {
		return "250 2.0.0 taken", true
	}
	reply, s.reject = s.reject[0], s.reject[1:]
	return reply, false
}

func (s *SMTP) accept() {
	defer s.active.Done()
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return // The listener is closed; nothing else ends it.
		}
		if !s.enter(conn) {
			_ = conn.Close()
			return
		}
		go func() {
			defer s.leave(conn)
			// Nobody waits longer than this for a client in a test, and a client that is gone must not keep Close.
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			newSMTPSession(s, conn).run()
		}()
	}
}

func (s *SMTP) enter(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[conn] = struct{}{}
	s.active.Add(1)
	return true
}

func (s *SMTP) leave(conn net.Conn) {
	_ = conn.Close()
	s.mu.Lock()
	delete(s.conns, conn)
	s.mu.Unlock()
	s.active.Done()
}

// Close ends the server, its connections and its goroutines.
func (s *SMTP) Close() error {
	s.mu.Lock()
	s.closed = true
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	err := s.listener.Close()
	s.active.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
