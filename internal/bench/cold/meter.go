package cold

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"time"
)

// meter reads what the process takes of the machine.
type meter struct {
	// cpu returns the processor time of the process so far.
	cpu func() time.Duration
}

// reading is a moment on the clock on the wall and that of the process.
type reading struct {
	wall time.Time
	cpu  time.Duration
}

func (m meter) now() reading { return reading{time.Now(), m.cpu()} }

// cost is time on both clocks.
type cost struct{ wall, cpu time.Duration }

// since returns what went by after r.
func (m meter) since(r reading) cost {
	wall := time.Since(r.wall) // First, so that reading the other clock is not in it.
	return cost{wall, m.cpu() - r.cpu}
}

func (c *cost) add(d cost) {
	c.wall += d.wall
	c.cpu += d.cpu
}

// resident returns how many bytes of the process stand in memory by Linux's /proc; 0 where there is none.
func resident() int64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if value, ok := strings.CutPrefix(sc.Text(), "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}
