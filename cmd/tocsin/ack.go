package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

type ackCmd struct {
	serverFlags
	Alert   string   `arg:"" optional:"" help:"The alert's name."`
	Labels  []string `arg:"" optional:"" name:"label=value" help:"Further labels, as many as it takes to mean one active alert."`
	Owner   string   `help:"Who looks after it." env:"TOCSIN_OWNER" placeholder:"NAME"`
	Comment string   `help:"What you are doing about it."`
	For     string   `help:"It ends after this time by itself, 2h for example; without it, when it is removed." placeholder:"DURATION"`
	Until   string   `help:"It ends at this time (RFC 3339 or Unix seconds) by itself." placeholder:"TIME"`
	Exact   bool     `help:"The labels are all that the alert has; it need not be active, nor come from a rule here."`
	List    bool     `help:"List the acknowledgements that hold."`
	Remove  uint64   `help:"Withdraw the acknowledgement with this number." placeholder:"ID"`
	JSON    bool     `name:"json" help:"Print the API's data as JSON."`
}

func (c *ackCmd) Help() string {
	return `While an alert is acknowledged, its notifications are not repeated, and lists show who looks after it.

  tocsin ack HighLoad instance=db-1:9100 --owner eva --comment "on it" --for 2h
  tocsin ack --list
  tocsin ack --remove 3`
}

// Validate refuses what would be ignored, and what cannot be.
func (c *ackCmd) Validate() error {
	adding := c.Alert != ""
	ways := 0
	for _, on := range []bool{adding, c.List, c.Remove != 0} {
		if on {
			ways++
		}
	}
	switch {
	case ways == 0:
		return errors.New("name an alert to acknowledge, or give --list, or --remove ID")
	case ways > 1:
		return errors.New("an alert's name, --list and --remove do different things; give one of them")
	case !adding && (c.Comment != "" || c.For != "" || c.Until != "" || c.Exact):
		return errors.New("--comment, --for, --until and --exact belong to an acknowledgement: name the alert")
	case adding && strings.TrimSpace(c.Owner) == "":
		return errors.New("--owner is missing: say who looks after the alert (or set TOCSIN_OWNER)")
	case c.For != "" && c.Until != "":
		return errors.New("give either --for or --until")
	}
	_, err := c.labels()
	return err
}

// labels returns those that the arguments name.
func (c *ackCmd) labels() (map[string]string, error) {
	out := map[string]string{labels.AlertName: c.Alert}
	for _, l := range c.Labels {
		name, value, ok := strings.Cut(l, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%q: write label=value", l)
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("%q: the label %s is named twice", l, name)
		}
		if quotedText(value) {
			if text, err := strconv.Unquote(value); err == nil {
				value = text
			}
		}
		out[name] = value
	}
	return out, nil
}

// acknowledgement is one of the API's.
type acknowledgement struct {
	ID      uint64        `json:"id"`
	Labels  labels.Labels `json:"labels"`
	Owner   string        `json:"owner"`
	Comment string        `json:"comment"`
	At      time.Time     `json:"at"`
	Until   time.Time     `json:"until"`
}

func (c *ackCmd) Run(ctx context.Context, s streams) error {
	var err error
	switch {
	case c.List:
		err = c.list(ctx, s)
	case c.Remove != 0:
		err = c.remove(ctx, s)
	default:
		err = c.add(ctx, s)
	}
	if err != nil {
		return fmt.Errorf("ack: %w", err)
	}
	return nil
}

func (c *ackCmd) add(ctx context.Context, s streams) error {
	ls, err := c.labels()
	if err != nil {
		return err
	}
	body := map[string]any{"labels": ls, "owner": c.Owner, "comment": c.Comment, "exact": c.Exact}
	for name, v := range map[string]string{"for": c.For, "until": c.Until} {
		if v != "" {
			body[name] = v
		}
	}
	var a acknowledgement
	raw, err := c.into(ctx, call{method: http.MethodPost, path: "api/v1/acks", body: body}, &a)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s, raw)
	}
	_, err = fmt.Fprintf(s.out, "%s is acknowledged by %s %s; its number is %d.\n", alertText("", a.Labels), plainText(a.Owner), a.untilText(), a.ID)
	return err
}

func (a *acknowledgement) untilText() string {
	if a.Until.IsZero() {
		return "until it is withdrawn"
	}
	return "until " + clockTime(a.Until)
}

func (c *ackCmd) list(ctx context.Context, s streams) error {
	var all struct{ Acks []acknowledgement }
	raw, err := c.into(ctx, call{method: http.MethodGet, path: "api/v1/acks"}, &all)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s, raw)
	}
	if len(all.Acks) == 0 {
		fmt.Fprintln(s.err, "Nothing is acknowledged.")
		return nil
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tALERT\tOWNER\tSINCE\tUNTIL\tCOMMENT")
	for _, a := range all.Acks {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", a.ID, alertText("", a.Labels), plainText(a.Owner), clockTime(a.At), clockTime(a.Until), orDash(plainText(a.Comment)))
	}
	return w.Flush()
}

func (c *ackCmd) remove(ctx context.Context, s streams) error {
	raw, err := c.data(ctx, call{method: http.MethodDelete, path: "api/v1/acks/" + strconv.FormatUint(c.Remove, 10)})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s, raw)
	}
	_, err = fmt.Fprintf(s.out, "The acknowledgement %d is withdrawn.\n", c.Remove)
	return err
}
