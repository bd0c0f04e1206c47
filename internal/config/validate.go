package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"

	"github.com/prometheus/common/model"
)

// problem is one bad value of the section; field is its path below `tocsin`.
type problem struct{ field, message string }

// Validate checks the values of t, for those who fill it by other ways than a file.
func (t Tocsin) Validate() error {
	var errs Errors
	for _, p := range t.problems() {
		path := sectionKey + "." + p.field
		errs = append(errs, &Error{Path: path, Message: path + ": " + p.message})
	}
	return errs.orNil()
}

func (t Tocsin) problems() (out []problem) {
	bad := func(field, format string, args ...any) {
		out = append(out, problem{field, fmt.Sprintf(format, args...)})
	}
	if err := checkListen(t.Listen); err != nil {
		bad("listen", "%s", err)
	}
	if t.Data == "" {
		bad("data", "is empty; name a directory")
	}
	for field, d := range map[string]model.Duration{
		"shutdown_timeout":        t.ShutdownTimeout,
		"query.timeout":           t.Query.Timeout,
		"query.lookback_delta":    t.Query.LookbackDelta,
		"notifications.retention": t.Notifications.Retention,

		"notifications.dead_letter_after": t.Notifications.DeadLetterAfter,
		"notifications.min_backoff":       t.Notifications.MinBackoff,
		"notifications.max_backoff":       t.Notifications.MaxBackoff,

		"push.interval":        t.Push.Interval,
		"host.interval":        t.Host.Interval,
		"self_scrape.interval": t.SelfScrape.Interval,
	} {
		if d <= 0 {
			bad(field, "must be longer than 0s")
		}
	}
	for field, n := range map[string]int64{
		"query.max_samples":        int64(t.Query.MaxSamples),
		"query.max_concurrency":    int64(t.Query.MaxConcurrency),
		"limits.body_size":         int64(t.Limits.BodySize),
		"limits.decompressed_size": int64(t.Limits.DecompressedSize),
		"rules.windows.max_size":   int64(t.Rules.Windows.MaxSize),

		"notifications.max_waiting": int64(t.Notifications.MaxWaiting),
	} {
		if n <= 0 {
			bad(field, "must be more than 0")
		}
	}
	if s := t.Ledger.MaxSize; s != 0 && s < 1*MiB {
		bad("ledger.max_size", "must be at least 1MiB, or 0 for no limit")
	}
	if err := checkURL(t.Web.ExternalURL); err != nil {
		bad("web.external_url", "%s", err)
	}
	if _, err := regexp.Compile("^(?:" + t.Web.CORSOrigin + ")$"); err != nil {
		bad("web.cors_origin", "%s", err)
	}
	for i, c := range t.Host.Collectors {
		if slices.Contains(t.Host.Collectors[:i], c) {
			bad("host.collectors", "collector %q stands in the list twice", c)
		}
	}
	out = append(out, t.Notifications.problems()...)
	out = append(out, t.Rules.problems()...)
	out = append(out, t.JIT.problems()...)
	slices.SortFunc(out, func(a, b problem) int { return slices.Compare([]string{a.field}, []string{b.field}) })
	return out
}

func (n Notifications) problems() (out []problem) {
	bad := func(field, format string, args ...any) {
		out = append(out, problem{"notifications." + field, fmt.Sprintf(format, args...)})
	}
	if n.MinBackoff > n.MaxBackoff && n.MaxBackoff > 0 {
		bad("min_backoff", "%s is longer than max_backoff, %s", n.MinBackoff, n.MaxBackoff)
	}
	if n.FallbackAfter > 0 && n.FallbackReceiver == "" {
		bad("fallback_after", "has no effect without a fallback_receiver: name one")
	}
	if n.FallbackAfter > n.DeadLetterAfter && n.DeadLetterAfter > 0 {
		bad("fallback_after", "%s is longer than dead_letter_after, %s: a message is a dead letter by then", n.FallbackAfter, n.DeadLetterAfter)
	}
	return out
}

func checkListen(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not an address to listen on; write host:port, such as 127.0.0.1:9909", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return fmt.Errorf("%q has no port between 0 and 65535", addr)
	}
	return nil
}

func checkURL(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil {
		return fmt.Errorf("%q is not a URL", s)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q is not a URL that begins with http:// or https:// and names a host", s)
	}
	return nil
}

// ListensBeyondLoopback says whether others than this machine can reach addr (host:port). A host name that is no
// address counts as such, except localhost.
func ListensBeyondLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || host == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !ip.IsLoopback()
}
