package rule

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPromQLIsWhatWasRead writes the rules of every real rule file, which must compile to what they were.
func TestPromQLIsWhatWasRead(t *testing.T) {
	rules, opaque := 0, 0
	for _, path := range ruleCorpus(t) {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		f, errs := Parse(path, content, compiler())
		require.Empty(t, errs, path)
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				rules++
				if r.Plan.Root() == nil {
					opaque++
					continue
				}
				again, err := compiler().Compile(promQL(r.Plan.Root()))
				require.NoError(t, err, "%s\n%s", r.Plan, promQL(r.Plan.Root()))
				require.NotNil(t, again.Root(), r.Plan.String())
				require.Equal(t, r.Plan.Root().Key, again.Root().Key, r.Plan.String())
			}
		}
	}
	t.Logf("%d rules, %d run on upstream's engine", rules, opaque)
	require.Less(t, opaque*50, rules)
}
