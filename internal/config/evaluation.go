package config

import (
	"fmt"
	slashed "path"
	"path/filepath"
	"strings"
	"time"

	commonconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
)

// Evaluation says when rules are evaluated.
type Evaluation string

// The ways to evaluate rules. In an override, the empty one means that of all rules.
const (
	// Strict evaluates at Prometheus's times alone.
	Strict Evaluation = "strict"
	// Stream evaluates on arrival of samples, too.
	Stream Evaluation = "stream"
)

// maxSettle bounds how long an evaluation on arrival waits.
const maxSettle = model.Duration(time.Minute)

// EvaluationOf returns how the group of that name in the rule file at that path is evaluated: strictly at Prometheus's
// times or, if not, how long an evaluation on arrival waits for the rule's other inputs.
func (r Rules) EvaluationOf(file, group string) (strict bool, settle time.Duration) {
	evaluation, wait := r.Evaluation, r.Settle
	for _, o := range r.Overrides {
		if !o.covers(file, group) {
			continue
		}
		if o.Evaluation != "" {
			evaluation = o.Evaluation
		}
		if o.Settle != nil {
			wait = *o.Settle
		}
		break
	}
	return evaluation == Strict, time.Duration(wait)
}

func (o RulesOverride) covers(file, group string) bool {
	return o.coversFile(file) && (o.Groups == "" || matches(opaque(o.Groups), opaque(group)))
}

func (o RulesOverride) coversFile(file string) bool {
	if o.Files == "" {
		return true
	}
	file = filepath.ToSlash(file)
	return matches(o.Files, slashed.Base(file)) || matches(o.Files, file)
}

// opaque makes of a name's slashes letters like others: a group's name is no path.
func opaque(name string) string { return strings.ReplaceAll(name, "/", "\x00") }

// matches reports whether pattern, which problems has seen, is the whole of name.
func matches(pattern, name string) bool {
	ok, err := slashed.Match(pattern, name)
	return err == nil && ok
}

// resolve lets the patterns of paths begin in the file's own directory, as rule_files do.
func (r *Rules) resolve(dir string) {
	for i := range r.Overrides {
		if o := &r.Overrides[i]; strings.Contains(o.Files, "/") {
			o.Files = filepath.ToSlash(commonconfig.JoinDir(dir, o.Files))
		}
	}
}

func (r Rules) problems() (out []problem) {
	bad := func(field, format string, args ...any) {
		out = append(out, problem{"rules." + field, fmt.Sprintf(format, args...)})
	}
	if r.Evaluation != Strict && r.Evaluation != Stream {
		bad("evaluation", "is %q where strict or stream is wanted", r.Evaluation)
	}
	if r.Settle > maxSettle {
		bad("settle", "is %s; waiting for more than %s is no evaluation on arrival: use strict", r.Settle, maxSettle)
	}
	for i, o := range r.Overrides {
		at := fmt.Sprintf("overrides[%d]", i)
		if e := o.Evaluation; e != "" && e != Strict && e != Stream {
			bad(at+".evaluation", "is %q where strict or stream is wanted", e)
		}
		if o.Settle != nil && *o.Settle > maxSettle {
			bad(at+".settle", "is %s; waiting for more than %s is no evaluation on arrival: use strict", *o.Settle, maxSettle)
		}
		if o.Evaluation == "" && o.Settle == nil {
			bad(at, "says neither evaluation nor settle, and so changes nothing")
		}
		for _, p := range []struct{ field, pattern string }{{".files", o.Files}, {".groups", o.Groups}} {
			if _, err := slashed.Match(p.pattern, ""); err != nil {
				bad(at+p.field, "%q is no pattern: a [ or a \\ in it lacks what belongs to it", p.pattern)
			}
		}
	}
	return out
}
