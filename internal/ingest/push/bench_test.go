package push

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// BenchmarkPush pushes groups of some sizes, to memory only: the disk's time is the disk's.
func BenchmarkPush(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var payload strings.Builder
			payload.WriteString("# TYPE m gauge\n")
			for i := range n {
				fmt.Fprintf(&payload, "m{i=\"%d\",path=\"/some/where\"} %d\n", i, i)
			}
			g := newGateway(b, Options{})
			b.ReportAllocs()
			for b.Loop() {
				if w := do(g, http.MethodPut, "/metrics/job/j", payload.String()); w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
		})
	}
}
