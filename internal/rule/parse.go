package rule

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"

	"go.yaml.in/yaml/v3"

	"github.com/tocsin/tocsin/internal/plan"
)

// maxFileSize bounds a rule file, in bytes. The largest that people are known to generate have some ten megabytes.
const maxFileSize = 256 << 20

// multipleDocuments is what upstream says of them too.
const multipleDocuments = "multiple YAML documents in one rule file are not supported: only the first is read"

// Parse reads one rule file. The dialect shows in the content: a mapping with `rules` and without `groups` holds simple
// rules; everything else is Prometheus's format, and accepted or refused as Prometheus does. On errors, each an *Error
// that says where, the file is nil. path only names the file in errors and in Group.File.
func Parse(path string, content []byte, c *plan.Compiler) (*File, []error) {
	dialect, f, errs := parse(path, content, c)
	if len(errs) > 0 {
		return nil, errs
	}
	f.Dialect = dialect
	return f, nil
}

// parse is Parse with the dialect of a broken file.
func parse(path string, content []byte, c *plan.Compiler) (Dialect, *File, []error) {
	if len(content) > maxFileSize {
		return Prometheus, &File{Path: path}, []error{&Error{File: path, Err: fmt.Errorf("%d bytes; a rule file may have %d", len(content), maxFileSize)}}
	}
	src := newSource(path, content)
	dialect := src.dialect()
	f := &File{Path: path, Dialect: dialect, Hash: contentHash(content)}
	var errs []error
	if dialect == Simple {
		errs = parseSimple(f, src, c)
	} else {
		errs = parsePrometheus(f, src, c)
	}
	return dialect, f, errs
}

// source is a rule file's text and its first YAML document.
type source struct {
	path    string
	content []byte
	lines   [][]byte // split on first use
	// root is the document's topmost node, nil for an empty file or one with a syntax error.
	root *yaml.Node
	// syntax is why there is no root; nil for an empty file.
	syntax error
	// more tells that another document follows, or something that is none.
	more bool
}

func newSource(path string, content []byte) *source {
	s := &source{path: path, content: content}
	d := yaml.NewDecoder(bytes.NewReader(joinSurrogates(content)))
	var doc yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return s
	case err != nil:
		s.syntax = err
		return s
	}
	if len(doc.Content) > 0 {
		s.root = doc.Content[0]
	}
	var next yaml.Node
	s.more = !errors.Is(d.Decode(&next), io.EOF)
	return s
}

var (
	// rulesKey and groupsKey find the top-level keys of a file whose YAML is broken.
	rulesKey  = regexp.MustCompile(`(?m)^(\{\s*)?["']?rules["']?\s*:|^\s*\{?\s*"rules"\s*:`)
	groupsKey = regexp.MustCompile(`(?m)^\{?\s*["']?groups["']?\s*:`)
)

func (s *source) dialect() Dialect {
	has := func(key string) bool {
		_, v := field(s.root, key)
		return v != nil
	}
	if s.syntax != nil {
		has = func(key string) bool {
			if key == "groups" {
				return groupsKey.Match(s.content)
			}
			return rulesKey.Match(s.content)
		}
	}
	if has("rules") && !has("groups") {
		return Simple
	}
	return Prometheus
}
