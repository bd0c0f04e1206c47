package explain_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/explain"
)

// situation is one world, one question and, in testdata, its answer.
type situation struct {
	name   string
	series string
	rules  string
	// after is how old the world is when the question is asked; at, where it is set, which age the question is about.
	after, at time.Duration
	alert     string
	match     string
	whyNot    bool
	// code, where it is set, is the first cause's; says stands in the first line of the text.
	code explain.Code
	says string
}

func TestSituations(t *testing.T) {
	update := flag.Lookup("update").Value.String() == "true"
	names := map[string]bool{}
	for _, s := range situations() {
		require.False(t, names[s.name], s.name)
		names[s.name] = true
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, s.series)
			w.rules("/etc/tocsin/rules.yml", s.rules)
			w.run(s.after)
			a := w.explain(s.question(t))
			var text bytes.Buffer
			require.NoError(t, a.WriteText(&text))
			first, _, _ := strings.Cut(strings.Join(strings.Fields(text.String()), " "), "\n")
			require.Contains(t, first, s.says)
			if s.code != "" {
				require.NotEmpty(t, a.WhyNot)
				require.Equal(t, s.code, a.WhyNot[0].Cause.Code, a.WhyNot[0].Text)
			}
			_, rest, _ := strings.Cut(text.String(), "\n")
			for line := range strings.Lines(rest) {
				require.LessOrEqual(t, len([]rune(line)), 121, line)
			}
			golden(t, s.name+".txt", text.Bytes(), update)
			doc, err := json.MarshalIndent(a, "", " ")
			require.NoError(t, err)
			golden(t, s.name+".json", append(doc, '\n'), update)
		})
	}
}

func (s *situation) question(t *testing.T) explain.Question {
	q := explain.Question{Name: s.alert, Matchers: matchers(t, s.match), WhyNot: s.whyNot}
	if s.at > 0 {
		q.At = begin().Add(s.at)
	}
	return q
}

// golden compares with a file of testdata, or writes it.
func golden(t *testing.T, name string, got []byte, update bool) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "go test -update writes it")
	require.Equal(t, string(want), string(got), path)
}
