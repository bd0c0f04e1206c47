package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// SlackRequest is one message to a Slack.
type SlackRequest struct {
	Received time.Time
	Path     string
	Header   http.Header
	Body     []byte
	Message  SlackMessage
	// Err says why the body is no message.
	Err error
	// Status is what the answer was; 0 for a request that was left without one.
	Status int
}

// SlackMessage is what a message has that alerts use (https://api.slack.com/reference/messaging/payload).
type SlackMessage struct {
	Channel     string            `json:"channel"`
	Username    string            `json:"username"`
	IconEmoji   string            `json:"icon_emoji"`
	Text        string            `json:"text"`
	Attachments []SlackAttachment `json:"attachments"`
}

// SlackAttachment is one attachment of a message.
type SlackAttachment struct {
	Title     string       `json:"title"`
	TitleLink string       `json:"title_link"`
	Pretext   string       `json:"pretext"`
	Text      string       `json:"text"`
	Fallback  string       `json:"fallback"`
	Color     string       `json:"color"`
	Footer    string       `json:"footer"`
	Fields    []SlackField `json:"fields"`
}

// SlackField is one field of an attachment.
type SlackField struct {
	Title string `json:"title"`
	Value string `json:"value"`
	Short bool   `json:"short"`
}

// Slack is an endpoint of Slack's shape: an incoming webhook at URL, chat.postMessage at APIURL.
type Slack struct {
	*server
	requests *log[SlackRequest]
}

// NewSlack starts an endpoint that takes every message until told otherwise.
func NewSlack() (*Slack, error) {
	k := &Slack{requests: newLog[SlackRequest]()}
	var err error
	k.server, err = newServer(k.serve)
	if err != nil {
		return nil, err
	}
	return k, nil
}

// URL is an incoming webhook's.
func (k *Slack) URL() string { return k.url + "/services/T00000000/B00000000/secret" }

// APIURL is chat.postMessage's.
func (k *Slack) APIURL() string { return k.url + "/api/chat.postMessage" }

// Requests returns every request so far, in order of arrival.
func (k *Slack) Requests() []SlackRequest { return k.requests.all() }

// Wait returns all requests once there are at least n, or an error once ctx has ended.
func (k *Slack) Wait(ctx context.Context, n int) ([]SlackRequest, error) {
	return k.requests.wait(ctx, n)
}

func (k *Slack) serve(s *server, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	req := SlackRequest{Received: time.Now(), Path: r.URL.Path, Header: r.Header.Clone(), Body: body, Err: err}
	if err == nil {
		req.Message, req.Err = decodeSlack(r, body)
	}
	b := s.take()
	if b.Status == 0 && req.Err != nil {
		b.Status, b.Body = http.StatusBadRequest, "invalid_payload" // As Slack answers.
	}
	req.Status = b.status(http.StatusOK)
	k.requests.add(req)
	if b.perform(w, r, s.closing) {
		return
	}
	if strings.HasPrefix(r.URL.Path, "/api/") {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(w).Encode(map[string]any{"ok": true, "channel": req.Message.Channel, "ts": "1700000000.000100"})
		return
	}
	_, _ = io.WriteString(w, "ok")
}

// decodeSlack reads a message and refuses what Slack refuses.
func decodeSlack(r *http.Request, body []byte) (SlackMessage, error) {
	var m SlackMessage
	if r.Method != http.MethodPost {
		return m, fmt.Errorf("slack message: method is %s, not POST", r.Method)
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("slack message: %w", err)
	}
	if m.Text == "" && len(m.Attachments) == 0 {
		return m, fmt.Errorf("slack message: neither text nor attachments")
	}
	return m, nil
}
