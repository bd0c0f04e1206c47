package notify

import (
	"encoding/json"
	"net/http"
	"runtime/debug"
	"strings"
)

// versioned fills in release, which may be empty, in the answer to GET /api/v2/status. Upstream takes it from what its own release build
// sets, which a library's user does not have; amtool compares it with its own and warns at every call.
func versioned(release string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if release == "" || r.Method != http.MethodGet || r.URL.Path != "/api/v2/status" {
			next.ServeHTTP(w, r)
			return
		}
		answer := &heldAnswer{header: http.Header{}, status: http.StatusOK}
		next.ServeHTTP(answer, r)
		if b, ok := withRelease(answer.body.Bytes(), release); ok && answer.status == http.StatusOK {
			answer.body.Reset()
			answer.body.Write(b)
		}
		answer.sendTo(w)
	})
}

// withRelease sets versionInfo.version of a status where it is empty, and reports whether it did.
func withRelease(status []byte, release string) ([]byte, bool) {
	var whole map[string]json.RawMessage
	var info map[string]string
	if json.Unmarshal(status, &whole) != nil || json.Unmarshal(whole["versionInfo"], &info) != nil ||
		info == nil || info["version"] != "" {
		return nil, false
	}
	info["version"] = release
	var err error
	if whole["versionInfo"], err = json.Marshal(info); err != nil {
		return nil, false
	}
	b, err := json.Marshal(whole)
	return append(b, '\n'), err == nil
}

// upstreamRelease is the embedded Alertmanager's, such as "0.34.2"; empty where the build does not say,
// as builds of tests do not.
func upstreamRelease() string {
	bi, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, d := range bi.Deps {
		if d.Path == "github.com/prometheus/alertmanager" {
			return strings.TrimPrefix(d.Version, "v")
		}
	}
	return ""
}
