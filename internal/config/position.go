package config

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	promconfig "github.com/prometheus/prometheus/config"
	"go.yaml.in/yaml/v3"
)

// The messages of the YAML library that Prometheus and Alertmanager decode with (go.yaml.in/yaml/v2, decode.go). Its
// nodes have lines and no columns; the column comes from the tree.
var (
	reLine      = regexp.MustCompile(`(?s)^line (\d+): (.*)$`)
	reNotFound  = regexp.MustCompile(`(?s)^field (.*) not found in type .+$`)
	reTwice     = regexp.MustCompile(`(?s)^field (.*) already set in type .+$`)
	reTwiceMap  = regexp.MustCompile(`(?s)^key (.*) already set in map$`)
	reWrongType = regexp.MustCompile("(?s)^cannot unmarshal (!!\\w+)(?: `(.*)`)? into (.+)$")
)

// loader decodes a text as upstream does and returns its error.
type loader func(text string) error

// upstreamErrors gives err, which load returned for d's text, positions in the file. t is the type of the document.
func (d *document) upstreamErrors(err error, t reflect.Type, load loader) Errors {
	if d.refused != nil {
		return Errors{d.refused}
	}
	if _, list, ok := strings.Cut(err.Error(), "unmarshal errors:\n"); ok {
		var errs Errors
		for msg := range strings.SplitSeq(list, "\n  ") {
			errs = append(errs, d.typeError(strings.TrimSpace(msg), t))
		}
		return errs
	}
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	if reLine.MatchString(msg) {
		return Errors{syntaxError(d.file, d.raw, err)}
	}
	if d.root == nil {
		return Errors{{File: d.file, Message: msg}}
	}
	s := d.locate(load, err.Error())
	return Errors{d.errorAt(s.node(), s.path, "%s", msg)}
}

// typeError translates one message of a yaml.TypeError.
func (d *document) typeError(msg string, t reflect.Type) *Error {
	m := reLine.FindStringSubmatch(msg)
	if m == nil || d.root == nil {
		return &Error{File: d.file, Message: msg}
	}
	line, _ := strconv.Atoi(m[1])
	what := m[2]
	if m := reNotFound.FindStringSubmatch(what); m != nil {
		return d.fieldError(line, m[1], false, func(s spot) string {
			parent := s.path[:len(s.path)-1]
			known := fieldsAt(t, parent)
			if len(parent) == 0 && t == reflect.TypeFor[promconfig.Config]() {
				known[sectionKey] = nil
			}
			return unknownField(m[1], parent, known)
		})
	}
	second := func(s spot) string {
		return fmt.Sprintf("%q stands here a second time", s.path.String())
	}
	if m := reTwice.FindStringSubmatch(what); m != nil {
		return d.fieldError(line, m[1], true, second)
	}
	if m := reTwiceMap.FindStringSubmatch(what); m != nil {
		// The line is that of the value.
		return d.fieldError(line, strings.Trim(m[1], `"`), true, second)
	}
	if m := reWrongType.FindStringSubmatch(what); m != nil {
		return d.wrongType(line, m[1], m[2], m[3], t)
	}
	return &Error{File: d.file, Line: line, Column: 1, Message: what}
}

// fieldError makes an Error about the mapping key called name whose key or value is on line: the first such key, or
// the last one.
func (d *document) fieldError(line int, name string, last bool, message func(spot) string) *Error {
	var found *spot
	walk(d.root, nil, func(s spot) bool {
		if s.key != nil && target(s.key).Value == name && (s.key.Line == line || s.value.Line == line) && (found == nil || last) {
			found = &s
		}
		return true
	})
	if found == nil {
		return &Error{File: d.file, Line: line, Column: 1, Path: name, Message: fmt.Sprintf("%q is not understood here", name)}
	}
	return &Error{File: d.file, Line: found.key.Line, Column: found.key.Column, Path: found.path.String(), Message: message(*found)}
}

// wrongType makes an Error about a value of the wrong kind: tag is the kind it has, text its beginning, goType the type
// that it should fit.
func (d *document) wrongType(line int, tag, text, goType string, t reflect.Type) *Error {
	text = strings.TrimSuffix(text, "...")
	kind := map[string]yaml.Kind{"!!map": yaml.MappingNode, "!!seq": yaml.SequenceNode}[tag]
	var found *spot
	var fit reflect.Type
	certain := false
	consider := func(s spot) bool {
		n := s.value
		fits := n.Kind == kind || kind == 0 && n.Kind == yaml.ScalarNode && strings.HasPrefix(n.Value, text)
		if n.Line != line || !fits || certain {
			return true
		}
		// Several values can begin on the line; the types of the document tell them apart.
		declared := typeAt(t, s.path)
		certain = declared != nil && declared.String() == goType
		found, fit = &s, declared
		return true
	}
	consider(spot{value: d.root})
	walk(d.root, nil, consider)
	got := map[string]string{"!!map": "a mapping", "!!seq": "a list"}[tag]
	want := wanted(fit, goType)
	if found == nil {
		return &Error{File: d.file, Line: line, Column: 1, Message: fmt.Sprintf("%s stands where %s is wanted", cmp.Or(got, strconv.Quote(text)), want)}
	}
	if got == "" {
		got = strconv.Quote(found.value.Value)
	}
	if len(found.path) == 0 {
		return d.errorAt(found.value, nil, "the file is %s where %s is wanted", got, want)
	}
	return d.errorAt(found.value, found.path, "is %s where %s is wanted", got, want)
}

// wanted says in words what a Go type takes: t where it is known, else the one that is called name.
func wanted(t reflect.Type, name string) string {
	kind := reflect.Invalid
	if t != nil {
		kind = t.Kind()
	}
	is := func(prefix string, kinds ...reflect.Kind) bool {
		return strings.HasPrefix(name, prefix) || slices.Contains(kinds, kind)
	}
	switch {
	case is("string", reflect.String):
		return "a text"
	case is("bool", reflect.Bool):
		return "true or false"
	case is("uint", reflect.Uint, reflect.Uint64):
		return "a whole number, not negative,"
	case is("int", reflect.Int):
		return "a whole number"
	case is("float", reflect.Float64):
		return "a number"
	case is("[]", reflect.Slice):
		return "a list"
	case is("map[", reflect.Map, reflect.Struct), strings.HasSuffix(name, ".plain"), strings.HasPrefix(name, "struct"):
		return "a mapping"
	}
	return "another kind of value (" + name + ")"
}
