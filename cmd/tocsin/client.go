package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/prometheus/client_golang/api"
	commonconfig "github.com/prometheus/common/config"
)

// serverFlags say which server a command talks to, and as whom.
type serverFlags struct {
	URL        string `help:"Server to talk to (default http://127.0.0.1:9909)." default:"http://127.0.0.1:9909" env:"TOCSIN_URL" placeholder:"URL"`
	HTTPConfig string `name:"http.config.file" help:"HTTP client configuration (TLS, basic auth, …) in Prometheus's format." placeholder:"FILE" type:"path"`
	Tenant     string `help:"Tenant to act as; the server's default when empty." placeholder:"NAME"`
}

// client returns an HTTP client that authenticates and names the tenant as the flags say.
func (f serverFlags) client() (*http.Client, *url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(f.URL, "/"))
	if err != nil || u.Host == "" {
		return nil, nil, fmt.Errorf("--url %q: not an http(s) URL", f.URL)
	}
	rt := http.RoundTripper(api.DefaultRoundTripper)
	if f.HTTPConfig != "" {
		cfg, _, err := commonconfig.LoadHTTPConfigFile(f.HTTPConfig)
		if err != nil {
			return nil, nil, fmt.Errorf("--http.config.file: %w", err)
		}
		if rt, err = commonconfig.NewRoundTripperFromConfig(*cfg, "tocsin"); err != nil {
			return nil, nil, fmt.Errorf("--http.config.file: %w", err)
		}
	}
	if f.Tenant != "" {
		rt = tenantRoundTripper{tenant: f.Tenant, next: rt}
	}
	return &http.Client{Transport: rt}, u, nil
}

type tenantRoundTripper struct {
	tenant string
	next   http.RoundTripper
}

func (t tenantRoundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Scope-OrgID", t.tenant)
	return t.next.RoundTrip(r)
}
