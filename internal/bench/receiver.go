package bench

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// receiver is a webhook that takes note of when it heard of each probe.
type receiver struct {
	listener net.Listener
	server   *http.Server
	done     chan struct{}

	mu   sync.Mutex
	hits map[string]time.Time // by the probe's label
}

func newReceiver() (*receiver, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{listener: l, done: make(chan struct{}), hits: map[string]time.Time{}}
	r.server = &http.Server{Handler: http.HandlerFunc(r.hook), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		defer close(r.done)
		_ = r.server.Serve(l) // An error other than the end shows as probes that are lost.
	}()
	return r, nil
}

func (r *receiver) url() string { return "http://" + r.listener.Addr().String() + "/" }

func (r *receiver) close() {
	_ = r.server.Close()
	<-r.done
}

// hook takes Alertmanager's webhook format: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config.
func (r *receiver) hook(w http.ResponseWriter, req *http.Request) {
	now := time.Now()
	var message struct {
		Alerts []struct {
			Labels map[string]string `json:"labels"`
		} `json:"alerts"`
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, 16<<20))
	if err != nil || json.Unmarshal(body, &message) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range message.Alerts {
		id := a.Labels[probeLabel]
		if _, again := r.hits[id]; id != "" && !again {
			r.hits[id] = now
		}
	}
}

// hit returns when the receiver heard of a probe.
func (r *receiver) hit(id string) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, ok := r.hits[id]
	return t, ok
}
