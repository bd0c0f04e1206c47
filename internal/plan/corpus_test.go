package plan

import (
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/stretchr/testify/require"
)

// corpus has real rule files, in folders.
const corpus = "../../../shared/corpora/rules"

// TestRealRulesCompile compiles every rule of every real rule file: nearly all have to.
func TestRealRulesCompile(t *testing.T) {
	if _, err := os.Stat(corpus); os.IsNotExist(err) {
		t.Skipf("LOUD SKIP: no corpus of rule files at %s", corpus)
	}
	c := NewCompiler(Options{})
	rules, compiled, reasons, examples, parts := 0, 0, map[string]int{}, map[string]string{}, map[string]bool{}
	err := filepath.WalkDir(corpus, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".yaml") && !strings.HasSuffix(path, ".yml") {
			return err
		}
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		groups, errs := rulefmt.Parse(content, false, model.UTF8Validation, c.Parser(), slog.New(slog.DiscardHandler))
		require.Empty(t, errs, path)
		for _, g := range groups.Groups {
			for _, r := range g.Rules {
				p, err := c.Compile(r.Expr)
				require.NoError(t, err, "%s: %s", path, r.Expr)
				rules++
				requireParts(t, c, p.Parts(), parts)
				tier, reason := p.Tier()
				if tier == Tier1 {
					compiled++
					require.NotEmpty(t, p.Explain().String())
					continue
				}
				reasons[reason]++
				examples[reason] = p.String()
			}
		}
		return nil
	})
	require.NoError(t, err)
	t.Logf("%d of %d rules compile", compiled, rules)
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		t.Logf("%5d not compiled: %s, such as %s", reasons[reason], reason, examples[reason])
	}
	require.Greater(t, rules, 1000)
	require.GreaterOrEqual(t, compiled*100, rules*99, "at least 99%% compile")
}
