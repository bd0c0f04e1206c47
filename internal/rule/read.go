package rule

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// errVanished says that a file is no longer there, which for a pattern is no fault.
var errVanished = errors.New("the file is gone")

// readFile reads a rule file. What is no file at all is refused. A link that leads nowhere is a broken
// file, not one that vanished. Pipes, which block until somebody writes, are read only where pipes is true.
func readFile(path string, pipes bool) ([]byte, error) {
	fi, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, linkErr := os.Lstat(path); linkErr != nil {
			return nil, errVanished
		}
		return nil, &Error{File: path, Err: errors.New("is a link that leads nowhere")}
	case err != nil:
		return nil, &Error{File: path, Err: reasonOf(err)}
	case fi.IsDir():
		return nil, &Error{File: path, Err: errors.New("is a directory; name rule files, or a pattern such as " + filepath.Join(path, "*.yml"))}
	case fi.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0 && !pipes:
		return nil, &Error{File: path, Err: errors.New("is a pipe or socket, not a file")}
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errVanished
	}
	if err != nil {
		return nil, &Error{File: path, Err: reasonOf(err)}
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, &Error{File: path, Err: reasonOf(err)}
	}
	return content, nil
}

// reasonOf leaves out the path, which the message names already.
func reasonOf(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", e.Op, e.Err)
	}
	return err
}

// hasMeta reports whether filepath.Match gives a character of path a meaning.
func hasMeta(path string) bool { return strings.ContainsAny(path, `*?[\`) }

// expand returns the files that patterns name, each once, in the order of the patterns, as Prometheus expands them: a
// pattern that matches nothing is no fault. missing are literal paths without a file; errs say which patterns are none.
func expand(patterns []string) (files, missing []string, errs []error) {
	seen := map[string]bool{}
	for _, pattern := range patterns {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			errs = append(errs, fmt.Errorf("rule files %q: %w", pattern, err))
			continue
		}
		if len(matches) == 0 && !hasMeta(pattern) {
			// Glob takes a directory that may not be searched for one without files.
			if _, err := os.Lstat(pattern); errors.Is(err, fs.ErrNotExist) {
				missing = append(missing, pattern)
				continue
			}
			matches = []string{pattern}
		}
		for _, m := range matches {
			if !seen[m] {
				seen[m] = true
				files = append(files, m)
			}
		}
	}
	return files, missing, errs
}
