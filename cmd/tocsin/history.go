package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
)

type historyCmd struct {
	serverFlags
	Rule     string        `help:"Of this rule only." placeholder:"NAME"`
	Group    string        `help:"Of this rule group only." placeholder:"NAME"`
	File     string        `help:"Of this rule file only." placeholder:"PATH"`
	Match    []string      `help:"Labels must match: severity=page, 'instance=~db-.*', or a whole selector in braces. Several must all match." placeholder:"MATCHER" sep:"none"`
	State    []string      `help:"Only changes to this state (${enum}); repeatable." enum:"inactive,pending,firing" placeholder:"STATE"`
	Receiver string        `help:"Only what this receiver was told, or should have been." placeholder:"NAME"`
	Since    string        `help:"From this time on: 24h (ago), RFC 3339 or Unix seconds." placeholder:"TIME"`
	Until    string        `help:"Up to this time." placeholder:"TIME"`
	Order    string        `help:"Which come first: ${enum}." enum:"newest,oldest" default:"newest"`
	Limit    int           `help:"How many transitions a page has, 1 to 1000." default:"50"`
	After    string        `help:"The page after: what the page before said." placeholder:"TOKEN"`
	All      bool          `help:"All pages."`
	Follow   bool          `help:"Print what happens from now on, oldest first, until interrupted."`
	Every    time.Duration `help:"With --follow: ask this often." default:"1s"`
	Export   string        `help:"Write all that fit as JSON lines to this file, - for standard output." placeholder:"FILE"`
	JSON     bool          `name:"json" help:"Print the API's data as JSON."`
}

func (c *historyCmd) Help() string {
	return `Each transition comes with the value and what it was compared with, how long the state before lasted, the rule's version, how
long the evaluation took, and who was told of it. Times are local.

  tocsin history --since 24h --state firing             what fired since yesterday
  tocsin history --rule HighLoad --match instance=db-1  one alert's past
  tocsin history --receiver pager --all                 what the pager was told
  tocsin history --export history.jsonl                 everything, for other programs`
}

// Validate refuses combinations of which a part would have no effect.
func (c *historyCmd) Validate() error {
	switch {
	case c.Limit < 1 || c.Limit > 1000:
		return fmt.Errorf("--limit %d: give 1 to 1000, or --all", c.Limit)
	case c.Follow && (c.All || c.Export != "" || c.After != "" || c.Until != ""):
		return errors.New("--follow is for what is to come; it goes with none of --all, --export, --after, --until")
	case c.Export != "" && (c.All || c.JSON):
		return errors.New("--export writes all as JSON lines; leave --all and --json out")
	case c.Follow && c.Every < 100*time.Millisecond:
		return errors.New("--every must be at least 100ms")
	}
	return nil
}

func (c *historyCmd) Run(ctx context.Context, s streams) error {
	q, err := c.query(time.Now())
	if err != nil {
		return err
	}
	switch {
	case c.Export != "":
		err = c.export(ctx, s, q)
	case c.Follow:
		err = c.follow(ctx, s, q)
	default:
		err = c.pages(ctx, s, q)
	}
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return nil
}

// query makes the API's parameters of the flags.
func (c *historyCmd) query(now time.Time) (url.Values, error) {
	q := url.Values{}
	for name, v := range map[string]string{
		"rule": c.Rule, "group": c.Group, "file": c.File, "receiver": c.Receiver, "after": c.After, "order": c.Order,
	} {
		if v != "" {
			q.Set(name, v)
		}
	}
	q["state"] = c.State
	for name, text := range map[string]string{"start": c.Since, "end": c.Until} {
		if text == "" {
			continue
		}
		at, err := parsePast(text, now)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", map[string]string{"start": "since", "end": "until"}[name], err)
		}
		q.Set(name, at.UTC().Format(time.RFC3339Nano))
	}
	selector, err := selectorOf(c.Match)
	if err != nil {
		return nil, fmt.Errorf("--match %w", err)
	}
	if selector != "" {
		q.Set("match[]", selector)
	}
	return q, nil
}

// selectorOf joins matchers into one selector. A value without quotes gets them.
func selectorOf(matchers []string) (string, error) {
	var parts []string
	for _, m := range matchers {
		if strings.HasSuffix(m, "}") {
			if len(matchers) > 1 {
				return "", fmt.Errorf("%s: a whole selector goes with no other", m)
			}
			return m, nil
		}
		at := strings.IndexAny(m, "=!")
		if at <= 0 {
			return "", fmt.Errorf("%q: write LABEL=VALUE, with =, !=, =~ or !~", m)
		}
		op := m[at : at+1]
		if at+1 < len(m) && (m[at+1] == '~' || m[at+1] == '=') {
			op = m[at : at+2]
		}
		if op == "!" || op == "==" {
			return "", fmt.Errorf("%q: write LABEL=VALUE, with =, !=, =~ or !~", m)
		}
		name, value := strings.TrimSpace(m[:at]), strings.TrimSpace(m[at+len(op):])
		if !quotedText(value) {
			value = strconv.Quote(value)
		}
		parts = append(parts, name+op+value)
	}
	if len(parts) == 0 {
		return "", nil
	}
	return "{" + strings.Join(parts, ",") + "}", nil
}

func quotedText(s string) bool {
	return len(s) >= 2 && (s[0] == '"' || s[0] == '\'' || s[0] == '`') && s[len(s)-1] == s[0]
}

// historyPage is the API's page.
type historyPage struct {
	Entries []pastTransition `json:"entries"`
	Next    string           `json:"next"`
}

// pastTransition is what the command reads of a transition.
type pastTransition struct {
	ID          string         `json:"id"`
	At          time.Time      `json:"at"`
	Rule        string         `json:"rule"`
	RuleVersion string         `json:"ruleVersion"`
	From        string         `json:"from"`
	To          string         `json:"to"`
	Labels      labels.Labels  `json:"labels"`
	Value       string         `json:"value"`
	ActiveAt    time.Time      `json:"activeAt"`
	Threshold   string         `json:"threshold"`
	Latency     float64        `json:"evaluationLatencySeconds"`
	Reason      string         `json:"reason"`
	Clearing    string         `json:"clearingValue"`
	Duration    float64        `json:"firedSeconds"`
	Deliveries  []pastDelivery `json:"deliveries"`

	raw json.RawMessage // all of it, as it came
}

func (t *pastTransition) UnmarshalJSON(b []byte) error {
	type plain pastTransition
	t.raw = bytes.Clone(b)
	return json.Unmarshal(b, (*plain)(t))
}

type pastDelivery struct {
	Receiver    string  `json:"receiver"`
	Integration string  `json:"integration"`
	Attempt     int     `json:"attempt"`
	Latency     float64 `json:"latencySeconds"`
	Outcome     string  `json:"outcome"`
	Answer      string  `json:"answer"`
}

// page asks for one page.
func (c *historyCmd) page(ctx context.Context, q url.Values) (historyPage, json.RawMessage, error) {
	q.Set("limit", strconv.Itoa(c.Limit))
	var p historyPage
	raw, err := c.into(ctx, call{method: http.MethodGet, path: "api/v1/history", query: q}, &p)
	return p, raw, err
}

// pages prints one page, or all.
func (c *historyCmd) pages(ctx context.Context, s streams, q url.Values) error {
	if c.All {
		c.Limit = 1000
	}
	out := newHistoryTable(s.out)
	entries := []json.RawMessage{} // for --json
	for {
		p, raw, err := c.page(ctx, q)
		if err != nil {
			return err
		}
		if c.JSON {
			if !c.All {
				return printJSON(s, raw)
			}
			for i := range p.Entries {
				entries = append(entries, p.Entries[i].raw)
			}
		} else if err := out.print(p.Entries); err != nil {
			return err
		}
		if p.Next == "" || !c.All {
			c.last(s, out, p.Next)
			break
		}
		q.Set("after", p.Next)
	}
	if c.JSON {
		return printJSON(s, map[string]any{"entries": entries, "next": ""})
	}
	return nil
}

// last says how to go on after the last page that was printed.
func (c *historyCmd) last(s streams, out *historyTable, next string) {
	switch {
	case c.JSON:
	case next != "":
		fmt.Fprintf(s.err, "There are more: --all, or --after %s for the next page.\n", next)
	case out.rows == 0:
		fmt.Fprintln(s.err, "Nothing that fits has been recorded.")
	}
}

// follow prints new transitions as they are recorded. Their deliveries come later, and are not waited for.
func (c *historyCmd) follow(ctx context.Context, s streams, q url.Values) error {
	q.Set("order", "newest")
	out := newHistoryTable(s.out)
	seen, first := uint64(0), true
	tick := time.NewTicker(c.Every)
	defer tick.Stop()
	for {
		fresh, newest, err := c.fresh(ctx, q, seen, first)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		seen = max(seen, newest)
		if !first || c.Since != "" {
			if err := c.printFresh(s, out, fresh); err != nil {
				return err
			}
		}
		first = false
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (c *historyCmd) printFresh(s streams, out *historyTable, fresh []pastTransition) error {
	if !c.JSON {
		return out.print(fresh)
	}
	for i := range fresh {
		if _, err := s.out.Write(append(fresh[i].raw, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// fresh returns what was recorded after seen, oldest first, and the newest number. The first time one page will do.
func (c *historyCmd) fresh(ctx context.Context, q url.Values, seen uint64, first bool) (out []pastTransition, newest uint64, err error) {
	defer q.Del("after")
	for {
		p, _, err := c.page(ctx, q)
		if err != nil {
			return nil, 0, err
		}
		for i := range p.Entries {
			id, err := strconv.ParseUint(p.Entries[i].ID, 10, 64)
			if err != nil {
				return nil, 0, fmt.Errorf("the server's number of a transition: %w", err)
			}
			newest = max(newest, id)
			if id <= seen {
				p.Next = ""
				break
			}
			out = append(out, p.Entries[i])
		}
		if p.Next == "" || first {
			slices.Reverse(out)
			return out, newest, nil
		}
		q.Set("after", p.Next)
	}
}

// export writes JSON lines to the file, which is there as a whole or not at all.
func (c *historyCmd) export(ctx context.Context, s streams, q url.Values) error {
	body, err := c.open(ctx, call{method: http.MethodGet, path: "api/v1/history/export", query: q})
	if err != nil {
		return err
	}
	defer body.Close()
	if c.Export == "-" {
		_, err := io.Copy(s.out, body)
		return err
	}
	lines, err := writeWhole(c.Export, body)
	if err != nil {
		return fmt.Errorf("export to %s: %w", c.Export, err)
	}
	fmt.Fprintf(s.err, "%d transitions in %s\n", lines, c.Export)
	return nil
}

// changeText says what became of an alert.
func (t *pastTransition) changeText() string {
	switch {
	case t.From == t.To:
		return t.To + ": " + t.reasonText()
	case t.From == "firing" && t.To == "inactive":
		return "firing → resolved"
	}
	return t.From + " → " + t.To
}

func (t *pastTransition) reasonText() string {
	if r, known := alert.ParseReason(t.Reason); known {
		return r.Word()
	}
	return plainText(t.Reason) // Of a newer tocsin.
}
