package jit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/jit/native"
)

func TestPerfMap(t *testing.T) {
	name := fmt.Sprintf(perfMapTemplate, os.Getpid())
	t.Cleanup(func() { os.Remove(name) })
	require.NoError(t, os.WriteFile(name, []byte("of an earlier process\n"), 0o600))
	m := here(t)
	arena, err := m.arena(DefaultMaxCodeBytes, true)
	if err != nil {
		t.Skipf("SKIPPED: no memory that profilers look at: %v", err)
	}
	require.NoError(t, arena.Close())
	var log logs
	l := openOn(t, Options{PerfMap: true, Logger: log.logger()}, m, watch())
	r := l.Open(nth(1), "rate(a[5m])\n  > 3")
	l.Open(nth(2), strings.Repeat("ä", 100))
	warm(t, l)
	info, err := os.Lstat(name)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	require.Len(t, lines, 2)
	fields := strings.SplitN(lines[0], " ", 3)
	c := r.(*runner).kernel.code.Load()
	address, err := strconv.ParseUint(fields[0], 16, 64)
	require.NoError(t, err)
	require.Equal(t, uint64(c.function.Address()), address)
	size, err := strconv.ParseUint(fields[1], 16, 64)
	require.NoError(t, err)
	require.Equal(t, uint64(c.function.Size()), size)
	require.Equal(t, "tocsin:"+r.ID()+":rate(a[5m]) > 3", fields[2])
	require.Contains(t, lines[1], strings.Repeat("ä", perfExpression/2)+"…")
	require.Equal(t, []string{""}, log.lines())
	require.NoError(t, l.Close())
	require.FileExists(t, name, "perf reports read it when the process has ended")
}

func TestMemoryThatProfilersDoNotLookAtWillDo(t *testing.T) {
	t.Cleanup(func() { os.Remove(fmt.Sprintf(perfMapTemplate, os.Getpid())) })
	m := here(t)
	m.arena = func(bytes int, profilers bool) (*native.Arena, error) {
		if profilers {
			return nil, errors.New("no second mapping")
		}
		return native.Open(bytes)
	}
	var log logs
	l := openOn(t, Options{PerfMap: true, Logger: log.logger()}, m, watch())
	for range 2 {
		r := l.Open(nth(1), "x")
		warm(t, l)
		require.Equal(t, 2, r.Tier())
		require.NoError(t, l.Apply(Options{Mode: Off}))
		require.NoError(t, l.Apply(Options{}))
	}
	require.Len(t, log.lines(), 1)
	require.Contains(t, log.lines()[0], "no second mapping")
}

func TestAPerfMapFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	victim, link := filepath.Join(dir, "victim"), filepath.Join(dir, "perf-1.map")
	require.NoError(t, os.WriteFile(victim, []byte("mine"), 0o600))
	require.NoError(t, os.Symlink(victim, link))
	_, err := openPerfMap(link)
	require.Error(t, err)
	require.NoError(t, os.Remove(link))
	require.NoError(t, os.Symlink(filepath.Join(dir, "not there"), link))
	_, err = openPerfMap(link)
	require.Error(t, err)
	require.NoError(t, os.Remove(link))
	require.NoError(t, os.Link(victim, link))
	f, err := openPerfMap(link)
	require.NoError(t, err)
	_, err = f.WriteString("x")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	text, err := os.ReadFile(victim)
	require.NoError(t, err)
	require.Equal(t, "mine", string(text))
}

func TestAPerfMapThatCannotBeWrittenIsToldOnce(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	var log logs
	m := &perfMap{file: full, log: log.logger()}
	for range 3 {
		m.add(1, 2, "k", "x")
	}
	require.Len(t, log.lines(), 1)
	require.Contains(t, log.lines()[0], "no space left")
}
