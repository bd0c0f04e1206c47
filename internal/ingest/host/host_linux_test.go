package host

import (
	"bytes"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCollectorThatCannotRunIsLeftOut(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	try := func(name string) error {
		if name == "bad" {
			return errors.New("no such device")
		}
		return nil
	}
	good, err := runnable([]string{"a", "bad", "b"}, try, logger)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, good)
	require.Contains(t, log.String(), "collector=bad")
	require.Contains(t, log.String(), "no such device")
	_, err = runnable([]string{"bad"}, try, logger)
	require.ErrorContains(t, err, "no collector can run here")
}

// TestComplaintsAreQuiet keeps what a collector says at every gathering out of a log at its usual level.
func TestComplaintsAreQuiet(t *testing.T) {
	for level, want := range map[slog.Level]bool{slog.LevelInfo: false, slog.LevelDebug: true} {
		var log bytes.Buffer
		quieted := slog.New(quiet{slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level})}).With("a", 1).WithGroup("g")
		quieted.Error("collector failed")
		require.Equal(t, want, bytes.Contains(log.Bytes(), []byte("level=DEBUG")), "%s: %s", level, log.String())
		require.NotContains(t, log.String(), "level=ERROR")
	}
}

// TestGatherersTogether makes and uses gatherers at once, as several servers in one process would.
func TestGatherersTogether(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			g, err := NewGatherer(Options{})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := g.Gather(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestGatheringWaitsForTheOneBefore(t *testing.T) {
	g, err := NewGatherer(Options{Collectors: []string{"loadavg"}})
	require.NoError(t, err)
	<-turn
	done := make(chan error, 1)
	go func() { _, err := g.Gather(); done <- err }()
	select {
	case <-done:
		t.Fatal("two gatherings at once")
	case <-time.After(50 * time.Millisecond):
	}
	turn <- struct{}{}
	require.NoError(t, <-done)
}
