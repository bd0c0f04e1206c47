package rule

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
)

// contentID computes Rule.ID: 32 hex digits of a SHA-256 over length-prefixed fields, so that no two different rules
// run together into one text.
func contentID(r *Rule) string {
	h := sha256.New()
	writeText(h, string(r.Kind), r.Name, r.Plan.String())
	writeDuration(h, r.For)
	writeDuration(h, r.KeepFiringFor)
	for _, ls := range []labels.Labels{r.Labels, r.Annotations} {
		writeDuration(h, time.Duration(ls.Len()))
		ls.Range(func(l labels.Label) { writeText(h, l.Name, l.Value) })
	}
	if r.Clear != nil || r.OnMissing != alert.MissingResolves || r.Flap != (Flap{}) { // Others keep the ID that they always had.
		clear, onMissing := "", "" // The default goes without saying.
		if r.Clear != nil {
			clear = r.Clear.String()
		}
		if r.OnMissing != alert.MissingResolves {
			onMissing = r.OnMissing.String()
		}
		writeText(h, clear, onMissing)
		writeDuration(h, time.Duration(r.Flap.Transitions))
		writeDuration(h, r.Flap.Within)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// contentHash is a file's version: the hex SHA-256 of its bytes.
func contentHash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func writeText(h hash.Hash, texts ...string) {
	for _, s := range texts {
		writeDuration(h, time.Duration(len(s)))
		h.Write([]byte(s))
	}
}

func writeDuration(h hash.Hash, d time.Duration) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(d))
	h.Write(b[:])
}
