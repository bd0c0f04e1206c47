package notify

import (
	"errors"
	"fmt"
	"time"
)

// Defaults of Settings.
const (
	DefaultDeadLetterAfter = 24 * time.Hour
	DefaultMinBackoff      = 500 * time.Millisecond
	DefaultMaxBackoff      = time.Minute
	DefaultMaxWaiting      = 10_000
)

// Settings say how messages are delivered that a receiver does not take at once. They follow a reload. They matter only
// with Options.Ledger: without it there is no outbox.
type Settings struct {
	// DeadLetterAfter is how long a message is tried before it becomes a dead letter. Zero means DefaultDeadLetterAfter.
	DeadLetterAfter time.Duration
	// FallbackReceiver is the receiver that is sent, once, what another does not take. Empty means none.
	FallbackReceiver string
	// FallbackAfter is how long a message waits before it is sent there. Zero means when it becomes a dead letter.
	FallbackAfter time.Duration
	// MinBackoff and MaxBackoff bound the time between two attempts. Zero means DefaultMinBackoff and DefaultMaxBackoff.
	MinBackoff, MaxBackoff time.Duration
	// MaxWaiting bounds the messages that wait. What comes beyond stays with Alertmanager's pipeline, which tries it at
	// each flush. Zero means DefaultMaxWaiting.
	MaxWaiting int
}

// Validate reports the first thing in s that cannot work.
func (s Settings) Validate() error {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"DeadLetterAfter", s.DeadLetterAfter}, {"FallbackAfter", s.FallbackAfter},
		{"MinBackoff", s.MinBackoff}, {"MaxBackoff", s.MaxBackoff},
	} {
		if d.value < 0 {
			return fmt.Errorf("notify: setting %s is %s: it must not be negative", d.name, d.value)
		}
	}
	if s.MaxWaiting < 0 {
		return errors.New("notify: setting MaxWaiting is negative: leave it 0 for the default")
	}
	if d := s.withDefaults(); d.MinBackoff > d.MaxBackoff {
		return fmt.Errorf("notify: setting MinBackoff (%s) is longer than MaxBackoff (%s)", d.MinBackoff, d.MaxBackoff)
	}
	return nil
}

func (s Settings) withDefaults() Settings {
	orDuration(&s.DeadLetterAfter, DefaultDeadLetterAfter)
	orDuration(&s.MinBackoff, DefaultMinBackoff)
	orDuration(&s.MaxBackoff, DefaultMaxBackoff)
	if s.MaxWaiting == 0 {
		s.MaxWaiting = DefaultMaxWaiting
	}
	return s
}
