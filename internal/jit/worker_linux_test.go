package jit

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// niceThreads returns, by thread of this process with the given nice value, the processors that it may run on.
func niceThreads(t *testing.T, nice int) map[int]string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/self/task/*")
	require.NoError(t, err)
	found := map[int]string{}
	for _, dir := range dirs {
		id, err := strconv.Atoi(filepath.Base(dir))
		require.NoError(t, err)
		const zero = 20 // getpriority returns 20 less the nice value, so as not to return what looks like an error
		status, err := os.ReadFile(filepath.Join(dir, "status"))
		priority, failure := unix.Getpriority(unix.PRIO_PROCESS, id)
		if err != nil || failure != nil || zero-priority != nice {
			continue // that thread has ended, or is another
		}
		for line := range strings.Lines(string(status)) {
			if cpus, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
				found[id] = strings.TrimSpace(cpus)
			}
		}
	}
	return found
}

// allowed returns a processor that this process may run on.
func allowed(t *testing.T) int {
	var set unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &set))
	for cpu := range 1024 {
		if set.IsSet(cpu) {
			return cpu
		}
	}
	t.Fatal("no processor")
	return 0
}

func TestTheWorkersThreadIsSettled(t *testing.T) {
	cpu := allowed(t)
	all := niceThreads(t, 0)[os.Getpid()]
	var log logs
	l := open(t, Options{CompileCPUs: []int{cpu}, CompileNice: 7, Logger: log.logger()})
	r := l.Open(nth(1), "x")
	warm(t, l)
	require.Equal(t, 2, r.Tier())
	threads := niceThreads(t, 7)
	require.Len(t, threads, 1)
	for id, cpus := range threads {
		require.Equal(t, fmt.Sprint(cpu), cpus)
		require.NotEqual(t, os.Getpid(), id, "the first thread's settings look like the process's")
	}
	require.Positive(t, l.Stats().CompileTime)

	require.NoError(t, l.Apply(Options{CompileNice: 9}))
	l.Open(nth(2), "x")
	warm(t, l)
	gone := func(nice int) func() bool { return func() bool { return len(niceThreads(t, nice)) == 0 } }
	require.Eventually(t, gone(7), 5*time.Second, time.Millisecond, "the old thread has ended")
	threads = niceThreads(t, 9)
	require.Len(t, threads, 1)
	for _, cpus := range threads {
		require.Equal(t, all, cpus)
	}
	require.NoError(t, l.Apply(Options{}))
	l.Open(nth(3), "x")
	warm(t, l)
	require.Eventually(t, gone(9), 5*time.Second, time.Millisecond)
	for id, cpus := range niceThreads(t, 0) {
		require.Equal(t, all, cpus, "thread %d", id)
	}
	require.Equal(t, []string{""}, log.lines())
}

func TestAThreadThatCannotBeSettledCompilesAllTheSame(t *testing.T) {
	var log logs
	l := open(t, Options{CompileCPUs: []int{1023}, Logger: log.logger()})
	for i := range 5 {
		r := l.Open(nth(i), "x")
		warm(t, l)
		require.Equal(t, 2, r.Tier())
	}
	require.Len(t, log.lines(), 1)
	require.Contains(t, log.lines()[0], "binding the thread to processors [1023]")
}

// TestApartIsNeverOnTheFirstThread asks from the first thread, which would take over what it starts.
func TestApartIsNeverOnTheFirstThread(t *testing.T) {
	asked := 0
	for deadline := time.Now().Add(2 * time.Second); asked < 5 && time.Now().Before(deadline); {
		done := make(chan bool)
		go func() {
			defer close(done)
			if onFirstThread() {
				asked++
				apart(func() { done <- onFirstThread() })
			}
		}()
		require.False(t, <-done)
		<-done
	}
	t.Logf("asked %d times", asked)
}
