package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// maxBody bounds what a receiver reads of a request, in bytes.
const maxBody = 16 << 20

// WebhookRequest is one request to a Webhook.
type WebhookRequest struct {
	// Received is when the body had been read.
	Received time.Time
	Method   string
	Path     string
	Header   http.Header
	Body     []byte
	// Message is the body as Alertmanager's webhook format; Err says why it is none.
	Message WebhookMessage
	Err     error
	// Status is what the answer was; 0 for a request that was left without one.
	Status int
}

// WebhookMessage is the body of a notification, version 4 of Alertmanager's webhook format
// (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).
type WebhookMessage struct {
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   uint64            `json:"truncatedAlerts"`
	Status            string            `json:"status"`
	Receiver          string            `json:"receiver"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Alerts            []WebhookAlert    `json:"alerts"`
}

// WebhookAlert is one alert of a notification.
type WebhookAlert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

// Webhook is a receiver of Alertmanager's webhook notifications.
type Webhook struct {
	*server
	requests *log[WebhookRequest]
}

// NewWebhook starts a receiver that answers 200 until told otherwise.
func NewWebhook() (*Webhook, error) {
	h := &Webhook{requests: newLog[WebhookRequest]()}
	var err error
	h.server, err = newServer(h.serve)
	if err != nil {
		return nil, err
	}
	return h, nil
}

// NewWebhookOn is NewWebhook on a listener, of a Network for instance.
func NewWebhookOn(listener net.Listener) *Webhook {
	h := &Webhook{requests: newLog[WebhookRequest]()}
	h.server = serveOn(listener, h.serve)
	return h
}

// URL is where notifications go; every path is taken.
func (h *Webhook) URL() string { return h.url + "/" }

// Requests returns every request so far, refused and hanging ones too, in order of arrival.
func (h *Webhook) Requests() []WebhookRequest { return h.requests.all() }

// Wait returns all requests once there are at least n, or an error once ctx has ended.
func (h *Webhook) Wait(ctx context.Context, n int) ([]WebhookRequest, error) {
	return h.requests.wait(ctx, n)
}

// Forget drops the requests so far.
func (h *Webhook) Forget() { h.requests.forget() }

// Alerts returns the alerts of every request that was answered with success, in order of arrival.
func (h *Webhook) Alerts() []WebhookAlert {
	var all []WebhookAlert
	for _, r := range h.Requests() {
		if r.Status/100 == 2 {
			all = append(all, r.Message.Alerts...)
		}
	}
	return all
}

func (h *Webhook) serve(s *server, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	req := WebhookRequest{Received: time.Now(), Method: r.Method, Path: r.URL.Path, Header: r.Header.Clone(), Body: body, Err: err}
	if err == nil {
		req.Message, req.Err = decodeWebhook(body)
	}
	b := s.take()
	req.Status = b.status(http.StatusOK)
	h.requests.add(req)
	b.perform(w, r, s.closing)
}

// status is what b answers where success is as given; 0 for no answer.
func (b Behaviour) status(success int) int {
	switch {
	case b.Hang || b.Drop:
		return 0
	case b.Status == 0:
		return success
	}
	return b.Status
}

// decodeWebhook reads a notification and checks what the format promises.
func decodeWebhook(body []byte) (WebhookMessage, error) {
	var m WebhookMessage
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("not a webhook notification: %w", err)
	}
	switch {
	case m.Version != "4":
		return m, fmt.Errorf("webhook notification: version is %q, not \"4\"", m.Version)
	case m.Status != "firing" && m.Status != "resolved":
		return m, fmt.Errorf("webhook notification: status is %q, neither firing nor resolved", m.Status)
	case len(m.Alerts) == 0:
		return m, fmt.Errorf("webhook notification: no alerts")
	}
	return m, nil
}
