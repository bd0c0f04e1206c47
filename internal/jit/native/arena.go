//go:build linux && (amd64 || arm64)

package native

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
)

// alignment is where code begins: a cache line, and what jump targets want. Code occupies whole multiples of it.
const alignment = 64

// segmentSize is the least by which code memory grows and shrinks, in bytes.
const segmentSize = 256 << 10

// Arena is memory for machine code. It is taken from the system in segments as code comes, up to a bound, and a segment
// whose code was all freed is given back. Its methods are safe for concurrent use.
type Arena struct {
	bound    int // bytes
	pageSize int
	views    viewMaker
	closed   atomic.Bool

	// stale says that what runs here may go on with instructions that were overwritten, as emulators do that translate ahead
	// and miss what is written at another address. Memory is not used again then before it went back to the system.
	stale bool

	mu       sync.Mutex
	segments []*segment
	mapped   int // bytes of all segments
	used     int // bytes of all code, rounded up to the alignment
	fence    fence
}

// Open returns an arena that holds at most so many bytes, rounded up to pages. It writes small functions and runs them, so
// that an arena which was opened works. The error says which step the system refused, and what to do. An arena without code
// holds no memory.
func Open(bytes int) (*Arena, error) { return open(bytes, sealedViews) }

// OpenForProfilers is Open with memory that looks anonymous to Linux perf. It reads a map of symbols (/tmp/perf-PID.map)
// for such memory only, not for what Open takes. In exchange the system does not hold that an executable address is never
// made writable; the arena still never does it.
func OpenForProfilers(bytes int) (*Arena, error) { return open(bytes, anonymousViews) }

func open(bytes int, views viewMaker) (*Arena, error) {
	if bytes <= 0 {
		return nil, fmt.Errorf("code memory of %d bytes: the bound must be above zero", bytes)
	}
	page := os.Getpagesize()
	a := &Arena{bound: roundUp(bytes, page), pageSize: page, views: views}
	if err := a.try(); err != nil {
		return nil, err
	}
	return a, nil
}

// try runs a function, and then another one at the same address, and notes what it finds.
func (a *Arena) try() error {
	s, err := newSegment(a.pageSize, a.views)
	if err != nil {
		return err
	}
	var got [2]uint64
	for i := range got {
		s.write(0, storeNumber(1+i))
		// This thread alone runs it, and sees what it wrote itself: nothing is reused in the eyes of others.
		if err = a.fence.pass(false); err != nil {
			break
		}
		call(s.address(0), &got[i])
	}
	if err := errors.Join(err, s.unmap()); err != nil {
		return err
	}
	if got[0] != 1 {
		return fmt.Errorf("code memory: a function that returns 1 returned %d: machine code does not work here; set "+
			`"jit: off"`, got[0])
	}
	a.stale = got[1] != 2
	return nil
}

// Add copies code to where it can run. It returns ErrFull where the bound leaves no room, and another error where the
// system refuses memory.
func (a *Arena) Add(code []byte) (*Function, error) {
	if len(code) == 0 {
		panic("BUG: machine code without an instruction")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed.Load() {
		panic("BUG: machine code for code memory that was closed")
	}
	s, at, err := a.take(roundUp(len(code), alignment))
	if err != nil {
		return nil, err
	}
	f := &Function{arena: a, segment: s, at: at, size: len(code)}
	a.used += f.room()
	s.functions++
	if err := a.fence.pass(s.write(at, code)); err != nil {
		a.giveBack(f)
		return nil, err
	}
	f.entry.Store(s.address(at))
	return f, nil
}

// take occupies so many bytes of a segment, a new one if need be.
func (a *Arena) take(room int) (*segment, int, error) {
	for _, s := range a.segments {
		if at, ok := s.free.take(room); ok {
			return s, at, nil
		}
	}
	size := roundUp(max(room, segmentSize), a.pageSize)
	if left := a.bound - a.mapped; size > left {
		if size = left; size < room {
			return nil, 0, ErrFull
		}
	}
	s, err := newSegment(size, a.views)
	if err != nil {
		return nil, 0, err
	}
	a.segments = append(a.segments, s)
	a.mapped += size
	at, _ := s.free.take(room)
	return s, at, nil
}

// release gives back what f occupies, where the arena was not closed meanwhile.
func (a *Arena) release(f *Function) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed.Load() {
		a.giveBack(f)
	}
}

// giveBack takes back what f occupies, and gives its segment back to the system where nothing else stands there.
func (a *Arena) giveBack(f *Function) {
	s := f.segment
	a.used -= f.room()
	s.functions--
	s.erase(f.at, f.room())
	if !a.stale {
		s.free.put(f.at, f.room())
	}
	if s.functions > 0 {
		return
	}
	at := slices.Index(a.segments, s)
	a.segments = slices.Delete(a.segments, at, at+1)
	a.mapped -= s.size()
	if err := s.unmap(); err != nil {
		panic("BUG: " + err.Error())
	}
}

// Used returns how many bytes code occupies: each function's size rounded up to 64.
func (a *Arena) Used() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.used
}

// Reserved returns how many bytes the arena holds of the system at present, used or not.
func (a *Arena) Reserved() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mapped
}

// Close gives all memory back. No function of the arena may be running; to run one afterwards panics. To close again does
// nothing.
func (a *Arena) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed.Store(true)
	var first error
	for _, s := range a.segments {
		if err := s.unmap(); first == nil {
			first = err
		}
	}
	a.segments, a.mapped, a.used = nil, 0, 0
	return first
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }
