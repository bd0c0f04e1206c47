//go:build linux && (amd64 || arm64)

package native

import (
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestCodeIsAlignedAndCounted(t *testing.T) {
	a := opened(t, 1<<20, Open)
	require.Zero(t, a.Used())
	require.Zero(t, a.Reserved(), "an arena without code holds no memory")
	used := 0
	seen := map[uintptr]bool{}
	for _, size := range []int{4, 64, 68, 128, 4096, 32} {
		f := add(t, a, padded(size))
		require.Zero(t, f.Address()%alignment)
		require.Equal(t, size, f.Size())
		require.False(t, seen[f.Address()])
		seen[f.Address()] = true
		used += roundUp(size, alignment)
		require.Equal(t, used, a.Used())
		f.Run(block(1, 1), sum(1), 0)
	}
	require.Equal(t, segmentSize, a.Reserved())
}

func TestFull(t *testing.T) {
	page := os.Getpagesize()
	for _, bound := range []int{page, segmentSize, segmentSize + page, 3*segmentSize - 1} {
		a := opened(t, bound, Open)
		room := roundUp(bound, page)
		var all []*Function
		for range room / 1024 {
			all = append(all, add(t, a, padded(1024)))
		}
		require.Equal(t, room, a.Used())
		require.Equal(t, room, a.Reserved())
		_, err := a.Add(padded(4))
		require.ErrorIs(t, err, ErrFull)
		for _, f := range all {
			f.Run(block(1, 1), sum(1), 0)
		}
		if a.stale {
			t.Skip("LOUD SKIP: this emulator goes on with old instructions, so memory is not used again at once")
		}
		all[len(all)/2].Free()
		again := add(t, a, padded(1024))
		again.Run(block(1, 1), sum(1), 0)
		_, err = a.Add(padded(4))
		require.ErrorIs(t, err, ErrFull)
	}
}

func TestCodeLargerThanASegment(t *testing.T) {
	a := opened(t, 8*segmentSize, Open)
	small := add(t, a, padded(64))
	large := add(t, a, padded(3*segmentSize+64))
	large.Run(block(1, 1), sum(1), 0)
	_, err := a.Add(padded(6 * segmentSize))
	require.ErrorIs(t, err, ErrFull)
	require.Equal(t, segmentSize+roundUp(3*segmentSize+64, os.Getpagesize()), a.Reserved())
	large.Free()
	require.Equal(t, segmentSize, a.Reserved())
	small.Run(block(1, 1), sum(1), 0)
}

func TestFreedMemoryIsUsedAgainAndGivenBack(t *testing.T) {
	a := opened(t, 16*segmentSize, Open)
	if a.stale {
		t.Skip("LOUD SKIP: this emulator goes on with old instructions, so memory is not used again at once")
	}
	r := random(t)
	var live []*Function
	for range 20_000 {
		if n := len(live); n > 0 && (r.IntN(2) == 0 || n > 1000) {
			i := r.IntN(n)
			live[i].Free()
			require.Zero(t, live[i].Address())
			live[i], live = live[n-1], live[:n-1]
			continue
		}
		live = append(live, add(t, a, padded(4+4*r.IntN(500))))
	}
	require.LessOrEqual(t, a.Reserved(), 16*segmentSize)
	used := 0
	for _, f := range live {
		f.Run(block(1, 1), sum(1), 0)
		used += f.room()
	}
	require.Equal(t, used, a.Used())
	for _, f := range live {
		f.Free()
	}
	require.Zero(t, a.Used())
	require.Zero(t, a.Reserved())
	require.Empty(t, codeMappings(t))
}

// TestStaleMemoryGoesBackFirst stands in for emulators that go on with old instructions.
func TestStaleMemoryGoesBackFirst(t *testing.T) {
	a := opened(t, segmentSize, Open)
	a.stale = true
	var all []*Function
	seen := map[uintptr]bool{}
	for range 100 {
		f := add(t, a, addParam())
		require.False(t, seen[f.Address()], "no address is used twice")
		seen[f.Address()] = true
		if all = append(all, f); len(all) > 1 {
			all[0].Free()
			all = all[1:]
		}
	}
	require.Equal(t, all[0].room(), a.Used())
	all[0].Free()
	require.Zero(t, a.Reserved(), "what is empty goes back")
	f := add(t, a, addParam())
	b := block(1, 1)
	f.Run(b, sum(1), 0)
	requireSum(t, b)
}

func TestFreedCodeTraps(t *testing.T) {
	a := opened(t, 1<<20, Open)
	keep, gone := add(t, a, padded(64)), add(t, a, padded(64))
	s, at := gone.segment, gone.at
	gone.Free()
	want := make([]byte, 64)
	fillTraps(want)
	require.Equal(t, want, s.executable[at:at+64])
	require.Equal(t, padded(64), s.executable[keep.at:keep.at+64])
}

func TestNothingIsLeft(t *testing.T) {
	before := descriptors(t)
	for _, how := range openers(t) {
		a := opened(t, 4*segmentSize, how)
		for range 3 {
			add(t, a, padded(segmentSize))
		}
		require.Len(t, codeMappings(t), 6)
		require.Equal(t, before, descriptors(t), "the mappings keep the memory, no file does")
		require.NoError(t, a.Close())
		require.NoError(t, a.Close(), "to close again does nothing")
		require.Empty(t, codeMappings(t))
		require.Zero(t, a.Used())
		require.Zero(t, a.Reserved())
	}
}

func descriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}

func TestNoAddressIsWritableAndExecutable(t *testing.T) {
	for name, how := range openers(t) {
		t.Run(name, func(t *testing.T) {
			a := opened(t, 1<<20, how)
			f := add(t, a, padded(64))
			maps := codeMappings(t)
			require.Len(t, maps, 2)
			kinds := strings.Fields(maps[0])[1] + " " + strings.Fields(maps[1])[1]
			require.Contains(t, []string{"rw-s r-xs", "r-xs rw-s"}, kinds)
			f.Free()
		})
	}
}

func TestTheExecutableViewCannotBecomeWritable(t *testing.T) {
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	require.NoError(t, err)
	defer unix.Close(fd)
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_FUTURE_WRITE); err != nil {
		t.Skipf("LOUD SKIP: this kernel does not know F_SEAL_FUTURE_WRITE: %v", err)
	}
	f := add(t, opened(t, 1<<20, Open), padded(64))
	require.ErrorIs(t, unix.Mprotect(f.segment.executable, unix.PROT_READ|unix.PROT_WRITE), unix.EACCES)
}

func TestProfilersSeeAnonymousMemory(t *testing.T) {
	how, ok := openers(t)["for profilers"]
	if !ok {
		t.Skip("LOUD SKIP: see above")
	}
	a := opened(t, 1<<20, how)
	add(t, a, padded(64))
	for _, line := range codeMappings(t) {
		require.Contains(t, line, " /dev/zero", "perf reads symbols of JITs for such names only")
	}
}

func TestMistakesPanic(t *testing.T) {
	a := opened(t, 1<<20, Open)
	f, other := add(t, a, padded(64)), add(t, a, padded(64))
	p, b := sum(1), block(1, 1)
	f.Free()
	require.PanicsWithValue(t, "BUG: a run of machine code that was freed", func() { f.Run(b, p, 0) })
	require.PanicsWithValue(t, "BUG: machine code was freed twice", f.Free)
	require.PanicsWithValue(t, "BUG: machine code without an instruction", func() { _, _ = a.Add(nil) })
	b.OK = nil
	require.PanicsWithValue(t, "BUG: a run without all its columns", func() { other.Run(b, p, 0) })
	b.Words = 1025
	require.PanicsWithValue(t, "BUG: a run of more lanes than allowed", func() { other.Run(b, p, 0) })
	require.NoError(t, a.Close())
	require.PanicsWithValue(t, "BUG: a run of machine code that was freed", func() { other.Run(block(1, 1), p, 0) })
	require.PanicsWithValue(t, "BUG: machine code for code memory that was closed", func() { _, _ = a.Add(padded(4)) })
	other.Free() // Owners may close in any order.
}

func TestBoundMustBeAboveZero(t *testing.T) {
	for _, bytes := range []int{0, -1} {
		_, err := Open(bytes)
		require.ErrorContains(t, err, "must be above zero")
	}
}

// TestConcurrentAddAndFree has goroutines that add, run and free at the same time, so that memory of one is used again by
// another at once.
func TestConcurrentAddAndFree(t *testing.T) {
	a := opened(t, 2*segmentSize, Open)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			b, p := block(1, 1), sum(1)
			for i := range 500 {
				b.Params[0] = float64(g)
				code := addParam()
				if (g+i)%2 == 0 {
					code = dumpArguments()
				}
				f, err := a.Add(code)
				if err != nil {
					t.Error(err)
					return
				}
				f.Run(b, p, 0)
				want := float64(g)
				if (g+i)%2 != 0 && b.V[0] != want {
					t.Errorf("lane 0 is %v rather than %v", b.V[0], want)
				}
				f.Free()
			}
		})
	}
	wg.Wait()
	require.Zero(t, a.Used())
}
