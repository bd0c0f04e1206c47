package chain

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestChain plays some seeds of the simulation; `make simulate` plays many.
func TestChain(t *testing.T) {
	t.Parallel()
	seed, n := uint64(time.Now().UnixNano()), 3
	if again, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		seed = again
	}
	if text := os.Getenv("TOCSIN_SIMULATE_SEEDS"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	var sum totals
	for i := range uint64(n) {
		t.Run(fmt.Sprint(seed+i), func(t *testing.T) {
			t.Logf("SEED=%d plays it again", seed+i)
			simulate(t, seed+i, &sum)
		})
		if t.Failed() && os.Getenv("TOCSIN_SIMULATE_SEEDS") == "" {
			return
		}
	}
	t.Logf("%+v", sum)
	require.Greater(t, sum.Moves, 20*n)
	require.Greater(t, sum.Told, 10*n)
	require.Greater(t, sum.Kills, n)
}

func simulate(t *testing.T, seed uint64, sum *totals) {
	g := newGround(t)
	synctest.Test(t, func(t *testing.T) {
		g.t = t
		s := newStory(g, seed)
		defer func() {
			if t.Failed() {
				t.Logf("what happened:\n%s", strings.Join(s.log, "\n"))
			}
		}()
		defer func() {
			s.p.end()
			for _, h := range s.hooks {
				require.NoError(t, h.Close())
			}
		}()
		s.tell(30 * time.Minute)
		s.check(t, sum)
	})
}
