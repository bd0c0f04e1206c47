package rule_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

// TestExtendedRulesPage holds that what the page shows can be used.
func TestExtendedRulesPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/extended-rules.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1)
	require.Len(t, blocks, 4)
	dir := t.TempDir()
	var files []string
	for i, name := range []string{"rules.yml", "rules.tocsin.yml", "missing.yml", "simple.yml"} {
		files = append(files, filepath.Join(dir, name))
		require.NoError(t, os.WriteFile(files[i], blocks[i][1], 0o600))
	}
	report := rule.Check(files, plan.NewCompiler(plan.Options{}))
	require.True(t, report.OK(), "%+v", report)
	require.Len(t, report.Files, 3)
	require.Len(t, report.Files[0].Extended, 2)
	require.Contains(t, string(page), "```promql\n"+report.Files[1].Simple[0].PromQL+"\n```")
	require.Len(t, report.Files[2].Extended, 1)
}
