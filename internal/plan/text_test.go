package plan

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestText(t *testing.T) {
	for _, text := range []string{
		`(1 - a / b) * 100 > 5`,
		`rate(x{job="a"}[5m]) / on (job) group_left (zone) y offset 1m > bool 2`,
		`clamp(abs(x), 0, 1)`,
		`time() - timestamp(x) > 60`,
		`x and ignoring (zone) (y or z)`,
	} {
		p, err := NewCompiler(Options{}).Compile(text)
		require.NoError(t, err)
		again, err := NewCompiler(Options{}).Compile(p.Root().Text())
		require.NoError(t, err, p.Root().Text())
		require.Equal(t, p.Root().Key, again.Root().Key, p.Root().Text())
	}
	p, err := NewCompiler(Options{}).Compile(`sum by (job) (x) > 3`)
	require.NoError(t, err)
	require.Equal(t, "sum by (job)(x) > 3", p.Root().Text())
}
