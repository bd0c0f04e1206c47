package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/tocsin/tocsin/internal/ledger"
)

// ErrNotFound is what the functions of a Tenant wrap where a request names something that is not there, ErrRefused where
// it asks for what cannot be. Both are answered in the error's words.
var (
	ErrNotFound = errors.New("there is no such thing")
	ErrRefused  = errors.New("this cannot be")
)

// answered is an error of a kind, in words of its own.
type answered struct {
	kind error
	text string
}

func (e *answered) Error() string { return e.text }
func (e *answered) Unwrap() error { return e.kind }

// maxOwnBody bounds the JSON that our own endpoints read.
const maxOwnBody = 1 << 20

// answerOwn writes data in the API's envelope as plain JSON. Expressions are full of < and >, which stay as they are.
func answerOwn(w http.ResponseWriter, data any) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	err := enc.Encode(struct {
		Status string `json:"status"`
		Data   any    `json:"data"`
	}{"success", data})
	var unsupported *json.MarshalerError
	if errors.As(err, &unsupported) { // nothing is written yet; other errors are of clients that went away
		apiError(w, http.StatusInternalServerError, "internal", "cannot encode the answer: "+err.Error())
	}
}

// readJSON reads a request's body into v. Fields that v does not have are an error: they are typing errors.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOwnBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return fmt.Errorf("the request's body must be a JSON object: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the request's body must be one JSON object, and nothing after it")
	}
	return nil
}

// failed answers for a room that could not do what was asked for.
func failed(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, context.Canceled): // the client went away
	case errors.Is(err, ledger.ErrNoSuchEntry) || errors.Is(err, ErrNotFound):
		apiError(w, http.StatusNotFound, "not_found", err.Error())
	case errors.Is(err, ErrRefused):
		badData(w, err)
	case errors.Is(err, ledger.ErrNotDurable) || errors.Is(err, ledger.ErrClosed):
		apiError(w, http.StatusServiceUnavailable, "unavailable", err.Error())
	default:
		apiError(w, http.StatusInternalServerError, "internal", err.Error())
	}
}

// notOpen answers for what needs the ledger while there is none, or is not served here.
func (t *Tenant) notOpen(w http.ResponseWriter, what string) {
	if t.Ledger != nil {
		apiError(w, http.StatusNotFound, "not_found", what+" are not served here")
		return
	}
	apiError(w, http.StatusServiceUnavailable, "unavailable",
		what+" need the ledger, which is not open: tocsin's log says why, and `tocsin check data` what is wrong with it")
}

// single returns a form's parameter that makes sense once only; several are refused rather than one of them taken.
func single(form map[string][]string, name string) (string, error) {
	switch v := form[name]; len(v) {
	case 0:
		return "", nil
	case 1:
		return v[0], nil
	}
	return "", invalid(name, errors.New("it stands there more than once"))
}

// pathID reads {id}, a number.
func pathID(r *http.Request) (uint64, error) {
	var id uint64
	if _, err := fmt.Sscanf(r.PathValue("id"), "%d", &id); err != nil || fmt.Sprint(id) != r.PathValue("id") {
		return 0, invalid("id", fmt.Errorf("%q is no number", r.PathValue("id")))
	}
	return id, nil
}
