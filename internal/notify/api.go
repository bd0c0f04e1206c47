package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	amalert "github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/api"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/route"
)

// newAPI assembles upstream's API v2. It serves from New on, with the configuration that is applied.
func (n *Notifier) newAPI() error {
	a, err := api.New(api.Options{
		Alerts:          n.store,
		Silences:        n.silences,
		GroupMutedFunc:  n.groupMarker.Muted,
		Concurrency:     n.opts.GetConcurrency,
		Logger:          n.logger.With("component", "api"),
		Registry:        n.opts.Registerer,
		RequestDuration: n.metrics.requestDuration,
		GroupFunc:       n.groups,
	})
	if err != nil {
		return fmt.Errorf("notify: cannot set up the API: %w", err)
	}
	n.api = a
	n.handler = versioned(upstreamRelease(), n.durable(a.Register(route.New(), "/")))
	return nil
}

// Handler serves Alertmanager's API v2. Its paths begin with /api/v2/: mount it there without stripping the prefix.
func (n *Notifier) Handler() http.Handler { return n.handler }

// groups lists the aggregation groups for the API; there are none before Start.
func (n *Notifier) groups(
	ctx context.Context, routes func(*dispatch.Route) bool, alerts func(*amalert.Alert, time.Time) bool,
) (dispatch.AlertGroups, map[model.Fingerprint][]string, error) {
	p := n.current.Load()
	if p == nil {
		return nil, nil, nil
	}
	return p.dispatcher.Groups(ctx, routes, alerts)
}

// setStatus marks for the API whether an alert is silenced or inhibited.
func (n *Notifier) setStatus(ctx context.Context, set model.LabelSet) {
	if p := n.current.Load(); p != nil {
		p.inhibitor.Mutes(ctx, set)
	}
	n.silencer.Mutes(ctx, set)
}

// durable bounds request bodies, and answers a change of silences only once the change is on disk. Upstream writes
// silences every 15 minutes; whoever silenced something expects it to stay silent through a crash.
func (n *Notifier) durable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, n.opts.MaxBodyBytes)
		if !changesSilences(r) {
			next.ServeHTTP(w, r)
			return
		}
		answer := &heldAnswer{header: http.Header{}, status: http.StatusOK}
		next.ServeHTTP(answer, r)
		// Save after a failure too: replacing a silence expires the old one first and may fail thereafter.
		if err := n.silencesFile.save(); err != nil && answer.status < 300 {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			_ = json.NewEncoder(w).Encode("the change of silences is in force until the next restart only: " + err.Error())
			return
		}
		answer.sendTo(w)
	})
}

func changesSilences(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Path == "/api/v2/silences" ||
		r.Method == http.MethodDelete && strings.HasPrefix(r.URL.Path, "/api/v2/silence/")
}

// heldAnswer keeps an answer back. Those to changes of silences are a few bytes.
type heldAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *heldAnswer) Header() http.Header { return a.header }

// Write implements http.ResponseWriter.
func (a *heldAnswer) Write(b []byte) (int, error) { return a.body.Write(b) }

// WriteHeader implements http.ResponseWriter.
func (a *heldAnswer) WriteHeader(status int) { a.status = status }

func (a *heldAnswer) sendTo(w http.ResponseWriter) {
	for k, v := range a.header {
		w.Header()[k] = v
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes()) // the client may be gone; nothing is left to do then
}
