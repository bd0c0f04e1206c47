package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/prometheus/client_golang/api"
	apiv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

type queryCmd struct {
	serverFlags
	Expr    string         `arg:"" help:"PromQL expression."`
	Time    string         `help:"Evaluate at this time (RFC 3339 or Unix seconds); now when empty." placeholder:"TIME"`
	Start   string         `help:"Range query: from this time." placeholder:"TIME"`
	End     string         `help:"Range query: to this time; now when empty." placeholder:"TIME"`
	Step    model.Duration `help:"Range query: step." default:"1m"`
	Timeout time.Duration  `help:"Give up after." default:"30s"`
	JSON    bool           `name:"json" help:"Print the API's data as JSON."`
}

// Validate refuses combinations of which a part would have no effect.
func (c *queryCmd) Validate() error {
	switch {
	case c.Start == "" && c.End != "":
		return errors.New("--end belongs to a range query, which needs --start")
	case c.Start != "" && c.Time != "":
		return errors.New("--time is for one moment and --start for a range; give one of them")
	}
	return nil
}

func (c *queryCmd) Run(ctx context.Context, s streams) error {
	hc, u, err := c.client()
	if err != nil {
		return err
	}
	ac, err := api.NewClient(api.Config{Address: u.String(), Client: hc})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	v, warnings, err := c.ask(ctx, apiv1.NewAPI(ac), time.Now())
	for _, w := range warnings {
		fmt.Fprintln(s.err, "tocsin: warning:", w)
	}
	if err != nil {
		return fmt.Errorf("query %s: %w", u.Redacted(), err)
	}
	if c.JSON {
		return printJSON(s, map[string]any{"resultType": v.Type().String(), "result": v})
	}
	return printValue(s, v)
}

func (c *queryCmd) ask(ctx context.Context, a apiv1.API, now time.Time) (model.Value, apiv1.Warnings, error) {
	if c.Start == "" {
		at, err := parseTime(c.Time, now)
		if err != nil {
			return nil, nil, fmt.Errorf("--time: %w", err)
		}
		return a.Query(ctx, c.Expr, at)
	}
	start, err := parseTime(c.Start, now)
	if err != nil {
		return nil, nil, fmt.Errorf("--start: %w", err)
	}
	end, err := parseTime(c.End, now)
	if err != nil {
		return nil, nil, fmt.Errorf("--end: %w", err)
	}
	return a.QueryRange(ctx, c.Expr, apiv1.Range{Start: start, End: end, Step: time.Duration(c.Step)})
}

// parseTime reads RFC 3339 or Unix seconds; the empty string is now.
func parseTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now, nil
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return time.UnixMilli(int64(f * 1000)), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither RFC 3339 nor Unix seconds", text)
	}
	return t, nil
}

func printValue(s streams, v model.Value) error {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	switch v := v.(type) {
	case model.Vector:
		for _, smp := range v {
			if smp.Histogram != nil {
				fmt.Fprintf(w, "%s\t%s\n", smp.Metric, smp.Histogram)
				continue
			}
			fmt.Fprintf(w, "%s\t%s\n", smp.Metric, smp.Value)
		}
	case model.Matrix:
		for _, ss := range v {
			fmt.Fprintln(w, ss.Metric)
			for _, p := range ss.Values {
				fmt.Fprintf(w, "  %s\t%s\n", p.Timestamp.Time().Format(time.RFC3339), p.Value)
			}
			for _, p := range ss.Histograms {
				fmt.Fprintf(w, "  %s\t%s\n", p.Timestamp.Time().Format(time.RFC3339), p.Histogram)
			}
		}
	default:
		fmt.Fprintln(w, v)
	}
	return w.Flush()
}
