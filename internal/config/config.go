package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	amconfig "github.com/prometheus/alertmanager/config"
	commonconfig "github.com/prometheus/common/config"
	"github.com/prometheus/exporter-toolkit/web"
	promconfig "github.com/prometheus/prometheus/config"
	"go.yaml.in/yaml/v3"
)

// LoadOptions holds what a load needs from outside. The zero value is usable.
type LoadOptions struct {
	// LookupEnv resolves ${NAME}. nil: os.LookupEnv. Prometheus's own expansion of global.external_labels always reads
	// the process's environment.
	LookupEnv func(string) (string, bool)
	// Logger takes what Prometheus's loader says below the level of a warning; warnings are in Config.Warnings. nil: nowhere.
	Logger *slog.Logger
}

func (o LoadOptions) withDefaults() LoadOptions {
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Config is one loaded configuration. Nobody may change it: rooms share it.
type Config struct {
	// Path is the file that it came from, "" for Default.
	Path string
	// Prometheus holds Prometheus's sections, paths resolved. ScrapeConfigs includes the jobs of scrape_config_files,
	// and ScrapeConfigFiles is therefore empty. What is not supported (remote_read, tracing, runtime) is not in it.
	Prometheus *promconfig.Config
	// Tocsin is the `tocsin:` section: paths resolved, defaults filled in, Host.Enabled and Rules.Builtin not nil, and
	// History completed from storage.tsdb.
	Tocsin Tocsin
	// Alertmanager is the Alertmanager configuration, nil for the built-in one.
	Alertmanager *amconfig.Config
	// AlertmanagerPath is the file that it came from, "" for the built-in one.
	AlertmanagerPath string
	// ScrapeConfigFiles is the patterns of scrape_config_files, paths resolved.
	ScrapeConfigFiles []string
	// Warnings is what the author of the files should know.
	Warnings []Warning
}

// Load reads the configuration file at path and the files that it names. Its error is an Errors or an *Error.
func Load(path string, o LoadOptions) (*Config, error) {
	content, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, content, o)
}

// Default returns the configuration for running without a file: nothing is scraped but this host and this process,
// every 15 seconds, and the built-in host rules are evaluated as often.
func Default(o LoadOptions) *Config {
	c, err := Parse("", "global: {scrape_interval: 15s, evaluation_interval: 15s}\n", o)
	if err != nil {
		panic("BUG: the default configuration does not load: " + err.Error())
	}
	return c
}

// Parse is Load for content that was read from path before; path names the file in messages, and its directory is where
// relative paths begin. With an empty path there is no file, and host metrics and built-in rules are on by default.
func Parse(path, content string, o LoadOptions) (*Config, error) {
	l := &load{o: o.withDefaults(), dir: filepath.Dir(path), c: &Config{Path: path}}
	doc, next, err := parseDocument(path, content)
	if err != nil {
		return nil, Errors{err.(*Error)}
	}
	if next != nil {
		l.c.Warnings = append(l.c.Warnings, doc.warningAt(next, nil, "a second YAML document begins here; only the first is used"))
	}
	if l.errs = doc.expand(l.o.LookupEnv); len(l.errs) > 0 {
		return nil, l.errs.orNil()
	}
	l.section(doc)
	if l.prometheus(doc); l.c.Prometheus != nil {
		l.scrapeConfigFiles(doc)
		l.history(doc)
	}
	l.webConfig(doc)
	l.alertmanager(doc)
	if len(l.errs) > 0 {
		return nil, l.errs.orNil()
	}
	return l.c, nil
}

// load is one load under way.
type load struct {
	o    LoadOptions
	dir  string
	c    *Config
	set  map[string]*yaml.Node
	errs Errors
}

func (l *load) warn(w ...Warning) { l.c.Warnings = append(l.c.Warnings, w...) }

// section decodes the `tocsin:` key and resolves what is in it.
func (l *load) section(doc *document) {
	t, set, errs := doc.section()
	l.set, l.errs = set, append(l.errs, errs...)
	if set["tocsin.data"] != nil {
		t.Data = commonconfig.JoinDir(l.dir, t.Data)
	}
	t.Web.ConfigFile = commonconfig.JoinDir(l.dir, t.Web.ConfigFile)
	t.Notifications.AlertmanagerConfig = commonconfig.JoinDir(l.dir, t.Notifications.AlertmanagerConfig)
	t.Rules.resolve(l.dir)
	fileless := l.c.Path == ""
	if t.Host.Enabled == nil {
		t.Host.Enabled = &fileless
	}
	if t.Rules.Builtin == nil {
		t.Rules.Builtin = &fileless
	}
	if n := set["tocsin.listen"]; n != nil && ListensBeyondLoopback(t.Listen) && t.Web.ConfigFile == "" {
		l.warn(doc.warningAt(n, path{{key: sectionKey}, {key: "listen"}},
			"other machines could reach %s, and tocsin.web.config_file, which could ask them for a password, is not set: "+
				"tocsin run refuses to listen there", t.Listen))
	}
	l.c.Tocsin = t
}

// prometheus has Prometheus decode its sections.
func (l *load) prometheus(doc *document) {
	jobs, _ := lookup(doc.root, "scrape_configs")
	managers, _ := lookup(doc.root, "alerting", "alertmanagers")
	l.warn(doc.dropDiscovery(jobs, managers)...)
	l.warn(doc.unsupported()...)

	heard := &listener{next: l.o.Logger.Handler()}
	cfg, err := promconfig.Load(doc.text(), slog.New(heard))
	if err != nil {
		quiet := slog.New(slog.DiscardHandler)
		l.errs = append(l.errs, doc.upstreamErrors(err, reflect.TypeFor[promconfig.Config](), func(text string) error {
			_, err := promconfig.Load(text, quiet)
			return err
		})...)
		return
	}
	l.warn(doc.emptyLabels(heard.names)...)
	cfg.SetDirectory(l.dir)
	cfg.RemoteReadConfigs = nil
	cfg.TracingConfig = promconfig.TracingConfig{}
	cfg.Runtime = promconfig.DefaultRuntimeConfig
	l.c.Prometheus = cfg
	l.unmatched(doc, "rule_files", cfg.RuleFiles)
}

// unmatched warns about patterns under the top-level key that no file matches.
func (l *load) unmatched(doc *document, key string, patterns []string) {
	list, ok := lookup(doc.root, key)
	if !ok {
		return
	}
	seq := target(list.value)
	for i, pattern := range patterns {
		if files, err := filepath.Glob(pattern); err == nil && len(files) == 0 && i < len(seq.Content) {
			l.warn(doc.warningAt(seq.Content[i], list.path.with(step{index: i}), "no file matches %s", pattern))
		}
	}
}

// history completes the history's settings from storage.tsdb, which they take precedence over. As in Prometheus, a
// retention section stands for itself: one that names a size alone sets no limit by age.
func (l *load) history(doc *document) {
	h, tsdb := &l.c.Tocsin.History, l.c.Prometheus.StorageConfig.TSDBConfig
	unset := func(field string) bool { return l.set["tocsin.history."+field] == nil }
	if unset("out_of_order_time_window") {
		h.OutOfOrderTimeWindow = tsdb.OutOfOrderTimeWindowFlag
	}
	s, ok := lookup(doc.root, "storage", "tsdb", "retention")
	if !ok || isNull(s.value) {
		return
	}
	r := tsdb.Retention
	// What asks for a percentage alone, which is not supported, wants a limit: the default is one.
	if unset("retention_time") && (r.Time > 0 || r.Percentage == 0) {
		h.RetentionTime = r.Time
	}
	if unset("retention_size") {
		h.RetentionSize = Bytes(r.Size)
	}
	if h.RetentionTime == 0 && h.RetentionSize == 0 {
		l.warn(doc.warningAt(s.key, s.path, "names neither time nor size: samples are kept for ever"))
	}
}

// webConfig checks the file of the HTTP server's TLS and passwords.
func (l *load) webConfig(doc *document) {
	file := l.c.Tocsin.Web.ConfigFile
	if file == "" {
		return
	}
	if err := web.Validate(file); err != nil {
		p := path{{key: sectionKey}, {key: "web"}, {key: "config_file"}}
		l.errs = append(l.errs, doc.errorAt(l.set[p.String()], p, "%s: %s", file, cause(err)))
	}
}

// alertmanager loads the Alertmanager configuration that the section names.
func (l *load) alertmanager(doc *document) {
	file := l.c.Tocsin.Notifications.AlertmanagerConfig
	if file == "" {
		l.fallback(doc, nil, "the built-in Alertmanager configuration has no receivers: name a file with alertmanager_config")
		return
	}
	cfg, warnings, err := LoadAlertmanager(file)
	if err == nil {
		l.c.Alertmanager, l.c.AlertmanagerPath = cfg, file
		l.warn(warnings...)
		l.fallback(doc, cfg.Receivers, "it must be one of the receivers in "+file)
		return
	}
	l.errs = append(l.errs, asErrors(err)...)
	if e, ok := err.(*Error); ok {
		// The file could not be read: its name is what is wrong.
		p := path{{key: sectionKey}, {key: "notifications"}, {key: "alertmanager_config"}}
		l.errs[len(l.errs)-1] = doc.errorAt(l.set[p.String()], p, "%s %s", file, e.Message)
	}
}

// fallback checks that the fallback receiver is one of those there are.
func (l *load) fallback(doc *document, receivers []amconfig.Receiver, otherwise string) {
	name := l.c.Tocsin.Notifications.FallbackReceiver
	if name == "" || slices.ContainsFunc(receivers, func(r amconfig.Receiver) bool { return r.Name == name }) {
		return
	}
	p := path{{key: sectionKey}, {key: "notifications"}, {key: "fallback_receiver"}}
	l.errs = append(l.errs, doc.errorAt(l.set[p.String()], p, "there is no receiver %q; %s", name, otherwise))
}

// Files returns every file that the configuration depends on, for watching: itself, the files that match
// scrape_config_files, the Alertmanager configuration and the templates that match its patterns, the web
// configuration. Patterns are expanded at the time of the call, so that a later call sees files that came since. Rule
// files, and files that Prometheus's own code reads again whenever it uses them (passwords, certificates, file_sd), are not
// among them.
func (c *Config) Files() []string {
	patterns := slices.Clone(c.ScrapeConfigFiles)
	if c.Alertmanager != nil {
		patterns = append(patterns, c.Alertmanager.Templates...)
	}
	var out []string
	for _, f := range []string{c.Path, c.Tocsin.Web.ConfigFile, c.AlertmanagerPath} {
		if f != "" {
			out = append(out, f)
		}
	}
	for _, pattern := range patterns {
		files, _ := filepath.Glob(pattern)
		out = append(out, files...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// MaxExemplars returns how many exemplars storage.exemplars asks to keep, Prometheus's default where it is silent; 0 or less: none.
func (c *Config) MaxExemplars() int64 {
	if e := c.Prometheus.StorageConfig.ExemplarsConfig; e != nil {
		return e.MaxExemplars
	}
	return promconfig.DefaultExemplarsConfig.MaxExemplars
}

// ExternalURL returns web.external_url, or where it is not set http:// with the address that is listened on
// (localhost in place of an unspecified one). The scheme of the default is https where tls is set.
func (t Tocsin) ExternalURL(tls bool) (*url.URL, error) {
	if t.Web.ExternalURL != "" {
		if err := checkURL(t.Web.ExternalURL); err != nil {
			return nil, fmt.Errorf("tocsin.web.external_url: %w", err)
		}
		return url.Parse(t.Web.ExternalURL)
	}
	host, port, err := net.SplitHostPort(t.Listen)
	if err != nil {
		return nil, fmt.Errorf("tocsin.listen: %w", err)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	u := &url.URL{Scheme: "http", Host: net.JoinHostPort(host, port), Path: "/"}
	if tls {
		u.Scheme = "https"
	}
	return u, nil
}
