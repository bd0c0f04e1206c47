package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// sectionKey is the one top-level key that a Prometheus file does not have.
const sectionKey = "tocsin"

// sectionDecoder fills the structs of the `tocsin:` section from nodes. It is strict: unknown and repeated fields are
// errors, each with its position, and one error does not hide the next.
type sectionDecoder struct {
	doc  *document
	errs Errors
	// set holds the node of every field that the file sets, by path.
	set map[string]*yaml.Node
}

// decode writes n into out, a pointer's element of a kind that the section has. null leaves the default.
func (d *sectionDecoder) decode(n *yaml.Node, p path, out reflect.Value) {
	pos := n
	if n = target(n); n == nil || isNull(n) {
		return
	}
	d.set[p.String()] = pos
	switch v := out.Addr().Interface().(type) {
	case *model.Duration:
		d.scalar(n, pos, p, "a duration such as 30s, 5m or 15d", func(s string) error {
			read, err := model.ParseDuration(s)
			if err == nil {
				*v = read
			}
			return err
		})
		return
	case *Bytes:
		d.scalar(n, pos, p, "a size such as 512KiB, 32MiB or 10GiB", func(s string) error {
			read, err := ParseBytes(s)
			if err == nil {
				*v = read
			}
			return err
		})
		return
	}
	switch out.Kind() {
	case reflect.Struct:
		d.structure(n, pos, p, out)
	case reflect.Pointer:
		elem := reflect.New(out.Type().Elem())
		d.decode(n, p, elem.Elem())
		out.Set(elem)
	case reflect.Slice:
		d.list(n, pos, p, out)
	case reflect.String:
		d.scalar(n, pos, p, "a text", func(s string) error { out.SetString(s); return nil })
	case reflect.Bool:
		d.scalar(n, pos, p, "true or false", func(s string) error { return setBool(n, s, out) })
	case reflect.Int:
		d.scalar(n, pos, p, "a whole number", func(s string) error { return setInt(n, s, out) })
	default:
		panic(fmt.Sprintf("BUG: %s has type %s, which the section's decoder does not know", p, out.Type()))
	}
}

func (d *sectionDecoder) fail(n *yaml.Node, p path, format string, args ...any) {
	d.errs = append(d.errs, d.doc.errorAt(n, p, format, args...))
}

func (d *sectionDecoder) scalar(n, pos *yaml.Node, p path, want string, set func(string) error) {
	if n.Kind != yaml.ScalarNode {
		d.fail(pos, p, "is %s where %s is wanted", kindName(n), want)
		return
	}
	if err := set(n.Value); err != nil {
		d.fail(pos, p, "%s; %s is wanted", strings.TrimSuffix(err.Error(), "\n"), want)
	}
}

func (d *sectionDecoder) list(n, pos *yaml.Node, p path, out reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.fail(pos, p, "is %s where a list is wanted", kindName(n))
		return
	}
	if len(n.Content) == 0 {
		out.SetZero()
		return
	}
	out.Set(reflect.MakeSlice(out.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		at := p.with(step{index: i})
		if isNull(item) {
			d.fail(item, at, "is empty")
			continue
		}
		d.decode(item, at, out.Index(i))
	}
}

func (d *sectionDecoder) structure(n, pos *yaml.Node, p path, out reflect.Value) {
	if short, ok := out.Addr().Interface().(interface{ shorthand() string }); ok && n.Kind == yaml.ScalarNode {
		name := short.shorthand()
		d.decode(pos, p.with(step{key: name}), out.Field(fieldNames(out.Type())[name]))
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(pos, p, "is %s where a mapping (key: value) is wanted", kindName(n))
		return
	}
	names := fieldNames(out.Type())
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name := target(key).Value
		index, known := names[name]
		switch {
		case !known:
			e := d.doc.errorAt(key, nil, "%s", unknownField(name, p, names))
			e.Path = p.with(step{key: name}).String()
			d.errs = append(d.errs, e)
		case seen[name]:
			d.fail(key, p, "field %q stands here a second time", name)
		default:
			seen[name] = true
			d.decode(value, p.with(step{key: name}), out.Field(index))
		}
	}
}

// fieldNames returns the fields of t by the name that they have in the file.
func fieldNames(t reflect.Type) map[string]int {
	names := make(map[string]int, t.NumField())
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		names[name] = i
	}
	return names
}

// setBool accepts what Prometheus's sections accept, which is YAML 1.1.
func setBool(n *yaml.Node, s string, out reflect.Value) error {
	if n.Style == 0 {
		switch strings.ToLower(s) {
		case "true", "yes", "on":
			out.SetBool(true)
			return nil
		case "false", "no", "off":
			out.SetBool(false)
			return nil
		}
	}
	return fmt.Errorf("cannot use %q", s)
}

func setInt(n *yaml.Node, s string, out reflect.Value) error {
	var i int64
	if n.ShortTag() != "!!int" || n.Decode(&i) != nil || out.OverflowInt(i) {
		return fmt.Errorf("cannot use %q", s)
	}
	out.SetInt(i)
	return nil
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("%q", n.Value)
}

// section decodes and validates the `tocsin:` key, and takes it out of the text that Prometheus reads. set holds the
// nodes of the fields that the file sets, by path ("tocsin.history.retention_time").
func (d *document) section() (t Tocsin, set map[string]*yaml.Node, errs Errors) {
	t = DefaultTocsin()
	dec := &sectionDecoder{doc: d, set: map[string]*yaml.Node{}}
	if d.root != nil && d.root.Kind == yaml.MappingNode {
		found := false
		for i := 0; i+1 < len(d.root.Content); i += 2 {
			key := d.root.Content[i]
			if key.Kind != yaml.ScalarNode || key.Value != sectionKey {
				continue
			}
			if found {
				dec.fail(key, nil, "field %q stands here a second time", sectionKey)
			} else {
				dec.decode(d.root.Content[i+1], path{{key: sectionKey}}, reflect.ValueOf(&t).Elem())
			}
			found = true
			d.skip[key] = true
		}
	}
	for _, p := range t.problems() {
		e := d.errorAt(dec.set[sectionKey+"."+p.field], path{{key: sectionKey}, {key: p.field}}, "%s", p.message)
		dec.errs = append(dec.errs, e)
	}
	return t, dec.set, dec.errs
}
