// Package drill proves that an alert gets through. A Desk watches one drill's way through the server: from the
// transition of the built-in rule TocsinDrill to the webhook that the notification pipeline really sends.
//
// It must not know how samples come in or how rules run: the breach enters by the front door like any other sample.
package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tocsin/tocsin/internal/alert"
)

// The names by which the drill's sample, rule and label are known. The rule stands in the built-in rule files.
const (
	Metric    = "tocsin_drill"
	AlertName = "TocsinDrill"
	Label     = "drill"
)

const (
	// maxOpen bounds the drills that are remembered; the oldest is forgotten first.
	maxOpen = 1024
	// maxWait bounds how long one request waits for a drill's end.
	maxWait = 2 * time.Minute
	// maxHookBody bounds what the desk reads of its own pipeline's webhook, in bytes.
	maxHookBody = 1 << 20
)

// Outcome is what the desk saw of one drill.
type Outcome struct {
	ID        string `json:"id"`
	Fired     bool   `json:"fired"`
	Delivered bool   `json:"delivered"`
	// DeliveryMS is from the transition to firing, recorded, to the webhook's arrival; milliseconds.
	DeliveryMS float64 `json:"delivery_ms"`
}

// Desk receives the drill webhook on a loopback listener of its own and answers questions about drills.
type Desk struct {
	logger   *slog.Logger
	listener net.Listener
	server   *http.Server
	done     chan struct{}
	// stopping is closed when nobody is to wait any more.
	stopping chan struct{}
	stop     sync.Once

	mu     sync.Mutex
	drills map[string]*run
	order  []string // of drills, oldest first
}

type run struct {
	fired, delivered time.Time
	ended            chan struct{} // closed on delivery
}

// NewDesk opens the desk's loopback listener. Start and then Stop must follow. A nil logger discards.
func NewDesk(logger *slog.Logger) (*Desk, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("drill: open a loopback port for the drill receiver: %w", err)
	}
	d := &Desk{logger: logger, listener: l, drills: map[string]*run{}, done: make(chan struct{}), stopping: make(chan struct{})}
	d.server = &http.Server{Handler: http.HandlerFunc(d.hook), ReadHeaderTimeout: 5 * time.Second}
	return d, nil
}

// HookURL is where the notification pipeline's drill receiver sends its webhook.
func (d *Desk) HookURL() string { return "http://" + d.listener.Addr().String() + "/" }

// Start serves the webhook until Stop.
func (d *Desk) Start() {
	go func() {
		defer close(d.done)
		if err := d.server.Serve(d.listener); !errors.Is(err, http.ErrServerClosed) {
			d.logger.Error("The drill's receiver ended; drills will not be delivered", "err", err)
		}
	}()
}

// EndWaits answers whoever waits for a drill with what was seen so far, and lets nobody wait any more.
func (d *Desk) EndWaits() { d.stop.Do(func() { close(d.stopping) }) }

// Stop ends the desk, which must have been started.
func (d *Desk) Stop() {
	d.EndWaits()
	_ = d.server.Close() // the listener's error, if any, leaves nothing to do
	<-d.done
}

// Observe takes note of a transition that concerns a drill.
func (d *Desk) Observe(_ context.Context, t alert.Transition) {
	if t.Rule != AlertName || t.To != alert.Firing {
		return
	}
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.get(t.Labels.Get(Label)); r.fired.IsZero() {
		r.fired = now
	}
}

// hook receives Alertmanager's webhook format: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config.
func (d *Desk) hook(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	var msg struct {
		Alerts []struct {
			Status string            `json:"status"`
			Labels map[string]string `json:"labels"`
		} `json:"alerts"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxHookBody)).Decode(&msg); err != nil {
		http.Error(w, "not a webhook message: "+err.Error(), http.StatusBadRequest)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range msg.Alerts {
		if a.Labels["alertname"] != AlertName || a.Status != "firing" {
			continue
		}
		if run := d.get(a.Labels[Label]); run.delivered.IsZero() {
			run.delivered = now
			close(run.ended)
		}
	}
}

// get returns the drill's run, making it if need be. The caller holds mu.
func (d *Desk) get(id string) *run {
	if r, ok := d.drills[id]; ok {
		return r
	}
	if len(d.order) == maxOpen {
		delete(d.drills, d.order[0])
		d.order = d.order[1:]
	}
	r := &run{ended: make(chan struct{})}
	d.drills[id] = r
	d.order = append(d.order, id)
	return r
}

// Wait blocks until the drill is delivered, ctx ends or the desk stops, and says what was seen by then.
func (d *Desk) Wait(ctx context.Context, id string) Outcome {
	d.mu.Lock()
	r := d.get(id)
	d.mu.Unlock()
	select {
	case <-r.ended:
	case <-ctx.Done():
	case <-d.stopping:
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	o := Outcome{ID: id, Fired: !r.fired.IsZero(), Delivered: !r.delivered.IsZero()}
	if o.Fired && o.Delivered {
		o.DeliveryMS = float64(r.delivered.Sub(r.fired).Microseconds()) / 1000
	}
	return o
}

// ServeHTTP answers GET ?id=ID&timeout=DURATION with the drill's Outcome, waiting for its end.
func (d *Desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.FormValue("id")
	timeout, err := time.ParseDuration(r.FormValue("timeout"))
	if id == "" || len(id) > 64 || err != nil || timeout < 0 {
		http.Error(w, "want id=ID (at most 64 bytes) and timeout=DURATION such as 30s", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), min(timeout, maxWait))
	defer cancel()
	w.Header().Set("Content-Type", "application/json")
	// A client that went away is no error of the desk's.
	_ = json.NewEncoder(w).Encode(d.Wait(ctx, id))
}
