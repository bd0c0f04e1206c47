//go:build linux && (amd64 || arm64)

package native

import "unsafe"

// segment is a run of pages at two addresses: one to write, one to execute.
type segment struct {
	views
	free      freeList
	functions int // that stand there
	// fresh is from where on no code ever stood.
	fresh int
}

// newSegment maps so many bytes, a multiple of the page size, full of instructions that trap.
func newSegment(size int, make viewMaker) (*segment, error) {
	v, err := make(size)
	if err != nil {
		return nil, err
	}
	s := &segment{views: v, free: newFreeList(size)}
	s.erase(0, size)
	return s, nil
}

func (s *segment) size() int { return len(s.writable) }

// address returns where the byte at the given place is executed.
func (s *segment) address(at int) uintptr {
	return uintptr(unsafe.Pointer(unsafe.SliceData(s.executable))) + uintptr(at)
}

// write puts code in place, and reports whether other code stood there before.
func (s *segment) write(at int, code []byte) (reused bool) {
	copy(s.writable[at:], code)
	makeCoherent(s.writable[at:at+len(code)], s.executable[at:at+len(code)])
	reused = at < s.fresh
	s.fresh = max(s.fresh, at+len(code))
	return reused
}

// erase fills a place with instructions that trap: what jumps there by mistake does not run on.
func (s *segment) erase(at, size int) { fillTraps(s.writable[at : at+size]) }
