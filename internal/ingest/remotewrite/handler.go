package remotewrite

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"

	"github.com/tocsin/tocsin/internal/ingest/body"
)

// Handler is the receiver. It holds no state between requests but its counters.
type Handler struct {
	options Options
	metrics *metrics
	samples atomic.Uint64
}

// NewHandler returns a receiver. It answers POST requests whatever their path: 204 when all was written, 400 when
// something was refused for good (the rest is written), 405, 413 and 415 for requests that are not even decoded, and
// 500, with nothing written, when sending the same again may help.
func NewHandler(o Options) *Handler {
	o = o.withDefaults()
	return &Handler{options: o, metrics: newMetrics(o.Registerer)}
}

// Samples returns how many samples and histograms were written since the start.
func (h *Handler) Samples() uint64 { return h.samples.Load() }

// Response headers of the 2.0 specification, section "Required Written Response Headers".
const (
	samplesWritten    = "X-Prometheus-Remote-Write-Samples-Written"
	histogramsWritten = "X-Prometheus-Remote-Write-Histograms-Written"
	exemplarsWritten  = "X-Prometheus-Remote-Write-Exemplars-Written"
)

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	version, code := h.serve(w, r)
	h.metrics.requests.WithLabelValues(version, strconv.Itoa(code)).Inc()
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) (version string, code int) {
	refuse := func(err error) (string, int) {
		code, _ := body.Status(err)
		http.Error(w, err.Error(), code)
		return version, code
	}
	version = "unknown"
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "remote write is sent with POST", http.StatusMethodNotAllowed)
		return version, http.StatusMethodNotAllowed
	}
	message, err := negotiate(r)
	if err != nil {
		return refuse(err)
	}
	if version = "1.0"; message == remoteapi.WriteV2MessageType {
		version = "2.0"
	}
	raw, err := h.read(r)
	if err != nil {
		if message == remoteapi.WriteV2MessageType {
			setWritten(w.Header(), counts{})
		}
		return refuse(err)
	}
	return version, h.store(w, r.Context(), message, raw)
}

// store writes a decompressed message and answers.
func (h *Handler) store(w http.ResponseWriter, ctx context.Context, message remoteapi.WriteMessageType, raw []byte) int {
	write := h.writeV1
	if message == remoteapi.WriteV2MessageType {
		write = h.writeV2
	}
	written, refused, err := write(ctx, raw)
	if message == remoteapi.WriteV2MessageType {
		setWritten(w.Header(), written)
	}
	h.metrics.wrote(written)
	h.samples.Add(uint64(written.samples + written.histograms))
	for reason, n := range refused.ByReason() {
		h.metrics.rejected.WithLabelValues(reason).Add(float64(n))
	}
	switch {
	case err != nil:
		code, _ := body.Status(err)
		if code >= 500 && !errors.Is(err, context.Canceled) && !body.Unavailable(err) {
			h.options.Logger.Error("Remote write failed; the sender is asked to send again", "err", err)
		}
		http.Error(w, err.Error(), code)
		return code
	case refused.Any():
		http.Error(w, refused.Text(), http.StatusBadRequest)
		return http.StatusBadRequest
	}
	w.WriteHeader(http.StatusNoContent)
	return http.StatusNoContent
}

// negotiate says which message the request claims to carry. No Content-Type means 1.0, as upstream has it.
func negotiate(r *http.Request) (remoteapi.WriteMessageType, error) {
	ct := r.Header.Get("Content-Type")
	if ct == "" {
		ct = "application/x-protobuf"
	}
	message, err := remoteapi.ParseProtoMsg(ct)
	if err != nil {
		return "", body.Unsupported("%w", err)
	}
	// Old senders leave Content-Encoding out; there never was another encoding.
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != string(remoteapi.SnappyBlockCompression) {
		return "", body.Unsupported("Content-Encoding %q is not accepted; remote write is compressed with %q",
			body.Clip(enc, 50), remoteapi.SnappyBlockCompression)
	}
	return message, nil
}

func (h *Handler) read(r *http.Request) ([]byte, error) {
	raw, err := body.Read(r, h.options.BodySize)
	if err != nil {
		return nil, err
	}
	return body.SnappyBlock(raw, h.options.DecompressedSize)
}

func setWritten(h http.Header, c counts) {
	h.Set(samplesWritten, strconv.Itoa(c.samples))
	h.Set(histogramsWritten, strconv.Itoa(c.histograms))
	h.Set(exemplarsWritten, strconv.Itoa(c.exemplars))
}
