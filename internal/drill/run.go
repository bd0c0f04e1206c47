package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
)

// Leg is one part of a drill's way.
type Leg struct {
	Leg string  `json:"leg"`
	MS  float64 `json:"ms"`
}

// Result is a drill as its caller saw it.
type Result struct {
	Delivered bool    `json:"delivered"`
	TotalMS   float64 `json:"total_ms"`
	Legs      []Leg   `json:"legs"`
	Error     string  `json:"error,omitempty"`
}

// Run injects one breach into the server at base by remote write and waits for its delivery. All figures are taken
// with the caller's clock, but for the delivery leg, which begins and ends in the server. More than two minutes is not
// waited.
//
// The legs: "sample" from sending to the server's word that it is stored; "alert" from there to the transition;
// "delivery" from the transition to the webhook's arrival.
func Run(ctx context.Context, c *http.Client, base *url.URL, id string, timeout time.Duration) Result {
	timeout = min(timeout, maxWait)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	start := time.Now()
	if err := write(ctx, c, base, id, 1, start); err != nil {
		return Result{Legs: []Leg{}, Error: err.Error()}
	}
	stored := time.Now()
	// The breach ends with the drill whatever comes of it, even when the caller has given up.
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = write(ctx, c, base, id, math.Float64frombits(value.StaleNaN), time.Now())
	}()
	out, err := wait(ctx, c, base, id, time.Until(start.Add(timeout)))
	end := time.Now()
	r := Result{Delivered: out.Delivered, Legs: []Leg{{"sample", ms(stored.Sub(start))}}}
	switch {
	case err != nil:
		r.Error = err.Error()
	case !out.Fired:
		r.Error = fmt.Sprintf("the sample was stored, but the rule %s did not fire within %s; see %s/rules", AlertName, timeout, base)
	case !out.Delivered:
		r.Error = fmt.Sprintf("the rule %s fired, but nothing was delivered within %s; is it silenced or inhibited?", AlertName, timeout)
	default:
		r.TotalMS = ms(end.Sub(start))
		r.Legs = legs(r.TotalMS, ms(stored.Sub(start)), out.DeliveryMS)
	}
	return r
}

// legs splits total so that the legs add up to it. An alert may fire before the answer to the write is back; the
// sample's leg then ends where the delivery's begins.
func legs(total, sample, delivery float64) []Leg {
	delivery = min(delivery, total)
	sample = min(sample, total-delivery)
	return []Leg{{"sample", micros(sample)}, {"alert", micros(total - sample - delivery)}, {"delivery", micros(delivery)}}
}

// micros rounds milliseconds to whole microseconds.
func micros(ms float64) float64 { return math.Round(ms*1000) / 1000 }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// write sends one sample by remote write 1.0: https://prometheus.io/docs/specs/prw/remote_write_spec/.
func write(ctx context.Context, c *http.Client, base *url.URL, id string, v float64, at time.Time) error {
	req := prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
		Labels:  []prompb.Label{{Name: "__name__", Value: Metric}, {Name: Label, Value: id}},
		Samples: []prompb.Sample{{Value: v, Timestamp: at.UnixMilli()}},
	}}}
	raw, err := req.Marshal()
	if err != nil {
		return fmt.Errorf("encode the drill's sample: %w", err)
	}
	hr, err := http.NewRequestWithContext(ctx, http.MethodPost, base.JoinPath("/api/v1/write").String(), bytes.NewReader(snappy.Encode(nil, raw)))
	if err != nil {
		return err
	}
	hr.Header.Set("Content-Type", "application/x-protobuf")
	hr.Header.Set("Content-Encoding", "snappy")
	hr.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	resp, err := c.Do(hr)
	if err != nil {
		return fmt.Errorf("send the drill's sample: %w (is tocsin running there?)", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("send the drill's sample to %s: %s: %s", hr.URL.Redacted(), resp.Status, readLine(resp.Body))
	}
	return nil
}

// wait asks the server to wait for the drill's end. left is what there is of the caller's patience; the server answers a
// little before its end.
func wait(ctx context.Context, c *http.Client, base *url.URL, id string, left time.Duration) (Outcome, error) {
	u := base.JoinPath("/api/v1/drill")
	u.RawQuery = url.Values{"id": {id}, "timeout": {max(0, left-left/10).String()}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return Outcome{}, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return Outcome{}, fmt.Errorf("wait for the drill's delivery: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return Outcome{}, fmt.Errorf("the server at %s took the sample, but knows no drills: is it a tocsin?", base.Redacted())
	}
	if resp.StatusCode != http.StatusOK {
		return Outcome{}, fmt.Errorf("wait for the drill's delivery: %s: %s: %s", u.Redacted(), resp.Status, readLine(resp.Body))
	}
	var o Outcome
	if err := json.NewDecoder(resp.Body).Decode(&o); err != nil {
		return Outcome{}, fmt.Errorf("wait for the drill's delivery: %w", err)
	}
	return o, nil
}

// readLine returns what fits of a server's complaint on one line.
func readLine(r io.Reader) string {
	b, _ := io.ReadAll(io.LimitReader(r, 300))
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return line
}
