package web

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/tocsin/tocsin/internal/explain"
	"github.com/tocsin/tocsin/internal/plan"
)

// serveWhy is GET /api/v1/explain: why an alert fired, why it does not, who was told. The parameter alert names the rule,
// or rule does, which asks why it does not fire; match[] chooses alerts by their labels, time the moment, file and group
// among rules of one name. The answer is JSON, or text where format=text or the Accept header says so.
func (t *Tenant) serveWhy(c *plan.Compiler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if t.Explainer == nil {
			notServed("explaining alerts").ServeHTTP(w, r)
			return
		}
		text, err := wantsText(r)
		if err != nil {
			badData(w, err)
			return
		}
		q, err := parseWhy(c, r)
		if err != nil {
			badData(w, err)
			return
		}
		a, err := t.Explainer.Explain(r.Context(), q)
		switch {
		case errors.Is(err, explain.ErrNotFound):
			apiError(w, http.StatusNotFound, "not_found", err.Error())
		case err != nil:
			apiError(w, http.StatusInternalServerError, "internal", err.Error())
		case text:
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_ = a.WriteText(w) // a client that went away has no use for the error
		default:
			answer(w, a)
		}
	}
}

func parseWhy(c *plan.Compiler, r *http.Request) (explain.Question, error) {
	params := r.URL.Query()
	q := explain.Question{Name: params.Get("alert"), File: params.Get("file"), Group: params.Get("group")}
	if name := params.Get("rule"); name != "" {
		if q.Name != "" && q.Name != name {
			return q, errors.New("alert asks why it fired and rule why not; give one of them")
		}
		q.WhyNot = q.Name == ""
		q.Name = name
	}
	if q.Name == "" {
		return q, errors.New("name the alert by the parameter alert or, to ask why it does not fire, by rule")
	}
	selectors := params["match[]"]
	if len(selectors) > 1 {
		return q, invalid("match[]", errors.New("one question is about one set of labels; write all matchers in one selector"))
	}
	sets, err := parseMatchers(c, selectors)
	if err != nil {
		return q, invalid("match[]", err)
	}
	if len(sets) > 0 {
		q.Matchers = sets[0]
	}
	if text := params.Get("time"); text != "" {
		if q.At, err = parseTime(text); err != nil {
			return q, invalid("time", err)
		}
	}
	return q, nil
}

// parseTime reads Unix seconds or RFC 3339, as upstream does.
func parseTime(text string) (time.Time, error) {
	const largest = 1 << 40 // seconds; far beyond, milliseconds do not fit their integer
	if f, err := strconv.ParseFloat(text, 64); err == nil && f > -largest && f < largest {
		return time.UnixMilli(int64(f * 1000)), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("cannot parse %q to a valid timestamp", text)
	}
	return t, nil
}
