package cold

import (
	"log/slog"
	"strings"
	"sync"
)

// notes keeps lines of a log.
type notes struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(p)
}

// logger keeps what a logger is warned of, without the time.
func (n *notes) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(n, &slog.HandlerOptions{
		Level: slog.LevelWarn,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
				return slog.Attr{}
			}
			return a
		},
	}))
}

func (n *notes) lines() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	text := strings.TrimSpace(n.text.String())
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
