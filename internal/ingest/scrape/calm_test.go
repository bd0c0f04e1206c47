package scrape

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/history"
)

func TestCalm(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	c := newCalm(slog.NewTextHandler(&out, nil), func() time.Time { return now })
	log := slog.New(c)
	lines := func() int {
		n := strings.Count(out.String(), "\n")
		out.Reset()
		return n
	}
	for range 3 {
		log.Info("same")
		log.Error("same", "err", errors.New("x"))
		log.Error("same", "err", errors.New("y"))
		log.With("target", "a").Error("same", "err", errors.New("x"))
		log.With("target", "b").Error("same", "err", errors.New("x"))
		log.WithGroup("g").Error("same", "err", errors.New("x"))
		log.Warn("same", "err", errors.New("x"))
		now = now.Add(calmFor / 4)
	}
	require.Equal(t, 3+6, lines(), "information passes, each warning and error once")

	now = now.Add(calmFor / 4)
	log.Error("same", "err", errors.New("x"))
	require.Contains(t, out.String(), "repeated=2")
	require.Equal(t, 1, lines())

	for i := range 5 * maxCalmed {
		log.Error("many", "i", i)
	}
	require.Equal(t, 5*maxCalmed, lines())
	require.LessOrEqual(t, len(c.lines.seen), maxCalmed)
}

// TestLogBesideABrokenTargetFile has the log stand in the directory that file discovery watches: each line written there
// makes it read its files again.
func TestLogBesideABrokenTargetFile(t *testing.T) {
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "tocsin.log"))
	require.NoError(t, err)
	defer log.Close()
	write := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	write("broken.json", "{")
	write("good.json", "[]")
	store, err := history.Open(history.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	defer store.Close()
	s, err := New(Options{Appendable: store, Logger: slog.New(slog.NewTextHandler(log, nil)), ReloadInterval: 10 * time.Millisecond})
	require.NoError(t, err)
	require.NoError(t, s.Apply(load(t, "scrape_configs: [{job_name: j, file_sd_configs: [{files: [%q]}]}]", filepath.Join(dir, "*.json"))))
	require.NoError(t, s.Start())
	// A target that appears shows that the directory is watched, and its files were read once more.
	require.Eventually(t, func() bool {
		write("good.json", `[{"targets": ["127.0.0.1:1"]}]`)
		return len(s.Manager().TargetsAll()["j"]) > 0
	}, 30*time.Second, 10*time.Millisecond)
	s.Stop()
	got, err := os.ReadFile(log.Name())
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(got), "broken.json"))
}
