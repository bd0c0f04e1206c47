package config

import (
	"context"
	"log/slog"
	"slices"
	"strings"
)

// unsupported returns a warning for every setting of Prometheus that is valid and has no effect here.
func (d *document) unsupported() (warnings []Warning) {
	return d.presentOf([]unsupportedField{
		{"remote_read", "is not supported: queries see only what this instance stores"},
		{"tracing", "is not supported: no traces are sent"},
		{"runtime", "is not supported: use the environment variable GOGC and the flag --log.level"},
		{"global.query_log_file", "is not supported: queries are not logged"},
		{"storage.tsdb.retention.percentage", "is not supported: use retention.size"},
		{"storage.tsdb.stale_series_compaction_threshold", "is not supported and has no effect"},
		{"storage.tsdb.chunk_encoding", "is not supported and has no effect"},
	})
}

// unsupportedAlertmanager is unsupported for an Alertmanager file.
func (d *document) unsupportedAlertmanager() []Warning {
	return d.presentOf([]unsupportedField{
		{"tracing", "is not supported: no traces are sent"},
		{"event_recorder", "is not supported: no events are recorded"},
	})
}

type unsupportedField struct{ path, message string }

func (d *document) presentOf(fields []unsupportedField) (warnings []Warning) {
	for _, f := range fields {
		if s, ok := lookup(d.root, strings.Split(f.path, ".")...); ok && !isNull(s.value) {
			warnings = append(warnings, d.warningAt(s.key, s.path, "%s", f.message))
		}
	}
	return warnings
}

// emptyLabels returns a warning for each environment variable that Prometheus found to be empty when it expanded
// global.external_labels.
func (d *document) emptyLabels(names []string) (warnings []Warning) {
	labels, ok := lookup(d.root, "global", "external_labels")
	if !ok {
		return nil
	}
	for _, name := range names {
		at := labels
		walk(target(labels.value), labels.path, func(s spot) bool {
			if strings.Contains(s.value.Value, "$"+name) || strings.Contains(s.value.Value, "${"+name+"}") {
				at = s
			}
			return true
		})
		warnings = append(warnings, d.warningAt(at.node(), at.path, "the environment variable %s is empty or not set", name))
	}
	return warnings
}

// listener is a slog.Handler that keeps the names of empty environment variables, the one thing that Prometheus's loader
// warns about, and passes lower levels on.
type listener struct {
	next  slog.Handler
	names []string
}

func (l *listener) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || l.next.Enabled(ctx, level)
}

func (l *listener) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return l.next.Handle(ctx, r)
	}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "name" && !slices.Contains(l.names, a.Value.String()) {
			l.names = append(l.names, a.Value.String())
		}
		return true
	})
	return nil
}

// WithAttrs and WithGroup are not used by Prometheus's loader, whose records are flat.
func (l *listener) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup does nothing, see WithAttrs.
func (l *listener) WithGroup(string) slog.Handler { return l }
