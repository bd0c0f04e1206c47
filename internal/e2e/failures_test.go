package e2e_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fails runs `tocsin run` and expects one clear line and exit code 1.
func fails(t *testing.T, dir string, args []string, want ...string) {
	t.Helper()
	s := launch(t, dir, args...)
	s.ended(1)
	var said []string
	for _, l := range lines(s.log.String()) {
		if strings.HasPrefix(l, "tocsin: ") {
			said = append(said, l)
		}
	}
	require.Len(t, said, 1, "one clear line, got:\n%s", s.log)
	for _, w := range want {
		require.Contains(t, said[0], w)
	}
}

func TestStartFailures(t *testing.T) {
	t.Parallel()
	t.Run("port in use", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		fails(t, t.TempDir(), []string{"--listen", l.Addr().String()}, l.Addr().String(), "another process has this port")
	})
	t.Run("data directory in use", func(t *testing.T) {
		dir := t.TempDir()
		s := start(t, dir)
		fails(t, dir, nil, "tocsin-data", "in use by another process")
		s.stop()
	})
	t.Run("exposed without authentication", func(t *testing.T) {
		fails(t, t.TempDir(), []string{"--listen", "0.0.0.0:0"}, "0.0.0.0", "web.config_file")
	})
	t.Run("no configuration file", func(t *testing.T) {
		fails(t, t.TempDir(), []string{"--config", "missing.yml"}, "missing.yml", "no such file")
	})
	t.Run("unknown field", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, "p.yml", "global:\n  scrape_intervall: 5s\n")
		fails(t, dir, []string{"--config", "p.yml"}, "p.yml:2:3", "scrape_intervall")
	})
	t.Run("unreadable data directory", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, "file", "")
		fails(t, dir, []string{"--data", filepath.Join(dir, "file", "data")}, "data directory")
	})
	t.Run("disk full", func(t *testing.T) {
		dir := t.TempDir()
		full := filepath.Join(dir, "full")
		require.NoError(t, os.Mkdir(full, 0o700))
		if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", full).CombinedOutput(); err != nil {
			t.Skipf("LOUD SKIP: a full disk needs a small tmpfs, which this user may not mount: %v %s", err, out)
		}
		defer exec.Command("umount", full).Run()
		_ = os.WriteFile(filepath.Join(full, "ballast"), make([]byte, 128<<10), 0o600) // as much as fits
		fails(t, dir, []string{"--data", filepath.Join(full, "data")}, "data", "full")
	})
}
