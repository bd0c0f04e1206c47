package push

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	"github.com/tocsin/tocsin/internal/ingest/body"
)

// ttlHeader and ttlParameter say how long a pushed group lives; see the package's comment.
const (
	ttlHeader    = "X-Tocsin-TTL"
	ttlParameter = "ttl"
)

// Handler serves the push protocol. It wants requests with their whole path, which starts with /metrics/job, and
// uncleaned: a router must not merge slashes.
func (g *Gateway) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		switch method {
		case http.MethodPut, http.MethodPost, http.MethodDelete:
		default:
			method = "other" // methods are the client's to invent
		}
		code := g.serve(w, r)
		g.metrics.requests.WithLabelValues(method, strconv.Itoa(code)).Inc()
	})
}

func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) int {
	code, err := g.handle(r)
	if err == nil {
		w.WriteHeader(code)
		return code
	}
	switch code {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", "PUT, POST, DELETE")
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
		if !body.Unavailable(err) {
			g.options.Logger.Error("A push could not be stored; the client is asked to push again", "path", r.URL.Path, "err", err)
		}
	default:
		g.options.Logger.Debug("A push was refused", "path", r.URL.Path, "err", err)
	}
	http.Error(w, err.Error(), code)
	return code
}

// handle returns the status to answer with, and an error where there is something to say.
func (g *Gateway) handle(r *http.Request) (int, error) {
	labels, err := parsePath(r.URL.Path)
	switch {
	case errors.Is(err, errNotPush):
		return http.StatusNotFound, err
	case err != nil:
		return http.StatusBadRequest, err
	}
	switch r.Method {
	case http.MethodDelete:
		if err := g.delete(r.Context(), labels); err != nil {
			return http.StatusServiceUnavailable, err
		}
		return http.StatusAccepted, nil
	case http.MethodPut, http.MethodPost:
	default:
		return http.StatusMethodNotAllowed, errors.New("groups are pushed with PUT or POST and removed with DELETE")
	}
	ttl, err := g.ttl(r)
	if err != nil {
		return http.StatusBadRequest, err
	}
	fs, err := g.options.decode(r)
	if err == nil {
		err = g.push(r.Context(), pushRequest{labels: labels, families: fs, replace: r.Method == http.MethodPut, ttl: ttl})
	}
	if err != nil {
		code, _ := body.Status(err)
		if code == http.StatusInternalServerError {
			code = http.StatusServiceUnavailable
		}
		return code, err
	}
	return http.StatusOK, nil
}

// ttl returns the time to live that r asks for, or the default one.
func (g *Gateway) ttl(r *http.Request) (time.Duration, error) {
	text, where := r.Header.Get(ttlHeader), "header "+ttlHeader
	if text == "" {
		text, where = r.URL.Query().Get(ttlParameter), "parameter "+ttlParameter
	}
	if text == "" {
		return g.options.TTL, nil
	}
	if d, err := model.ParseDuration(text); err == nil {
		return time.Duration(d), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%s: %q is no duration; write it like 90s, 5m or 1d", where, body.Clip(text, 50))
	}
	return d, nil
}
