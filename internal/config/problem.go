package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one thing that makes a configuration unusable. Line and Column count from 1, columns in characters;
// both are 0 where only the file is known.
type Error struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	// Path is the field at fault, such as scrape_configs[0].scrape_interval; empty where none is.
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
}

// Error returns "file:line:column: message".
func (e *Error) Error() string { return at(e.File, e.Line, e.Column) + e.Message }

// Warning is one thing that is accepted and yet may not be what its author believes. Fields as in Error.
type Warning struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
}

// String returns "file:line:column: message".
func (w Warning) String() string { return at(w.File, w.Line, w.Column) + w.Message }

func at(file string, line, column int) string {
	switch {
	case line == 0 && file == "":
		return ""
	case line == 0:
		return file + ": "
	case column == 0:
		return fmt.Sprintf("%s:%d: ", file, line)
	}
	return fmt.Sprintf("%s:%d:%d: ", file, line, column)
}

// Errors is every Error found in one load, in the order of the files' lines. It is never empty when it is returned as
// an error.
type Errors []*Error

// Error returns the errors, one a line.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find a single *Error.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// orNil sorts es and returns it as an error, or nil when there is none.
func (es Errors) orNil() error {
	if len(es) == 0 {
		return nil
	}
	slices.SortStableFunc(es, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.CompactFunc(es, func(a, b *Error) bool { return *a == *b })
}
