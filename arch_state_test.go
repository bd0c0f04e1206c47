package tocsin_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sharedState lists the package-level variables that may hold something that changes, each with its reason.
var sharedState = map[string]string{
	"internal/ingest/host.parseFlags": "node_exporter's flags are a global of the process, parsed once",
	"internal/ingest/host.turn":       "node_exporter's collectors are globals of the process, gathered by one at a time",
}

// TestNoPackageLevelState: everything belongs to a tenant, so nothing belongs to a package. A package-level variable may
// be an error, an embedded file, a compiled pattern or a table that is never written; init functions hide who starts what.
func TestNoPackageLevelState(t *testing.T) {
	fset := token.NewFileSet()
	used := map[string]bool{}
	for _, p := range listPackages(t) {
		room := roomOf(p.ImportPath)
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					if d.Name.Name == "init" && d.Recv == nil {
						t.Errorf("%s: an init function; let the wiring call what must be called", fset.Position(d.Pos()))
					}
				case *ast.GenDecl:
					if d.Tok == token.VAR {
						checkVariables(t, fset, room, d, used)
					}
				}
			}
		}
	}
	for name := range sharedState {
		if !used[name] {
			t.Errorf("sharedState names %s, which is not there", name)
		}
	}
}

func checkVariables(t *testing.T, fset *token.FileSet, room string, d *ast.GenDecl, used map[string]bool) {
	t.Helper()
	for _, spec := range d.Specs {
		v := spec.(*ast.ValueSpec)
		for i, n := range v.Names {
			var value ast.Expr
			if i < len(v.Values) {
				value = v.Values[i]
			}
			key := room + "." + n.Name
			if _, ok := sharedState[key]; ok {
				used[key] = true
				continue
			}
			if n.Name == "_" || embedded(d, v) || constantLike(value) || errorLike(v.Type, value) {
				continue
			}
			t.Errorf("%s: package-level variable %s may hold state; give it to somebody, or enter %q in sharedState with the reason",
				fset.Position(n.Pos()), n.Name, key)
		}
	}
}

func embedded(d *ast.GenDecl, v *ast.ValueSpec) bool {
	for _, g := range []*ast.CommentGroup{d.Doc, v.Doc} {
		if g != nil && slices.ContainsFunc(g.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed") }) {
			return true
		}
	}
	return false
}

// constantLike reports whether the value is one that Go cannot make a constant but nobody changes: an error, a pattern, a
// replacer, a literal table.
func constantLike(value ast.Expr) bool {
	switch v := value.(type) {
	case *ast.CompositeLit, *ast.BasicLit, *ast.FuncLit:
		return true
	case *ast.UnaryExpr:
		return v.Op != token.AND && constantLike(v.X)
	case *ast.CallExpr:
		var b strings.Builder
		writeName(&b, v.Fun)
		return slices.Contains([]string{
			"errors.New", "fmt.Errorf", "regexp.MustCompile", "strings.NewReplacer", "template.Must", "reflect.TypeFor",
			"reflect.TypeOf", "big.NewInt", "crc32.MakeTable", "[]byte", "math.Inf", "math.NaN", "time.Unix",
		}, b.String())
	}
	return false
}

// errorLike reports whether a variable is declared an error and made of a literal: nobody can write to what is behind it.
func errorLike(declared, value ast.Expr) bool {
	name, ok := declared.(*ast.Ident)
	pointer, isPointer := value.(*ast.UnaryExpr)
	return ok && name.Name == "error" && isPointer && constantLike(pointer.X)
}

func writeName(b *strings.Builder, e ast.Expr) {
	switch e := e.(type) {
	case *ast.Ident:
		b.WriteString(e.Name)
	case *ast.SelectorExpr:
		writeName(b, e.X)
		b.WriteString("." + e.Sel.Name)
	case *ast.IndexExpr:
		writeName(b, e.X)
	case *ast.ArrayType:
		b.WriteString("[]")
		writeName(b, e.Elt)
	}
}
