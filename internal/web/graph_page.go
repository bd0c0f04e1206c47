package web

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/prometheus/prometheus/promql"

	"github.com/tocsin/tocsin/internal/history"
)

const (
	defaultGraphRange = time.Hour
	minGraphRange     = time.Minute
	maxGraphRange     = 90 * 24 * time.Hour
	graphSteps        = 240
	maxGraphRows      = 300
)

// graphView is the query page's content.
type graphView struct {
	Expr, Range, End string
	Ranges           []string
	Error            string
	Warnings         []string
	Kind             string
	Rows             []graphRow
	MoreRows         int
	Chart            *chart
	Took             string
	At               moment
	Asked            bool
}

type graphRow struct {
	Name   string
	Labels []labels.Label
	Value  string
	// Class is the look of the series' line, empty when it has none.
	Class string
}

// serveGraph is GET /graph with the parameters that links to Prometheus's expression browser carry: g0.expr,
// g0.range_input, g0.end_input (or g0.moment_input).
func (s *Server) serveGraph(m *mounted) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		now := s.options.Clock()
		v := graphView{
			Expr: q.Get("g0.expr"), Range: model.Duration(defaultGraphRange).String(), End: q.Get("g0.end_input"),
			Ranges: []string{"15m", "1h", "6h", "1d", "1w"},
		}
		if v.End == "" {
			v.End = q.Get("g0.moment_input")
		}
		end := parseGraphEnd(v.End, now)
		span := defaultGraphRange
		if d, err := model.ParseDuration(q.Get("g0.range_input")); err == nil {
			span = min(max(time.Duration(d), minGraphRange), maxGraphRange)
			v.Range = model.Duration(span).String()
		}
		v.At = momentOf(end, now)
		if v.Expr != "" {
			v.Asked = true
			v.run(r.Context(), m.tenant.History, end, span)
		}
		s.render(w, s.page.graph, frame{Title: "query", Here: "query", Icon: "quiet", Content: v})
	}
}

// parseGraphEnd reads a time as Prometheus's links write it; anything else is now.
func parseGraphEnd(s string, now time.Time) time.Time {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && f > 0 && f < 1e11 {
		return time.UnixMilli(int64(f * 1000))
	}
	return now
}

// run evaluates the expression at end for the table and over span for the chart.
func (v *graphView) run(ctx context.Context, h *history.Store, end time.Time, span time.Duration) {
	begin := time.Now()
	defer func() { v.Took = took(time.Since(begin)) }()
	if err := checkQuery(v.Expr, maxQueryParts); err != nil {
		v.Error = err.Error()
		return
	}
	instant, err := h.QueryEngine().NewInstantQuery(ctx, h, nil, v.Expr, end)
	if err != nil {
		v.Error = err.Error()
		return
	}
	defer instant.Close()
	result := instant.Exec(ctx)
	v.warn(result)
	if result.Err != nil {
		v.Error = result.Err.Error()
		return
	}
	v.Kind = string(result.Value.Type())
	if _, drawable := result.Value.(promql.Vector); !drawable && v.Kind != "scalar" {
		v.tabulate(result)
		return
	}
	v.draw(ctx, h, end, span)
	v.tabulate(result)
}

func (v *graphView) draw(ctx context.Context, h *history.Store, end time.Time, span time.Duration) {
	step := max(span/graphSteps, time.Second).Truncate(time.Second)
	start := end.Add(-span)
	query, err := h.QueryEngine().NewRangeQuery(ctx, h, nil, v.Expr, start, end, step)
	if err != nil {
		v.Error = err.Error()
		return
	}
	defer query.Close()
	result := query.Exec(ctx)
	if result.Err != nil {
		v.Error = result.Err.Error()
		return
	}
	if m, err := result.Matrix(); err == nil {
		v.Chart = newChart(m, start, end, step)
	}
}

func (v *graphView) warn(result *promql.Result) {
	warnings, infos := result.Warnings.AsStrings(v.Expr, 10, 10)
	v.Warnings = append(warnings, infos...)
}

func (v *graphView) tabulate(result *promql.Result) {
	switch value := result.Value.(type) {
	case promql.Vector:
		for _, s := range value {
			text := figure(s.F)
			if s.H != nil {
				text = s.H.String()
			}
			v.row(s.Metric, text)
		}
	case promql.Matrix:
		for _, s := range value {
			for _, p := range s.Floats {
				v.row(s.Metric, figure(p.F)+" @ "+timestamp.Time(p.T).UTC().Format(time.RFC3339Nano))
			}
		}
	case promql.Scalar:
		v.row(labels.EmptyLabels(), figure(value.V))
	case promql.String:
		v.row(labels.EmptyLabels(), value.V)
	}
}

func (v *graphView) row(ls labels.Labels, value string) {
	if len(v.Rows) == maxGraphRows {
		v.MoreRows++
		return
	}
	row := graphRow{Name: ls.Get(model.MetricNameLabel), Value: value}
	ls.Range(func(l labels.Label) {
		if l.Name != model.MetricNameLabel {
			row.Labels = append(row.Labels, l)
		}
	})
	if v.Chart != nil {
		name := seriesName(ls)
		for _, line := range v.Chart.Lines {
			if line.Name == name {
				row.Class = line.Class
				break
			}
		}
	}
	v.Rows = append(v.Rows, row)
}

// seriesName writes a series as PromQL would.
func seriesName(ls labels.Labels) string {
	if ls.IsEmpty() {
		return "value"
	}
	return ls.String()
}
