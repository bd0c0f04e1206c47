package rule

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// cacheSuffix ends the names of cached versions, temporarySuffix of those that are being written.
const (
	cacheSuffix     = ".rules"
	temporarySuffix = ".tmp"
)

// cache keeps the last good version of each rule file across restarts: one file a rule file, named after its path, with
// its content byte for byte or, where there is a side file, with both (see pack). A nil cache keeps nothing.
type cache struct{ dir string }

func openCache(dir string) (*cache, error) {
	if dir == "" {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("rule file cache: %w", err)
	}
	return &cache{dir}, nil
}

func cacheName(path string) string {
	sum := sha256.Sum256([]byte(path))
	return hex.EncodeToString(sum[:16]) + cacheSuffix
}

// packed begins the kept version of a rule file with a side file. It is a comment to YAML.
const packed = "# tocsin: a rule file of %d bytes and its side file of %d\n"

// pack writes v as one text: a rule file without side file as it is, unless it looks like a packed one itself.
func pack(v version) []byte {
	side := len(v.side)
	if v.side == nil {
		if _, ok := unpack(v.content); !ok {
			return v.content
		}
		side = -1
	}
	out := fmt.Appendf(nil, packed, len(v.content), side)
	return append(append(out, v.content...), v.side...)
}

// unpack reads what pack wrote; it is false for a rule file as it is.
func unpack(text []byte) (version, bool) {
	head, rest, _ := bytes.Cut(text, []byte("\n"))
	var content, side int
	if n, err := fmt.Sscanf(string(head), strings.TrimSuffix(packed, "\n"), &content, &side); n != 2 || err != nil {
		return version{}, false
	}
	if content < 0 || side < -1 || len(rest) != content+max(side, 0) {
		return version{}, false
	}
	v := version{content: rest[:content:content]}
	if side >= 0 {
		v.side = rest[content:]
	}
	return v, true
}

// get returns the last good version of the rule file at path; it is false where there is none.
func (c *cache) get(path string) (v version, ok bool, err error) {
	if c == nil {
		return version{}, false, nil
	}
	text, err := os.ReadFile(filepath.Join(c.dir, cacheName(path)))
	if errors.Is(err, fs.ErrNotExist) {
		return version{}, false, nil
	}
	if err != nil {
		return version{}, false, err
	}
	if v, ok = unpack(text); !ok {
		v.content = text
	}
	return v, true, nil
}

// put replaces the kept version. After a crash it is the old or the new one, whole.
func (c *cache) put(path string, v version) error {
	if c == nil {
		return nil
	}
	f, err := os.CreateTemp(c.dir, "*"+temporarySuffix)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	if _, err = f.Write(pack(v)); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(c.dir, cacheName(path)))
	}
	if err != nil {
		return err
	}
	return syncDir(c.dir)
}

// keep drops the versions of all files but those in paths, and what a crash left half written.
func (c *cache) keep(paths []string) error {
	if c == nil {
		return nil
	}
	wanted := make(map[string]bool, len(paths))
	for _, p := range paths {
		wanted[cacheName(p)] = true
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		ours := strings.HasSuffix(e.Name(), cacheSuffix) || strings.HasSuffix(e.Name(), temporarySuffix)
		if ours && !wanted[e.Name()] && e.Type().IsRegular() {
			errs = append(errs, os.Remove(filepath.Join(c.dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return err
}
