package history

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// ErrLocked says that another process has the data directory open.
var ErrLocked = errors.New("data directory is locked")

// ErrClosed says that the store is closing or closed.
var ErrClosed = errors.New("history is closed")

// failure is an error whose text fits one line, whatever it wraps.
type failure struct {
	text string
	errs []error
}

func (f *failure) Error() string   { return f.text }
func (f *failure) Unwrap() []error { return f.errs }

// explain turns what the operating system said while we tried to do something in dir into one line for the operator.
func explain(doing, dir string, err error) error {
	why := oneLine(err)
	switch {
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		why = "the disk is full; free some space or move the data directory"
	case errors.Is(err, syscall.EROFS):
		why = "the file system is read-only; mount it writable or choose another directory"
	case errors.Is(err, fs.ErrPermission):
		why = "permission denied; check its owner and mode (" + why + ")"
	case errors.Is(err, fs.ErrNotExist):
		why = "the directory is gone; put it back, or restart tocsin, which begins with a new one (" + why + ")"
	case errors.Is(err, syscall.ENOTDIR):
		why = "it, or a part of its path, is a file and not a directory"
	}
	return &failure{text: fmt.Sprintf("cannot %s %q: %s", doing, dir, why), errs: []error{err}}
}

// isDiskTrouble reports whether the disk is what failed, rather than what was to be written.
func isDiskTrouble(err error) bool {
	var errno syscall.Errno // What the operating system says; nothing that is wrong with samples is one.
	var refused *refusal
	return errors.As(err, &errno) || errors.As(err, &refused)
}

// isPathError tells a file that could not be opened from a lock that could not be had.
func isPathError(err error) bool {
	var pe *fs.PathError
	return errors.As(err, &pe)
}

// oneLine joins the lines of err's text, as errors.Join makes them.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
