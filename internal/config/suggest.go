package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/targetgroup"
)

// unknownField words the error about a field that the mapping at p does not have; known holds those that it has.
func unknownField[V any](name string, p path, known map[string]V) string {
	msg := fmt.Sprintf("unknown field %q", name)
	if len(p) > 0 {
		msg += " in " + p.String()
	}
	if like := nearest(name, slices.Sorted(maps.Keys(known))); like != "" {
		msg += fmt.Sprintf(" (did you mean %q?)", like)
	}
	return msg
}

// nearest returns the name that s is most likely a misspelling of, or "". At most a third of its letters, and at most
// three, may have been added, lost, swapped or replaced; - and letter case do not count.
func nearest(s string, names []string) string {
	norm := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "_")) }
	best, bestDistance := "", min(3, max(1, len(s)/3))+1
	for _, name := range names {
		if d := distance(norm(s), norm(name)); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	return best
}

// distance is the optimal string alignment distance: Levenshtein's, with the swap of two neighbours as one step.
func distance(a, b string) int {
	var before []int
	prev := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev = prev, row
	}
	return prev[len(b)]
}

// fieldsAt returns the fields that the mapping at p has in a document of type t, with their types (nil where only the
// name is known); empty where the types do not say.
func fieldsAt(t reflect.Type, p path) map[string]reflect.Type {
	if t = typeAt(t, p); t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	return structFields(t)
}

// typeAt returns the type of what stands at p in a document of type t, without pointers; nil where the types do not say.
func typeAt(t reflect.Type, p path) reflect.Type {
	for _, s := range p {
		t = bare(t)
		switch {
		case t == nil:
			return nil
		case s.key == "<<":
			// A merge key's mapping has the fields of the mapping that it is merged into.
		case s.key == "" && t.Kind() == reflect.Slice:
			t = t.Elem()
		case t.Kind() == reflect.Map:
			t = t.Elem()
		case t.Kind() == reflect.Struct:
			t = structFields(t)[s.key]
		default:
			return nil
		}
	}
	return bare(t)
}

// bare strips pointers.
func bare(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// targetGroupFields are the fields of static_configs' items, whose type has another shape in the file than in memory.
type targetGroupFields struct {
	Targets []string          `yaml:"targets"`
	Labels  map[string]string `yaml:"labels"`
}

// structFields returns t's fields by their names in the file, those of inlined structs and, where t holds discovery
// configurations, every *_sd_configs included.
func structFields(t reflect.Type) map[string]reflect.Type {
	if t == reflect.TypeFor[targetgroup.Group]() {
		t = reflect.TypeFor[targetGroupFields]()
	}
	out := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case f.Type == reflect.TypeFor[discovery.Configs]():
			maps.Copy(out, discoveryFields())
		case name == "-":
		case strings.Contains(options, "inline"):
			if in := bare(f.Type); in.Kind() == reflect.Struct {
				maps.Copy(out, structFields(in))
			}
		case name == "":
			out[strings.ToLower(f.Name)] = f.Type
		default:
			out[name] = f.Type
		}
	}
	return out
}
