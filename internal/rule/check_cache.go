package rule

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tocsin/tocsin/internal/plan"
)

// CheckCache reads the last good versions in dir, a SetOptions.CacheDir, without changing anything, and returns how many
// are good still and what is wrong with the others, each error naming its file. A Set may be using dir. Its absence is
// an error.
func CheckCache(dir string, c *plan.Compiler) (good int, bad []error, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, nil, err
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), cacheSuffix) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if errors.Is(err, fs.ErrNotExist) { // not wanted any more
			continue
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", f.Name(), err))
			continue
		}
		v, ok := unpack(text)
		if !ok {
			v.content = text
		}
		if _, errs := ParseBoth(f.Name(), v.content, v.side, c); len(errs) > 0 {
			bad = append(bad, errs[0]) // it begins with the file
			continue
		}
		good++
	}
	return good, bad, nil
}
