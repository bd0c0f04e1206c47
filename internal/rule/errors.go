package rule

import (
	"fmt"
	"strings"
)

// Error is one thing that makes a rule file unusable. Line and Column count from 1, columns in characters; both are 0
// where they cannot be had.
type Error struct {
	File         string
	Line, Column int
	// Group is the group's name where the fault lies in a group; Rule the rule's place in it, from 1, where it lies in
	// a rule; RuleName that rule's name.
	Group    string
	Rule     int
	RuleName string
	Err      error
}

// Error returns `file:line:column: group "g", rule 3 "Name": reason`, without what is not known. A reason of the simple
// dialect may go on over further lines, which show the place.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
		if e.Column > 0 {
			fmt.Fprintf(&b, ":%d", e.Column)
		}
	}
	b.WriteString(": ")
	var where []string
	if e.Group != "" {
		where = append(where, fmt.Sprintf("group %q", e.Group))
	}
	if e.Rule > 0 {
		w := fmt.Sprintf("rule %d", e.Rule)
		if e.RuleName != "" {
			w += fmt.Sprintf(" %q", e.RuleName)
		}
		where = append(where, w)
	}
	if len(where) > 0 {
		b.WriteString(strings.Join(where, ", ") + ": ")
	}
	b.WriteString(e.Err.Error())
	return b.String()
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }
