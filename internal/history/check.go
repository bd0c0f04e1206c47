package history

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/prometheus/tsdb"
)

// CheckDir opens the blocks in dir, an Options.Dir, without changing anything, and returns how many are good and what is
// wrong with the others, each error naming its block. It reads what a block says of itself, its index's table of contents
// and symbols, not its samples; nor the write-ahead log, which the database checks when it is opened. A Store may be open
// on dir. Its absence is an error.
func CheckDir(dir string) (good int, bad []error, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, nil, err
	}
	for _, e := range entries {
		if !e.IsDir() || !isBlock(e.Name()) {
			continue
		}
		block, err := tsdb.OpenBlock(slog.New(slog.DiscardHandler), filepath.Join(dir, e.Name()), nil, nil)
		if err == nil {
			err = block.Close()
		} else if _, gone := os.Stat(filepath.Join(dir, e.Name())); errors.Is(gone, fs.ErrNotExist) { // compacted meanwhile
			continue
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("block %s: %w", e.Name(), err))
			continue
		}
		good++
	}
	return good, bad, nil
}

// isBlock reports whether a directory's name is a block's: a ULID.
func isBlock(name string) bool {
	return len(name) == 26 && strings.Trim(name, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") == ""
}
