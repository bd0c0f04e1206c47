package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	yamlv2 "go.yaml.in/yaml/v2"
	"go.yaml.in/yaml/v3"
)

// maxFileSize bounds what is read of one configuration file, so that a path to a device or a wrong file ends in an
// error and not in all memory taken.
const maxFileSize = 64 * MiB

// step is one step from a node to a child: a mapping's key, or a sequence's index where key is empty.
type step struct {
	key   string
	index int
}

type path []step

// String returns the path as in scrape_configs[0].scrape_interval.
func (p path) String() string {
	var b strings.Builder
	for _, s := range p {
		switch {
		case s.key == "":
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case b.Len() == 0:
			b.WriteString(s.key)
		default:
			b.WriteString("." + s.key)
		}
	}
	return b.String()
}

func (p path) with(s step) path { return append(p[:len(p):len(p)], s) }

// spot is one place in a document: a mapping's key and value, or a sequence's item (key is nil).
type spot struct {
	path       path
	key, value *yaml.Node
}

// node returns what to point at when something about the spot is wrong: the value where it has a text of its own, else
// the key.
func (s spot) node() *yaml.Node {
	if s.key == nil || s.value.Kind == yaml.ScalarNode && s.value.Value != "" {
		return s.value
	}
	return s.key
}

// walk calls visit for every spot below n, in the order of the text, and goes below a spot when visit says so. Aliases
// are not followed: what they stand for is visited where it is written.
func walk(n *yaml.Node, p path, visit func(spot) bool) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			s := spot{path: p.with(step{key: n.Content[i].Value}), key: n.Content[i], value: n.Content[i+1]}
			if visit(s) {
				walk(s.value, s.path, visit)
			}
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			s := spot{path: p.with(step{index: i}), value: item}
			if visit(s) {
				walk(s.value, s.path, visit)
			}
		}
	}
}

// target follows an alias to what it stands for.
func target(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// lookup returns the spot at the given keys below n, following aliases; ok is false where there is none.
func lookup(n *yaml.Node, keys ...string) (s spot, ok bool) {
	s.value = n
	for _, k := range keys {
		m := target(s.value)
		if m == nil || m.Kind != yaml.MappingNode {
			return spot{}, false
		}
		found := false
		for i := 0; i+1 < len(m.Content) && !found; i += 2 {
			if m.Content[i].Value == k {
				s = spot{path: s.path.with(step{key: k}), key: m.Content[i], value: m.Content[i+1]}
				found = true
			}
		}
		if !found {
			return spot{}, false
		}
	}
	return s, true
}

// isNull says whether n is written as nothing or null.
func isNull(n *yaml.Node) bool {
	n = target(n)
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// document is one file's text with its tree. The tree may be edited (values replaced, spots skipped); then text gives
// the edited document with every node still on its own line.
type document struct {
	file string
	raw  string
	// root is the top node, nil where the file holds nothing, or where it is YAML that only Prometheus's own
	// YAML library reads.
	root *yaml.Node
	// refused is why there is no root where the file holds something.
	refused *Error
	// skip holds the mapping keys and sequence items that are left out of the text.
	skip map[*yaml.Node]bool
	// edited says that a value was replaced.
	edited bool
}

// parseDocument parses the first YAML document of content. Following documents are left alone, as Prometheus does it;
// next is where the second begins, nil when there is none.
func parseDocument(file, content string) (doc *document, next *yaml.Node, err error) {
	doc = &document{file: file, raw: content, skip: map[*yaml.Node]bool{}}
	var top yaml.Node
	dec := yaml.NewDecoder(strings.NewReader(content))
	switch err := decodeNode(dec, &top); {
	case errors.Is(err, io.EOF):
		return doc, nil, nil
	case err != nil:
		// Prometheus's YAML library names the line of the fault where this one names the line of the construct around
		// it. Should it read the text (it is an older and laxer version), so do we, without editing it.
		var ignored any
		if older := yamlv2.Unmarshal([]byte(content), &ignored); older != nil {
			return nil, nil, syntaxError(file, content, older)
		}
		if strings.Contains(content, "${") {
			return nil, nil, syntaxError(file, content, err)
		}
		doc.refused = syntaxError(file, content, err)
		return doc, nil, nil
	}
	if len(top.Content) == 1 {
		doc.root = top.Content[0]
	}
	var second yaml.Node
	if decodeNode(dec, &second) == nil && len(second.Content) == 1 && !isNull(second.Content[0]) {
		next = second.Content[0]
	}
	return doc, next, nil
}

// decodeNode turns a panic of the YAML library into an error: it has some for broken comments and anchors.
func decodeNode(dec *yaml.Decoder, n *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	return dec.Decode(n)
}

// reParserError matches those messages of the YAML library whose line number is that of the line before: its parser's,
// where its scanner's are right.
var reParserError = regexp.MustCompile(`^did not find expected (<document start>|node content|key$|'-' indicator|',' or )`)

// syntaxError gives err ("yaml: line 3: did not find …") a position: the first character of that line.
func syntaxError(file, content string, err error) *Error {
	line, msg := 1, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := reLine.FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1])
		msg = m[2]
		if reParserError.MatchString(msg) {
			line++
		}
	}
	lines := splitLines(content)
	line = max(1, min(line, len(lines)))
	text := lines[line-1]
	column := len(text) - len(strings.TrimLeft(text, " \t")) + 1
	if strings.HasPrefix(msg, "did not find expected ','") && strings.Contains(strings.Join(lines[max(0, line-2):line], "\n"), "${") {
		msg += "; within [ ] and { }, a value with ${…} needs quotes around it"
	}
	return &Error{File: file, Line: line, Column: column, Message: "not valid YAML: " + msg}
}

// splitLines splits s where YAML 1.1 sees line breaks.
func splitLines(s string) []string {
	breaks := strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")
	return strings.Split(breaks.Replace(s), "\n")
}

// text returns the document as Prometheus shall read it: byte for byte as it was where nothing was edited.
func (d *document) text() string {
	if d.root == nil || !d.edited && len(d.skip) == 0 {
		return d.raw
	}
	return emit(d.root, d.skip)
}

// errorAt returns an Error that points at n; message is preceded by the path where there is one.
func (d *document) errorAt(n *yaml.Node, p path, format string, args ...any) *Error {
	e := &Error{File: d.file, Path: p.String(), Message: fmt.Sprintf(format, args...)}
	if n != nil {
		e.Line, e.Column = n.Line, n.Column
	}
	if e.Path != "" {
		e.Message = e.Path + ": " + e.Message
	}
	return e
}

// warningAt is errorAt for warnings.
func (d *document) warningAt(n *yaml.Node, p path, format string, args ...any) Warning {
	return Warning(*d.errorAt(n, p, format, args...))
}

// readFile reads one configuration file of at most maxFileSize.
func readFile(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", &Error{File: file, Message: "cannot be opened: " + cause(err)}
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(maxFileSize)+1))
	if err != nil {
		return "", &Error{File: file, Message: "cannot be read: " + cause(err)}
	}
	if len(b) > int(maxFileSize) {
		return "", &Error{File: file, Message: fmt.Sprintf("is larger than %s, which no configuration file needs to be", maxFileSize)}
	}
	return string(b), nil
}

// cause returns err without the path that os repeats in it.
func cause(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
