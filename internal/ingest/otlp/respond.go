package otlp

import (
	"math"
	"net/http"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/tocsin/tocsin/internal/ingest/body"
)

// succeed answers 200 with an ExportMetricsServiceResponse in the request's encoding. Partial success is said where
// data points were rejected or message is not empty: with none rejected it is a warning.
func (h *Handler) succeed(w http.ResponseWriter, e encoding, rejected int, message string) int {
	message = strings.ToValidUTF8(message, "\uFFFD") // it may quote what the sender wrote
	resp := pmetricotlp.NewExportResponse()
	if rejected > 0 || message != "" {
		resp.PartialSuccess().SetRejectedDataPoints(int64(rejected))
		resp.PartialSuccess().SetErrorMessage(message)
	}
	marshal := resp.MarshalProto
	if e == jsonText {
		marshal = resp.MarshalJSON
	}
	b, err := marshal()
	if err != nil {
		return h.fail(w, e, http.StatusInternalServerError, err.Error())
	}
	return h.write(w, e, http.StatusOK, b)
}

// fail answers with a google.rpc.Status in the request's encoding; in protobuf where that is unknown, as the
// specification has no third form.
func (h *Handler) fail(w http.ResponseWriter, e encoding, code int, message string) int {
	status := &spb.Status{Code: grpcCode(code), Message: strings.ToValidUTF8(message, "\uFFFD")}
	if code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(h.options.RetryAfter.Seconds()))))
	}
	marshal := proto.Marshal
	if e == jsonText {
		marshal = protojson.Marshal
	} else {
		e = protobuf
	}
	b, err := marshal(status)
	if err != nil {
		panic("BUG: google.rpc.Status with a valid text cannot be marshalled: " + err.Error())
	}
	return h.write(w, e, code, b)
}

func (h *Handler) write(w http.ResponseWriter, e encoding, code int, b []byte) int {
	w.Header().Set("Content-Type", string(e))
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(code)
	if _, err := w.Write(b); err != nil {
		h.options.Logger.Debug("An OTLP sender did not wait for its answer", "err", err)
	}
	return code
}

// failWith answers err: with the status that a refused body deserves, otherwise with 503, which asks for a retry.
func (h *Handler) failWith(w http.ResponseWriter, e encoding, err error) int {
	code, _ := body.Status(err)
	if code == http.StatusInternalServerError {
		// OTLP retries 429, 502, 503 and 504, and not 500.
		code = http.StatusServiceUnavailable
	}
	return h.fail(w, e, code, err.Error())
}

// grpcCode maps an HTTP status to the code that google.rpc.Status wants.
func grpcCode(code int) int32 {
	switch code {
	case http.StatusServiceUnavailable:
		return 14 // UNAVAILABLE
	case http.StatusRequestEntityTooLarge:
		return 8 // RESOURCE_EXHAUSTED
	case http.StatusMethodNotAllowed:
		return 12 // UNIMPLEMENTED
	case http.StatusInternalServerError:
		return 13 // INTERNAL
	}
	return 3 // INVALID_ARGUMENT
}
