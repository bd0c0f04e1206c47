package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// sender writes to one server by remote write 1.0 over connections of its own.
type sender struct {
	client *http.Client
	// base is the server's, url where samples are written to.
	base, url string
}

// newSender talks to the server at base, e.g. http://127.0.0.1:9909.
func newSender(base string) *sender {
	base = strings.TrimSuffix(base, "/")
	return &sender{
		base:   base,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second},
		url:    base + "/api/v1/write",
	}
}

func (s *sender) close() { s.client.CloseIdleConnections() }

// send posts a compressed request and waits for the answer.
func (s *sender) send(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = http.Header{
		"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {"snappy"}, "X-Prometheus-Remote-Write-Version": {"0.1.0"},
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("write samples: %w", err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("write samples: %s: %s", resp.Status, bytes.TrimSpace(answer))
	}
	return nil
}
