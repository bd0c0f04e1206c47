package loops

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/kernel"
)

// TestMeasure runs it all: that it ends without an error says that tier 1, tier 2 and C compute the same.
func TestMeasure(t *testing.T) {
	dir := t.TempDir()
	var said []string
	rs, err := Measure(t.Context(), Options{Rounds: 2, Dir: dir, Progress: func(s string) { said = append(said, s) }})
	require.NoError(t, err)
	require.NotEmpty(t, said)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "what was built is gone")

	withC := strings.Contains(strings.Join(said, "\n"), "comparing with C")
	seen := map[string]map[int]int{} // tiers by expression and lanes
	base := 0.0
	for _, r := range rs {
		if r.Tier == 1 {
			base = r.NsPerLane
		}
		require.Positive(t, r.NsPerLane)
		require.GreaterOrEqual(t, r.MedianNs, r.NsPerLane)
		require.InEpsilon(t, base/r.NsPerLane, r.RatioToTier1, 1e-9)
		require.Equal(t, withC, r.RatioToC != nil)
		if withC {
			require.InEpsilon(t, r.NsPerLane/r.CNs, *r.RatioToC, 1e-9)
		}
		if seen[r.Expr] == nil {
			seen[r.Expr] = map[int]int{}
		}
		seen[r.Expr][r.Lanes] |= r.Tier
	}
	require.Len(t, seen, len(expressions()))
	for expr, lanes := range seen {
		require.Len(t, lanes, len(laneCounts()), expr)
		for n, tiers := range lanes {
			require.Equal(t, rs[0].Tier|rs[1].Tier, tiers, "%s, %d lanes", expr, n)
		}
	}
}

// TestWithoutACompiler: tiers are measured all the same.
func TestWithoutACompiler(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var said []string
	rs, err := Measure(t.Context(), Options{Rounds: 1, Dir: t.TempDir(), Progress: func(s string) { said = append(said, s) }})
	require.NoError(t, err)
	require.NotEmpty(t, rs)
	require.Contains(t, strings.Join(said, "\n"), "no C to compare with: none of cc, gcc and clang is installed")
	for _, r := range rs {
		require.Nil(t, r.RatioToC)
	}
	out, err := json.Marshal(rs[0])
	require.NoError(t, err)
	require.Contains(t, string(out), `"ratio_to_c":null`)
}

// TestACompilerThatDoesNotWork is passed over.
func TestACompilerThatDoesNotWork(t *testing.T) {
	bin := t.TempDir()
	script := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700))
	}
	script("cc", "echo no such processor; exit 1")
	t.Setenv("PATH", bin)
	in := columns()
	_, err := startC(t.Context(), t.TempDir(), time.Minute, &in, expressions())
	require.ErrorIs(t, err, errNoC)
	require.ErrorContains(t, err, "cc failed: exit status 1: no such processor")

	script("gcc", "while :; do :; done")
	_, err = startC(t.Context(), t.TempDir(), 50*time.Millisecond, &in, expressions())
	require.ErrorIs(t, err, errNoC)
	require.ErrorContains(t, err, "gcc took longer than 50ms")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = startC(ctx, t.TempDir(), time.Minute, &in, expressions())
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, errNoC)
}

// TestAProgramThatEnds says what it complained of.
func TestAProgramThatEnds(t *testing.T) {
	bin := t.TempDir()
	text := "#!/bin/sh\nwhile [ \"$1\" != -o ]; do shift; done\n" +
		"printf '#!/bin/sh\\necho out of order >&2\\n' > \"$2\"\nexec /bin/chmod 700 \"$2\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(bin, "cc"), []byte(text), 0o700))
	t.Setenv("PATH", bin)
	_, err := Measure(t.Context(), Options{Rounds: 1, Dir: t.TempDir()})
	require.ErrorContains(t, err, "the C program ended")
	require.ErrorContains(t, err, "out of order")
}

func TestMeasureEndsWhenTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	progress := func(s string) {
		if strings.HasPrefix(s, "round") {
			cancel()
		}
	}
	_, err := Measure(ctx, Options{Dir: t.TempDir(), Progress: progress})
	require.ErrorIs(t, err, context.Canceled)
}

// TestExpressions holds the programs to what their texts say, and sees that they are worth measuring.
func TestExpressions(t *testing.T) {
	in := columns()
	scalar := []func(p []float64, a, b float64) (float64, bool){
		func(p []float64, a, _ float64) (float64, bool) { return 0, a > p[0] },
		func(p []float64, a, b float64) (float64, bool) {
			share := a / b
			x := float64(p[0]-share) * p[1]
			return x, x > p[2]
		},
		func(p []float64, a, b float64) (float64, bool) {
			share := a / b
			scaled := float64(share * p[2])
			return 0, a > p[0] && b < p[1] || scaled-p[3] >= p[4]
		},
	}
	for n, part := range []float64{0.1, 0.34, 0.5} {
		e := expressions()[n]
		b := e.block(&in, maxLanes)
		kernel.NewInterpreter(e.program()).Run(b)
		held := 0
		for i := range maxLanes {
			has := func(input int) bool { return in[input].OK[i/kernel.WordLanes]>>(i%kernel.WordLanes)&1 != 0 }
			v, holds := scalar[n](e.params, in[0].V[i], in[1].V[i])
			want := holds && has(0) && (n == 0 || has(1))
			require.Equal(t, want, b.OK[i/kernel.WordLanes]>>(i%kernel.WordLanes)&1 != 0, "%s, lane %d", e.text, i)
			if want {
				held++
			}
			if want && e.value {
				require.Equal(t, math.Float64bits(v), math.Float64bits(b.V[i]), "%s, lane %d", e.text, i)
			}
		}
		require.InDelta(t, part, float64(held)/maxLanes, 0.08, e.text)
	}
}

func TestColumns(t *testing.T) {
	for _, c := range columns() {
		valid, nans, infinite := 0, 0, 0
		for _, w := range c.OK {
			valid += bits.OnesCount64(w)
		}
		for _, v := range c.V {
			switch {
			case math.IsNaN(v):
				nans++
			case math.IsInf(v, 0):
				infinite++
			}
		}
		require.InDelta(t, 0.98, float64(valid)/maxLanes, 0.005)
		require.InDelta(t, 100, nans, 60)
		require.InDelta(t, 200, infinite, 80)
	}
}

func TestDiffer(t *testing.T) {
	quiet, other := math.Float64frombits(0x7ff8000000000001), math.Float64frombits(0xfff8000000000002)
	block := func(ok uint64, lane int, v float64) *kernel.Block {
		b := &kernel.Block{Words: 1, OK: []uint64{ok}, V: make([]float64, kernel.WordLanes)}
		b.V[lane] = v
		return b
	}
	for _, c := range []struct {
		name   string
		a, b   *kernel.Block
		strict bool // differs bit for bit
		loose  bool // differs where NaN is NaN
	}{
		{"equal", block(2, 1, 5), block(2, 1, 5), false, false},
		{"presence", block(2, 1, 5), block(3, 1, 5), true, true},
		{"a value", block(2, 1, 5), block(2, 1, 6), true, true},
		{"what is absent", block(2, 2, 5), block(2, 2, 6), false, false},
		{"which NaN", block(2, 1, quiet), block(2, 1, other), true, false},
		{"NaN and a number", block(2, 1, quiet), block(2, 1, 6), true, true},
		{"signs of zero", block(2, 1, 0), block(2, 1, math.Copysign(0, -1)), true, true},
	} {
		require.Equal(t, c.strict, differ(c.a, c.b, false) != "", c.name)
		require.Equal(t, c.loose, differ(c.a, c.b, true) != "", c.name)
	}
}

// TestAWrongResultIsAnError has a runner that computes something else.
func TestAWrongResultIsAnError(t *testing.T) {
	in := columns()
	e := expressions()[1]
	x := &cell{number: 1, expression: e, lanes: 1024}
	err := x.enter(&in, wrong{kernel.NewInterpreter(e.program())}, nil)
	require.ErrorContains(t, err, "tier 1 and tier 2 differ: lane ")
}

// wrong spoils a value, and says that it is machine code.
type wrong struct{ kernel.Runner }

func (wrong) Tier() int { return 2 }

func (w wrong) Run(b *kernel.Block) {
	w.Runner.Run(b)
	b.V[bits.TrailingZeros64(b.OK[0])]++
}

func TestWriteText(t *testing.T) {
	ratio := 1.25
	rs := []Result{
		{Expr: "v > c", Lanes: 64, NsPerLane: 1.234, MedianNs: 2, Tier: 1, RatioToTier1: 1},
		{Expr: "v > c", Lanes: 64, NsPerLane: 0.1, MedianNs: 0.2, Tier: 2, RatioToTier1: 12.34, RatioToC: &ratio, CNs: 0.08},
		{Expr: "v > c", Lanes: 1024, NsPerLane: 1.234, MedianNs: 2, Tier: 1, RatioToTier1: 1},
		{Expr: "a + b", Lanes: 1024, NsPerLane: 1.234, MedianNs: 2, Tier: 1, RatioToTier1: 1},
	}
	var out bytes.Buffer
	require.NoError(t, WriteText(&out, rs))
	require.Equal(t, `expression  lanes  tier  ns/lane  median  × tier 1  C ns/lane   × C
v > c          64     1     1.23    2.00      1.00          –     –
                      2    0.100   0.200      12.3      0.080  1.25
             1024     1     1.23    2.00      1.00          –     –
a + b        1024     1     1.23    2.00      1.00          –     –
`, out.String())
}
