package ruletest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSameValue(t *testing.T) {
	const x, next, beyond = 3, 3.0000000000000004, 3.000000000000001
	require.True(t, sameValue(x, x, false))
	require.False(t, sameValue(x, next, false))
	require.True(t, sameValue(x, next, true))
	require.True(t, sameValue(next, x, true))
	require.False(t, sameValue(x, beyond, true))
}

func TestExternalURLKeepsEveryText(t *testing.T) {
	for _, s := range []string{"", "http://h:9090/path", "not % a URL", "://", "a b", "http://h/%zz", "HTTP://h"} {
		require.Equal(t, s, externalURL(s).String())
	}
}

func TestPositions(t *testing.T) {
	p := newPositions([]byte("a:\n  - x: 1\n  - &n\n    y: 2\nb: *n\n"))
	require.Equal(t, 2, p.line("a", 0))
	require.Equal(t, 4, p.line("a", 1, "y"))
	require.Equal(t, 4, p.line("b", "y"), "aliases are followed")
	require.Equal(t, 2, p.line("a", 7), "what is missing stands where its parent does")
	require.Equal(t, 0, newPositions([]byte("a: [")).line("a"))
}

// FuzzDecode checks that no file brings the reader down, and that what it takes can be walked.
func FuzzDecode(f *testing.F) {
	seeds, err := filepath.Glob("testdata/*_test.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range seeds {
		content, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Add([]byte("tests:\n  - start_timestamp: 1e300\n"))
	f.Add([]byte("tests: [&a {name: *a}]\n"))
	f.Add([]byte("tests: [{promql_expr_test: [{eval_time: 5y}]}]\nevaluation_interval: x\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		file, pos, complaints := decode(content)
		if file == nil {
			if len(complaints) == 0 {
				t.Fatal("neither a file nor a complaint")
			}
			for _, c := range complaints {
				if c.line < 0 || c.text == "" {
					t.Fatalf("useless complaint %+v", c)
				}
			}
			return
		}
		if file.EvaluationInterval <= 0 {
			t.Fatalf("evaluation interval %v: the evaluation would never end", file.EvaluationInterval)
		}
		for i := range file.Tests {
			c := &file.Tests[i]
			if c.Interval <= 0 || c.length() < 0 || c.title(i) == "" {
				t.Fatalf("test %d: interval %v, length %v, title %q", i, c.Interval, c.length(), c.title(i))
			}
			_ = c.loadCommand()
			_ = pos.line("tests", i, "promql_expr_test", 0)
		}
	})
}
