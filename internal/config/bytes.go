package config

import (
	"fmt"
	"strconv"

	"github.com/alecthomas/units"
)

// Bytes is a number of bytes. In the file it is written as Prometheus writes sizes: a number with a unit, in powers of
// 1024 whether spelt KiB, MiB, GiB or KB, MB, GB; a number without a unit is bytes.
type Bytes int64

// Sizes for defaults.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
)

// ParseBytes reads a size such as "32MiB", "1GB", "1.5GiB" or "4096". A negative size is an error.
func ParseBytes(s string) (Bytes, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if n < 0 {
			return 0, fmt.Errorf("%q is negative", s)
		}
		return Bytes(n), nil
	}
	n, err := units.ParseBase2Bytes(s)
	if err != nil {
		return 0, fmt.Errorf("not a size: %q", s)
	}
	if n < 0 {
		return 0, fmt.Errorf("%q is negative or larger than can be counted", s)
	}
	return Bytes(n), nil
}

// String returns the shortest exact spelling in one unit: "32MiB", "1536KiB", "0".
func (b Bytes) String() string {
	for _, u := range []struct {
		size Bytes
		name string
	}{{GiB << 10, "TiB"}, {GiB, "GiB"}, {MiB, "MiB"}, {KiB, "KiB"}} {
		if b != 0 && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}
