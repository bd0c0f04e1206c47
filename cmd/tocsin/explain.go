package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

type explainCmd struct {
	serverFlags
	Alert  string   `arg:"" help:"The alerting rule's name."`
	Labels []string `arg:"" optional:"" name:"label=value" help:"Labels of the alert; label!=value, label=~regexp and label!~regexp work too, or one selector in braces."`
	At     string   `help:"The moment to explain (RFC 3339, Unix seconds, or how long ago, such as 2h); now when empty." placeholder:"TIME"`
	WhyNot bool     `name:"why-not" help:"Ask why it does not fire, and leave the past alone."`
	File   string   `help:"Among rules of this name: that of this file." placeholder:"PATH"`
	Group  string   `help:"Among rules of this name: that of this group." placeholder:"NAME"`
	JSON   bool     `name:"json" help:"Print the answer as JSON; docs/why.md describes the fields."`
}

// Help is shown by --help.
func (c *explainCmd) Help() string {
	return `Why did it fire, why does it not fire, what happened then:

  tocsin explain HostLoadHigh instance=db-1:9100
  tocsin explain HostLoadHigh instance=db-2:9100 --why-not
  tocsin explain HostLoadHigh --at 2026-03-14T09:20:00Z

The first line is the answer. Where the alert is not active, it says why, and explains the time before when it last was.`
}

func (c *explainCmd) Run(ctx context.Context, s streams) error {
	params, err := c.params(time.Now())
	if err != nil {
		return err
	}
	ask := call{method: http.MethodGet, path: "/api/v1/explain", query: params}
	if c.JSON {
		data, err := c.data(ctx, ask)
		if err != nil {
			return fmt.Errorf("explain %s: %w", c.Alert, err)
		}
		return printJSON(s, data)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	body, err := c.open(ctx, ask)
	if err != nil {
		return fmt.Errorf("explain %s: %w", c.Alert, err)
	}
	defer body.Close()
	_, err = io.Copy(s.out, io.LimitReader(body, maxAnswer))
	return err
}

func (c *explainCmd) params(now time.Time) (url.Values, error) {
	alert, matchers := c.Alert, c.Labels
	if name, rest, ok := strings.Cut(alert, "{"); ok && strings.HasSuffix(rest, "}") { // As alerts are printed.
		alert, matchers = strings.TrimSpace(name), append([]string{"{" + rest}, matchers...)
	}
	params := url.Values{"alert": {alert}, "format": {"text"}}
	if c.WhyNot {
		params = url.Values{"rule": {alert}, "format": {"text"}}
	}
	if c.JSON {
		params.Set("format", "json")
	}
	selector, err := selectorOf(matchers)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{"match[]": selector, "file": c.File, "group": c.Group} {
		if value != "" {
			params.Set(name, value)
		}
	}
	if c.At != "" {
		at, err := parsePast(c.At, now)
		if err != nil {
			return nil, fmt.Errorf("--at: %w", err)
		}
		params.Set("time", at.UTC().Format(time.RFC3339Nano))
	}
	return params, nil
}
