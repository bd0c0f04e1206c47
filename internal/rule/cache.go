package rule

import (
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
// its content byte for byte. A nil cache keeps nothing.
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

// get returns the last good content of the rule file at path, nil where there is none.
func (c *cache) get(path string) ([]byte, error) {
	if c == nil {
		return nil, nil
	}
	content, err := os.ReadFile(filepath.Join(c.dir, cacheName(path)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}

// put replaces the kept content. After a crash it is the old or the new one, whole.
func (c *cache) put(path string, content []byte) error {
	if c == nil {
		return nil
	}
	f, err := os.CreateTemp(c.dir, "*"+temporarySuffix)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	if _, err = f.Write(content); err == nil {
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
