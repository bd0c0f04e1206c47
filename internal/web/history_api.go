package web

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/httputil"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/plan"
)

// historyAnswer is the answer of GET /api/v1/history.
type historyAnswer struct {
	Entries []ledger.Recorded `json:"entries"`
	// Next is the value of `after` for the following page, empty where this is the last.
	Next string `json:"next"`
}

// serveHistory is GET /api/v1/history: a page of transitions with their deliveries.
func (t *Tenant) serveHistory(c *plan.Compiler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := parseHistoryQuery(c, r, ledger.MaxLimit)
		if err != nil {
			badData(w, err)
			return
		}
		if t.Ledger == nil {
			t.notOpen(w, "entries of history")
			return
		}
		page, err := t.Ledger.History(r.Context(), q)
		switch {
		case errors.Is(err, ledger.ErrBadToken):
			badData(w, invalid("after", err))
		case err != nil:
			failed(w, err)
		default:
			answerOwn(w, historyAnswer{Entries: page.Entries, Next: page.Next})
		}
	}
}

// exportPatience is how long a client may take to read what one write of an export gave it.
const exportPatience = time.Minute

// serveExport is GET /api/v1/history/export: all transitions that fit, one JSON object a line. What was begun and cannot
// be finished ends without HTTP's end of the answer, so that nobody takes a part for the whole.
func (s *Server) serveExport(t *Tenant) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		httputil.SetCORS(w, s.origin, r)
		q, err := parseHistoryQuery(s.options.Compiler, r, math.MaxInt)
		if err != nil {
			badData(w, err)
			return
		}
		if t.Ledger == nil {
			t.notOpen(w, "entries of history")
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		if r.Method == http.MethodHead {
			return
		}
		out := &exportWriter{w: w, control: http.NewResponseController(w)}
		switch err := t.Ledger.Export(r.Context(), q, out); {
		case err == nil:
		case out.begun:
			if r.Context().Err() == nil && !errors.Is(err, errReader) {
				s.options.Logger.Error("An export of history broke off", "err", err)
			}
			panic(http.ErrAbortHandler)
		case errors.Is(err, ledger.ErrBadToken):
			badData(w, invalid("after", err))
		default:
			failed(w, err)
		}
	}
}

// errReader marks an export's end as the reader's doing.
var errReader = errors.New("the reader is gone")

// exportWriter gives the reader time for each write: a long export may outlast the server's limit for a whole answer.
type exportWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

func (e *exportWriter) Write(b []byte) (int, error) {
	e.begun = true
	// Not all writers have deadlines; those that have not end at the server's limit.
	if err := e.control.SetWriteDeadline(time.Now().Add(exportPatience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, fmt.Errorf("%w: %w", errReader, err)
	}
	n, err := e.w.Write(b)
	if err != nil {
		err = fmt.Errorf("%w: %w", errReader, err)
	}
	return n, err
}

// parseHistoryQuery reads the parameters of history and its export.
func parseHistoryQuery(c *plan.Compiler, r *http.Request, maxLimit int) (q ledger.Query, err error) {
	if err := r.ParseForm(); err != nil {
		return q, fmt.Errorf("error parsing form values: %w", err)
	}
	var start, end, limit, order string
	for name, to := range map[string]*string{
		"file": &q.File, "group": &q.Group, "rule": &q.Rule, "receiver": &q.Receiver, "after": &q.After,
		"start": &start, "end": &end, "limit": &limit, "order": &order,
	} {
		if *to, err = single(r.Form, name); err != nil {
			return q, err
		}
	}
	if q.Since, err = parseMoment("start", start); err != nil {
		return q, err
	}
	if q.Until, err = parseMoment("end", end); err != nil {
		return q, err
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && q.Until.Before(q.Since) {
		return q, invalid("end", errors.New("it is before start"))
	}
	if limit != "" {
		if q.Limit, err = strconv.Atoi(limit); err != nil || q.Limit < 1 || q.Limit > maxLimit {
			return q, invalid("limit", fmt.Errorf("%q is no number from 1 to %d", limit, maxLimit))
		}
	}
	switch order {
	case "", "newest":
	case "oldest":
		q.OldestFirst = true
	default:
		return q, invalid("order", fmt.Errorf("%q is neither newest nor oldest", order))
	}
	if q.States, err = parseStates(r.Form); err != nil {
		return q, err
	}
	q.Matchers, err = historyMatchers(c, r.Form)
	return q, err
}

func parseStates(form url.Values) ([]alert.State, error) {
	var out []alert.State
	for _, name := range form["state"] {
		at := -1
		for s := alert.Inactive; s <= alert.Firing; s++ {
			if s.String() == name {
				at = int(s)
			}
		}
		if at < 0 {
			return nil, invalid("state", fmt.Errorf("%q is none of inactive, pending, firing", name))
		}
		out = append(out, alert.State(at))
	}
	return out, nil
}

// historyMatchers reads match[]: one selector, all of whose matchers must match. A name before the braces is the alert's.
func historyMatchers(c *plan.Compiler, form url.Values) ([]*labels.Matcher, error) {
	selector, err := single(form, "match[]")
	if err != nil {
		return nil, invalid("match[]", errors.New("give one selector; all matchers in it must match"))
	}
	if selector == "" {
		return nil, nil
	}
	sets, err := c.Parser().ParseMetricSelectors([]string{selector})
	if err != nil {
		return nil, invalid("match[]", err)
	}
	for _, m := range sets[0] {
		if m.Name == model.MetricNameLabel { // alerts have none
			m.Name = labels.AlertName
		}
	}
	return sets[0], nil
}

// parseMoment reads RFC 3339 or Unix seconds; the empty text is the zero time.
func parseMoment(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		if whole, part := math.Modf(f); math.Abs(f) < 1e11 { // the year 5138; NaN is not below either
			return time.Unix(int64(whole), int64(math.Round(part*1e3)*1e6)).UTC(), nil
		}
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, invalid(name, fmt.Errorf("%q is neither RFC 3339 nor Unix seconds", text))
	}
	return t, nil
}

// latest returns the newest transitions for a page. A ledger that is still reading itself is not waited for.
func (t *Tenant) latest(ctx context.Context, n int) ([]ledger.Recorded, error) {
	ctx, cancel := context.WithTimeout(ctx, latestPatience)
	defer cancel()
	p, err := t.Ledger.History(ctx, ledger.Query{Limit: n})
	return p.Entries, err
}

// latestPatience is how long the status page waits for history.
const latestPatience = 500 * time.Millisecond
