package notify

import (
	"math/rand/v2"
	"time"
)

// backoff returns how long to wait after the n-th failure in a row, n from 1: from least on, twice as long each time, at
// most as long as most, and of that a random share between half and all, so that what failed together does not come back
// together.
func backoff(n int, least, most time.Duration, r *rand.Rand) time.Duration {
	d := least
	for i := 1; i < n && d < most; i++ {
		d *= 2
	}
	d = min(d, most)
	half := d / 2
	return half + time.Duration(r.Int64N(int64(d-half)+1))
}
