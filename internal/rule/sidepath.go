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

// sideMark stands in a side file's name: rules.tocsin.yml lies beside rules.yml.
const sideMark = ".tocsin"

// SidePath returns the path of the side file of the rule file at path, whether or not there is one: NAME.tocsin.yml beside
// NAME.yml, NAME.tocsin.yaml beside NAME.yaml, and otherwise the file's whole name with .tocsin.yml behind it.
func SidePath(path string) string {
	switch ext := filepath.Ext(path); ext {
	case ".yml", ".yaml":
		return strings.TrimSuffix(path, ext) + sideMark + ext
	}
	return path + sideMark + ".yml"
}

// besides returns the paths of the rule files that a file at path may be the side file of; none where its name says that
// it is no side file.
func besides(path string) []string {
	ext := filepath.Ext(path)
	stem, ok := strings.CutSuffix(strings.TrimSuffix(path, ext), sideMark)
	switch {
	case !ok || strings.HasPrefix(filepath.Base(path), sideMark):
	case ext == ".yaml":
		return []string{stem + ext}
	case ext == ".yml":
		return []string{stem + ext, stem}
	}
	return nil
}

// ruleFileOf returns the rule file that the file at path is the side file of; it is false where there is none, and path
// then is a rule file like any other.
func ruleFileOf(path string) (string, bool) {
	for _, base := range besides(path) {
		if fi, err := os.Stat(base); err == nil && !fi.IsDir() {
			return base, true
		}
	}
	return "", false
}

// IsSideFile reports whether the file at path is the side file of a rule file beside it, rather than a rule file.
func IsSideFile(path string) bool {
	_, ok := ruleFileOf(path)
	return ok
}

// ReadSide returns the content of the side file of the rule file at path, nil where there is none.
func ReadSide(path string) ([]byte, error) {
	v, err := readVersion(path, true)
	return v.side, err
}

// version is what a rule file says at some time, with its side file.
type version struct {
	content []byte
	// side is the side file's content, nil where there is none.
	side []byte
}

func (v version) hash() string {
	if v.side == nil {
		return contentHash(v.content)
	}
	return contentHash(fmt.Appendf(nil, "%d\n%s%s", len(v.content), v.content, v.side))
}

// readVersion reads a rule file and its side file.
func readVersion(path string, pipes bool) (version, error) {
	content, err := readFile(path, pipes)
	if err != nil {
		return version{}, err
	}
	v := version{content: content}
	if wrong := misnamed(path); wrong != "" {
		return version{}, &Error{File: wrong, Err: fmt.Errorf("the side file of %s is %s; rename this one", path, SidePath(path))}
	}
	if base, ok := ruleFileOf(SidePath(path)); ok && base != path {
		return v, nil // That one's, then.
	}
	side, err := readFile(SidePath(path), false)
	switch {
	case errors.Is(err, errVanished):
	case err != nil:
		return version{}, err
	case side == nil:
		v.side = []byte{}
	default:
		v.side = side
	}
	return v, nil
}

// misnamed returns the path of a file that is meant to be the side file of the one at path, and has the other of the two
// extensions; empty where there is none.
func misnamed(path string) string {
	ext := filepath.Ext(path)
	other := map[string]string{".yml": ".yaml", ".yaml": ".yml"}[ext]
	if other == "" {
		return ""
	}
	wrong := strings.TrimSuffix(path, ext) + sideMark + other
	if _, err := os.Lstat(wrong); err != nil {
		return ""
	}
	if _, ok := ruleFileOf(wrong); ok {
		return ""
	}
	return wrong
}

// ParseFile reads the rule file at path, and the side file beside it where there is one. Errors are as Parse's, each with
// the name of the file that it is about.
func ParseFile(path string, c *plan.Compiler) (*File, []error) {
	v, err := readVersion(path, true)
	if errors.Is(err, errVanished) {
		err = &Error{File: path, Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, []error{err}
	}
	return ParseBoth(path, v.content, v.side, c)
}

// ParseBoth is Parse for a rule file with its side file, which is SidePath(path); a nil side means that there is none.
func ParseBoth(path string, content, side []byte, c *plan.Compiler) (*File, []error) {
	dialect, f, errs := parseVersion(path, version{content, side}, c)
	if len(errs) > 0 {
		return nil, errs
	}
	f.Dialect = dialect
	return f, nil
}

// parseVersion is parse with a side file.
func parseVersion(path string, v version, c *plan.Compiler) (Dialect, *File, []error) {
	dialect, f, errs := parse(path, v.content, c)
	if v.side == nil {
		return dialect, f, withHint(path, errs)
	}
	f.Side, f.Hash = SidePath(path), v.hash()
	if len(errs) > 0 {
		return dialect, f, errs // Without the rules, what the side file says cannot be judged.
	}
	return dialect, f, applySide(f, f.Side, v.side, c)
}

// withHint tells of a side file that has lost its rule file what it is missing.
func withHint(path string, errs []error) []error {
	if bases := besides(path); len(errs) > 0 && len(bases) > 0 {
		errs = append(errs, &Error{File: path, Err: fmt.Errorf("by its name this is the side file of %s, which is not there", strings.Join(bases, " or of "))})
	}
	return errs
}
