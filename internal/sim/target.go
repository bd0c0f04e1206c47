package sim

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Scrape is one request to a Target.
type Scrape struct {
	Received time.Time
	Path     string
	Header   http.Header
	// ContentType is what was negotiated.
	ContentType string
}

// Target is a scrape target whose metrics the test sets. It answers in the format that the scraper asks for: protobuf,
// OpenMetrics or text.
type Target struct {
	*server
	scrapes *log[Scrape]

	mu       sync.Mutex // Guards what follows.
	families []*dto.MetricFamily
	raw      []byte
	rawType  string
}

// NewTarget starts a target without metrics.
func NewTarget() (*Target, error) {
	t := &Target{scrapes: newLog[Scrape]()}
	var err error
	t.server, err = newServer(t.serve)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// URL is where the metrics are.
func (t *Target) URL() string { return t.url + "/metrics" }

// Addr is host:port, as a static configuration wants it.
func (t *Target) Addr() string { return strings.TrimPrefix(t.url, "http://") }

// Set replaces the metrics with those of text in the Prometheus text format.
func (t *Target) Set(text string) error {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	byName, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return fmt.Errorf("sim: metrics: %w", err)
	}
	families := make([]*dto.MetricFamily, 0, len(byName))
	for _, f := range byName {
		families = append(families, f)
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	t.SetFamilies(families)
	return nil
}

// SetFamilies replaces the metrics; native histograms, exemplars and created timestamps can be given in this way alone.
// The target keeps families: the caller must not change them afterwards.
func (t *Target) SetFamilies(families []*dto.MetricFamily) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.families, t.raw, t.rawType = families, nil, ""
}

// SetRaw replaces the metrics with a payload that is served as it is, whatever the scraper asks for.
func (t *Target) SetRaw(contentType string, payload []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.families, t.raw, t.rawType = nil, append([]byte{}, payload...), contentType
}

// Scrapes returns every request so far.
func (t *Target) Scrapes() []Scrape { return t.scrapes.all() }

// Wait returns all scrapes once there are at least n, or an error once ctx has ended.
func (t *Target) Wait(ctx context.Context, n int) ([]Scrape, error) { return t.scrapes.wait(ctx, n) }

func (t *Target) serve(s *server, w http.ResponseWriter, r *http.Request) {
	scrape := Scrape{Received: time.Now(), Path: r.URL.Path, Header: r.Header.Clone()}
	body, contentType, err := t.payload(r.Header)
	scrape.ContentType = contentType
	t.scrapes.add(scrape)
	if s.take().perform(w, r, s.closing) {
		return
	}
	switch {
	case r.URL.Path != "/metrics":
		http.NotFound(w, r)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(body) // The scraper may have gone; that is its right.
	}
}

// payload returns the metrics in the format that header asks for.
func (t *Target) payload(header http.Header) ([]byte, string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.raw != nil {
		return t.raw, t.rawType, nil
	}
	format := expfmt.NegotiateAccept(header, expfmt.NewFormat(expfmt.TypeOpenMetrics),
		expfmt.NewFormat(expfmt.TypeProtoDelim), expfmt.NewFormat(expfmt.TypeTextPlain))
	var b bytes.Buffer
	e := expfmt.NewEncoder(&b, format)
	for _, f := range t.families {
		if err := e.Encode(f); err != nil {
			return nil, string(format), fmt.Errorf("sim: metrics: %w", err)
		}
	}
	if c, ok := e.(expfmt.Closer); ok {
		if err := c.Close(); err != nil { // OpenMetrics' final line.
			return nil, string(format), fmt.Errorf("sim: metrics: %w", err)
		}
	}
	return b.Bytes(), string(format), nil
}
