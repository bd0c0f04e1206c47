package push

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// CheckDir reads the groups in dir, an Options.Dir, without changing anything, and returns how many are good and what is
// wrong with the others, each error naming its file. A gateway may be working in dir. Its absence is an error.
func CheckDir(dir string) (good int, bad []error, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, nil, err
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), fileSuffix) {
			continue
		}
		_, err := readGroup(filepath.Join(dir, f.Name()))
		switch {
		case errors.Is(err, fs.ErrNotExist): // forgotten meanwhile
		case err != nil:
			bad = append(bad, fmt.Errorf("%s: %w", f.Name(), err))
		default:
			good++
		}
	}
	return good, bad, nil
}
