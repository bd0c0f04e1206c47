package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/tenant"
)

// CompatibleVersion is the Prometheus release whose API is served: what /api/v1/status/buildinfo reports as `version`,
// because clients (Grafana among them) choose endpoints and parameters by it. tocsin's own version stands beside it.
const CompatibleVersion = "3.15.0"

// Options configures a Server. The zero value of every field has a meaning; only Compiler must be given.
type Options struct {
	// Compiler parses the selectors and expressions that requests carry. Required.
	Compiler *plan.Compiler
	// Logger takes the server's own lines; nil discards them.
	Logger *slog.Logger
	// Registerer takes the server's own metrics; may be nil.
	Registerer prometheus.Registerer
	// Gatherer is what /metrics exposes; nil exposes nothing.
	Gatherer prometheus.Gatherer
	// Clock tells the time to pages and APIs; nil means time.Now.
	Clock func() time.Time

	// Tenants are mounted by New. It may be nil: until SetTenants the server answers health checks, and 503 to all that
	// belongs to a tenant.
	Tenants map[tenant.ID]*Tenant

	// ListenAddress is what the operator asked to listen on, for the guard against DNS rebinding and for the links that
	// /api/v1/targets makes out of loopback addresses.
	ListenAddress string
	// WebConfigFile is an exporter-toolkit web configuration (TLS, basic_auth_users); empty means plain HTTP.
	WebConfigFile string
	// ExternalURL is where people reach this server; nil means http://<ListenAddress>.
	ExternalURL *url.URL
	// AllowedHosts are further Host header names to accept while listening on loopback without authentication.
	AllowedHosts []string
	// PageTitle is what the pages call this instance; empty means "tocsin".
	PageTitle string
	// CORSOrigin is a regular expression, anchored at both ends, of the origins whose pages may read the API. Empty
	// allows none, unlike Prometheus, whose default allows every page of the web to read it.
	CORSOrigin string

	// ReadHeaderTimeout bounds reading a request's headers (default 10 s), ReadTimeout reading all of it (5 min),
	// WriteTimeout answering it (10 min), and IdleTimeout how long an idle connection is kept (2 min).
	ReadHeaderTimeout, ReadTimeout, WriteTimeout, IdleTimeout time.Duration
	// MaxHeaderBytes bounds a request's line and headers together; default 256 KiB, since queries travel in URLs.
	MaxHeaderBytes int

	// EnableAdminAPI serves /api/v1/admin/tsdb/*.
	EnableAdminAPI bool
	// EnablePprof serves /debug/pprof/*; otherwise those paths do not exist.
	EnablePprof bool
	// EnableQuit lets POST /-/quit call Quit.
	EnableQuit bool

	// Reload applies the configuration again and returns why it could not; nil makes /-/reload answer 501.
	Reload func() error
	// Quit asks the process to stop, and returns at once.
	Quit func()
	// ConfigState tells how the last reload went; nil means that there is nothing to reload.
	ConfigState func() ConfigState

	// Handlers are further routes, by http.ServeMux pattern; they stand beside the tenants' and behind the guards.
	Handlers map[string]http.Handler

	// Flags are shown by /api/v1/status/flags.
	Flags map[string]string
	// Build says what is running.
	Build Build
	// StorageRetention is shown by /api/v1/status/runtimeinfo, for example "15d or 10GiB".
	StorageRetention string
	// LookbackDelta is the query engine's, for /federate; default 5 min.
	LookbackDelta time.Duration
}

// Build says what is running.
type Build struct {
	Version, Revision, Branch, User, Date string
}

// ConfigState is the outcome of the last attempt to load the configuration.
type ConfigState struct {
	// File is the configuration's path, empty when tocsin runs without one.
	File string `json:"file"`
	// LastReloadSuccessful is whether the configuration on disk, as it was at Time, is the one that runs.
	LastReloadSuccessful bool `json:"last_reload_successful"`
	// Error is why not, empty otherwise.
	Error string `json:"error"`
	// Time is when the last attempt was made.
	Time time.Time `json:"time"`
	// Warnings name what was read and is not supported, or is doubtful.
	Warnings []string `json:"warnings,omitempty"`
}

const (
	defaultReadHeaderTimeout = 10 * time.Second
	defaultReadTimeout       = 5 * time.Minute
	defaultWriteTimeout      = 10 * time.Minute
	defaultIdleTimeout       = 2 * time.Minute
	defaultMaxHeaderBytes    = 256 << 10
	defaultLookbackDelta     = 5 * time.Minute
)

// withDefaults returns o with defaults in place of zeros.
func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.PageTitle == "" {
		o.PageTitle = "tocsin"
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Gatherer == nil {
		o.Gatherer = prometheus.NewRegistry()
	}
	if o.ExternalURL == nil {
		o.ExternalURL = &url.URL{Scheme: "http", Host: o.ListenAddress}
	}
	orDefault(&o.ReadHeaderTimeout, defaultReadHeaderTimeout)
	orDefault(&o.ReadTimeout, defaultReadTimeout)
	orDefault(&o.WriteTimeout, defaultWriteTimeout)
	orDefault(&o.IdleTimeout, defaultIdleTimeout)
	orDefault(&o.LookbackDelta, defaultLookbackDelta)
	orDefault(&o.MaxHeaderBytes, defaultMaxHeaderBytes)
	return o
}

func orDefault[T time.Duration | int](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// Validate says which field is unusable and why.
func (o Options) Validate() error {
	var errs []error
	if o.Compiler == nil {
		errs = append(errs, errors.New("web: Options.Compiler is missing"))
	}
	if o.ListenAddress != "" {
		if _, _, err := net.SplitHostPort(o.ListenAddress); err != nil {
			errs = append(errs, fmt.Errorf("web: listen address %q: %w; write it as HOST:PORT", o.ListenAddress, err))
		}
	}
	if _, err := compileOrigin(o.CORSOrigin); err != nil {
		errs = append(errs, err)
	}
	if o.EnableQuit && o.Quit == nil {
		errs = append(errs, errors.New("web: Options.EnableQuit without Options.Quit"))
	}
	for id, t := range o.Tenants {
		if err := t.validate(); err != nil {
			errs = append(errs, fmt.Errorf("web: tenant %q: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

// compileOrigin anchors pattern; the empty one matches no origin.
func compileOrigin(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return regexp.Compile(`[^\s\S]`)
	}
	re, err := regexp.Compile("^(?:" + pattern + ")$")
	if err != nil {
		return nil, fmt.Errorf("web: CORS origin %q is no regular expression: %w", pattern, err)
	}
	return re, nil
}
