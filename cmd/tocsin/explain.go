package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

type explainCmd struct {
	serverFlags
	Alert   string        `arg:"" help:"The alerting rule's name."`
	Labels  []string      `arg:"" optional:"" name:"label=value" help:"Labels of the alert; label!=value, label=~regexp and label!~regexp work too."`
	At      string        `help:"The moment to explain (RFC 3339 or Unix seconds); now when empty." placeholder:"TIME"`
	WhyNot  bool          `name:"why-not" help:"Ask why it does not fire, and leave the past alone."`
	File    string        `help:"Among rules of this name: that of this file." placeholder:"PATH"`
	Group   string        `help:"Among rules of this name: that of this group." placeholder:"NAME"`
	Timeout time.Duration `help:"Give up after." default:"30s"`
	JSON    bool          `name:"json" help:"Print the answer as JSON; docs/why.md describes the fields."`
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
	hc, u, err := c.client()
	if err != nil {
		return err
	}
	params, err := c.params(time.Now())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	body, err := get(ctx, hc, u.JoinPath("/api/v1/explain"), params)
	if err != nil {
		return fmt.Errorf("explain %s: %w", c.Alert, err)
	}
	if !c.JSON {
		_, err = s.out.Write(body)
		return err
	}
	var envelope struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return fmt.Errorf("explain %s: the answer is no JSON: %w", c.Alert, err)
	}
	return printJSON(s, envelope.Data)
}

func (c *explainCmd) params(now time.Time) (url.Values, error) {
	params := url.Values{"alert": {c.Alert}, "format": {"text"}}
	if c.WhyNot {
		params = url.Values{"rule": {c.Alert}, "format": {"text"}}
	}
	if c.JSON {
		params.Set("format", "json")
	}
	selector, err := selectorOf(c.Labels)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{"match[]": selector, "file": c.File, "group": c.Group} {
		if value != "" {
			params.Set(name, value)
		}
	}
	if c.At != "" {
		at, err := parseTime(c.At, now)
		if err != nil {
			return nil, fmt.Errorf("--at: %w", err)
		}
		params.Set("time", at.UTC().Format(time.RFC3339Nano))
	}
	return params, nil
}

// selectorOf makes a selector of label=value and the like.
func selectorOf(args []string) (string, error) {
	if len(args) == 0 {
		return "", nil
	}
	var ms []string
	for _, arg := range args {
		at := strings.IndexAny(arg, "=!")
		if at <= 0 {
			return "", fmt.Errorf("%q is no label=value", arg)
		}
		name, rest := arg[:at], arg[at:]
		kind := labels.MatchEqual
		switch {
		case strings.HasPrefix(rest, "=~"):
			kind, rest = labels.MatchRegexp, rest[2:]
		case strings.HasPrefix(rest, "!~"):
			kind, rest = labels.MatchNotRegexp, rest[2:]
		case strings.HasPrefix(rest, "!="):
			kind, rest = labels.MatchNotEqual, rest[2:]
		case strings.HasPrefix(rest, "="):
			rest = rest[1:]
		default:
			return "", fmt.Errorf("%q is no label=value", arg)
		}
		if !model.UTF8Validation.IsValidLabelName(name) {
			return "", fmt.Errorf("%q is no name of a label", name)
		}
		m, err := labels.NewMatcher(kind, name, rest)
		if err != nil {
			return "", fmt.Errorf("%q: %w", arg, err)
		}
		ms = append(ms, m.String())
	}
	return "{" + strings.Join(ms, ",") + "}", nil
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 20

// get returns the body of an answer of the API; its errors are the server's words.
func get(ctx context.Context, hc *http.Client, u *url.URL, params url.Values) ([]byte, error) {
	full := *u
	full.RawQuery = params.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, full.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := hc.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return body, nil
	}
	var envelope struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &envelope) == nil && envelope.Error != "" {
		return nil, errors.New(envelope.Error)
	}
	return nil, fmt.Errorf("%s answers %s", u.Redacted(), resp.Status)
}
