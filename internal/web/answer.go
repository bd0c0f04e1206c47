package web

import (
	"encoding/json"
	"net/http"
	"strings"

	v1 "github.com/prometheus/prometheus/web/api/v1"
)

// answer writes data in the API's envelope, encoded by upstream's own codec, so that labels, numbers and times come out
// byte for byte as Prometheus writes them.
func answer(w http.ResponseWriter, data any) { answerWith(w, data, nil) }

// answerWith is answer with a warning: what of the data is missing.
func answerWith(w http.ResponseWriter, data any, missing error) {
	out := &v1.Response{Status: "success", Data: data}
	if missing != nil {
		out.Warnings = []string{missing.Error()}
	}
	b, err := v1.JSONCodec{}.Encode(out)
	if err != nil {
		apiError(w, http.StatusInternalServerError, "internal", "cannot encode the answer: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b) // a client that went away has no use for the error
}

// apiError writes an error in the API's envelope: {"status":"error","errorType":…,"error":…}.
func apiError(w http.ResponseWriter, code int, errorType, message string) {
	b, err := v1.JSONCodec{}.Encode(&v1.Response{Status: "error", ErrorType: errorType, Error: message})
	if err != nil {
		panic("BUG: an error of two strings cannot be encoded: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(b)
}

// badData is the API's answer to a parameter that makes no sense.
func badData(w http.ResponseWriter, err error) {
	apiError(w, http.StatusBadRequest, "bad_data", err.Error())
}

// plainJSON writes v without the envelope.
func plainJSON(w http.ResponseWriter, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		apiError(w, http.StatusInternalServerError, "internal", "cannot encode the answer: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n'))
}

// notFound answers what nobody serves: JSON below /api, a line elsewhere.
func notFound(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		apiError(w, http.StatusNotFound, "not_found", "there is no "+r.URL.Path+
			"; the Prometheus API is under /api/v1, Alertmanager's under /api/v2, and /api/v1/status says how tocsin is")
		return
	}
	http.Error(w, "404: there is nothing at this path. The status page is at /, the query page at /graph, "+
		"the API under /api/v1, metrics at /metrics.", http.StatusNotFound)
}

// notServed answers for a protocol that this process was not given.
func notServed(what string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		apiError(w, http.StatusNotFound, "not_found", what+" is not enabled here")
	})
}

// jsonErrors turns the plain 404 and 405 of upstream's router into the API's envelope; what already is JSON passes.
type jsonErrors struct {
	http.ResponseWriter
	r        *http.Request
	replaced bool
}

func (j *jsonErrors) WriteHeader(code int) {
	plain := !strings.HasPrefix(j.Header().Get("Content-Type"), "application/json")
	switch {
	case code == http.StatusNotFound && plain:
		j.replaced = true
		j.Header().Del("X-Content-Type-Options")
		notFound(j.ResponseWriter, j.r)
	case code == http.StatusMethodNotAllowed && plain:
		j.replaced = true
		apiError(j.ResponseWriter, code, "bad_data", j.r.Method+" is not allowed here; use "+j.Header().Get("Allow"))
	default:
		j.ResponseWriter.WriteHeader(code)
	}
}

func (j *jsonErrors) Write(b []byte) (int, error) {
	if j.replaced {
		return len(b), nil
	}
	return j.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (j *jsonErrors) Unwrap() http.ResponseWriter { return j.ResponseWriter }

// Flush is for upstream's event stream.
func (j *jsonErrors) Flush() {
	if f, ok := j.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}
