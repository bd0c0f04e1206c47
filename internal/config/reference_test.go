package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/series"
)

var update = flag.Bool("update", false, "write reference.yml anew from the structs")

// TestReferenceIsTheStructs builds the reference from the structs, their comments and their defaults.
func TestReferenceIsTheStructs(t *testing.T) {
	g := &generator{t: t, docs: fieldComments(t, "tocsin.go")}
	g.b.WriteString(`# Every setting of the tocsin: section with its default. The rest of a configuration file is Prometheus's own:
# global, scrape_configs, scrape_config_files, rule_files, alerting, remote_write, otlp and storage.
#
# In values, ${NAME} is the environment variable NAME (not set: an error), ${NAME:-default} is default where NAME is
# not set or empty, and $${NAME} is the text ${NAME}. Keys, comments, global.external_labels and relabelling rules'
# replacement and target_label stay as they are. Within [ ] and { }, such a value needs quotes.
#
`)
	g.comment(0, g.docs["Tocsin"])
	g.b.WriteString("tocsin:\n")
	g.structure(1, reflect.ValueOf(DefaultTocsin()))
	if *update {
		require.NoError(t, os.WriteFile("reference.yml", []byte(g.b.String()), 0o644))
	}
	if Reference() != g.b.String() && !*update {
		t.Fatalf("reference.yml is not what the structs say; run: go test ./internal/config -run TestReferenceIsTheStructs -update\nwant:\n%s", g.b.String())
	}
}

// TestReferenceLoads holds that the reference loads, means the defaults, and names every field.
func TestReferenceLoads(t *testing.T) {
	doc, _, err := parseDocument("reference.yml", Reference())
	require.NoError(t, err)
	got, _, errs := doc.section()
	require.Empty(t, errs)
	want := DefaultTocsin()
	require.Equal(t, want, got)

	var names []string
	eachField(reflect.TypeFor[Tocsin](), []string{sectionKey}, func(p []string) { names = append(names, strings.Join(p, ".")) })
	require.Greater(t, len(names), 40)
	for _, name := range names {
		s, ok := lookup(doc.root, strings.Split(name, ".")...)
		require.True(t, ok, "%s is not in the reference", name)
		require.NotEmpty(t, s.key.HeadComment, "%s has no comment in the reference", name)
	}
}

func TestReferenceNamesTheLimitsOfSeries(t *testing.T) {
	d := series.DefaultLimits()
	require.Equal(t, d, Limits{}.Series())
	for _, n := range []int{d.Labels, d.NameLength, d.ValueLength} {
		require.Contains(t, Reference(), fmt.Sprintf("0: %d. -1: no limit", n))
	}
	require.Equal(t, -1, Limits{LabelsPerSeries: -1}.Series().Labels)
}

func eachField(t reflect.Type, p []string, visit func([]string)) {
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(p[:len(p):len(p)], f.Tag.Get("yaml"))
		visit(at)
		if f.Type.Kind() == reflect.Struct {
			eachField(f.Type, at, visit)
		}
	}
}

// fieldComments returns the comments of the structs in file: by "Type" and by "Type.Field".
func fieldComments(t *testing.T, file string) map[string]string {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	require.NoError(t, err)
	docs := map[string]string{}
	for _, decl := range f.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range gen.Specs {
			ts, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			if st, ok := ts.Type.(*ast.StructType); ok {
				docs[ts.Name.Name] = gen.Doc.Text()
				for _, field := range st.Fields.List {
					docs[ts.Name.Name+"."+field.Names[0].Name] = field.Doc.Text()
				}
			}
		}
	}
	// The section's own comment is for readers of Go; its second sentence on is for readers of the file.
	_, section, _ := strings.Cut(docs["Tocsin"], "every setting of ours. ")
	docs["Tocsin"], _, _ = strings.Cut(section, "\n\n")
	return docs
}

type generator struct {
	t    *testing.T
	b    strings.Builder
	docs map[string]string
}

func (g *generator) comment(indent int, text string) { g.hanging(indent, "", text) }

// hanging writes a comment whose further lines begin with hang.
func (g *generator) hanging(indent int, hang, text string) {
	pad := strings.Repeat("  ", indent)
	line := pad + "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > 110 {
			g.b.WriteString(line + "\n")
			line = pad + "#" + hang
		}
		line += " " + word
	}
	g.b.WriteString(line + "\n")
}

func (g *generator) structure(indent int, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		doc := g.docs[v.Type().Name()+"."+f.Name]
		require.NotEmpty(g.t, doc, "%s.%s has no comment", v.Type().Name(), f.Name)
		require.NotEmpty(g.t, f.Tag.Get("yaml"), "%s.%s has no yaml tag", v.Type().Name(), f.Name)
		g.comment(indent, doc)
		if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct {
			g.entry(indent, f.Type.Elem())
		}
		g.b.WriteString(strings.Repeat("  ", indent) + f.Tag.Get("yaml") + ":")
		if f.Type.Kind() == reflect.Struct {
			g.b.WriteString("\n")
			g.structure(indent+1, v.Field(i))
			continue
		}
		g.b.WriteString(" " + g.scalar(v.Field(i).Interface()) + "\n")
	}
}

// entry says in comments which fields an entry of a list has.
func (g *generator) entry(indent int, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		doc := g.docs[t.Name()+"."+f.Name]
		require.NotEmpty(g.t, doc, "%s.%s has no comment", t.Name(), f.Name)
		g.hanging(indent, "  ", "- "+f.Tag.Get("yaml")+": "+doc)
	}
}

func (g *generator) scalar(v any) string {
	switch v := v.(type) {
	case string:
		if v == "" {
			return `""`
		}
		return v
	case bool:
		return strconv.FormatBool(v)
	case int:
		return strconv.Itoa(v)
	case Bytes:
		return v.String()
	case Evaluation:
		return string(v)
	case JITMode:
		return string(v)
	case model.Duration:
		return v.String()
	case *bool:
		require.Nil(g.t, v)
		return "null"
	case []string:
		require.Empty(g.t, v)
		return "[]"
	case []int:
		require.Empty(g.t, v)
		return "[]"
	case []RulesOverride:
		require.Empty(g.t, v)
		return "[]"
	}
	g.t.Fatalf("no spelling for %T", v)
	return ""
}
