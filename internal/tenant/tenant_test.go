package tenant

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]ID{
		"": Default, "default": Default, "a": "a", "Team-7_x.y": "Team-7_x.y", "...": "...", ".hidden": ".hidden",
		strings.Repeat("a", maxLength): ID(strings.Repeat("a", maxLength)),
	} {
		got, err := Parse(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got)
	}
	for in, why := range map[string]string{
		".": "is a path", "..": "is a path", "a/b": `'/' is not allowed`, `a\b`: "is not allowed", "a b": `' ' is not allowed`,
		"a|b": `'|' is not allowed`, "ä": `'ä' is not allowed`, "a\x00": "is not allowed", "\xff": "is not allowed",
		strings.Repeat("a", maxLength+1): "151 bytes, at most 150 are allowed",
	} {
		_, err := Parse(in)
		require.ErrorContains(t, err, why, "%q", in)
		require.Less(t, len(err.Error()), 120)
	}
}

func TestContext(t *testing.T) {
	require.Equal(t, Default, FromContext(context.Background()))
	ctx := NewContext(context.Background(), "a")
	require.Equal(t, ID("a"), FromContext(ctx))
	require.Equal(t, ID("b"), FromContext(NewContext(ctx, "b")))
	require.Equal(t, ID("a"), FromContext(ctx))
}

// FuzzParse holds what the rest of the house builds on: a tenant's name is a safe name of a directory.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "default", ".", "..", "../x", "a/b", "a\x00", strings.Repeat("x", 151), "ä", "CON"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		id, err := Parse(in)
		if err != nil {
			if id != "" {
				t.Fatalf("an error with an ID: %q", id)
			}
			return
		}
		name := string(id)
		if name == "" || len(name) > maxLength || filepath.Base(name) != name || !filepath.IsLocal(name) {
			t.Fatalf("%q is no name of a directory", name)
		}
		if again, err := Parse(name); err != nil || again != id {
			t.Fatalf("%q parses to %q, %v", name, again, err)
		}
	})
}
