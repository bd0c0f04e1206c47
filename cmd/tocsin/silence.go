package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tocsin/tocsin/internal/web"
)

type silenceCmd struct {
	Recurring silenceRecurringCmd `cmd:"" help:"Silences that come back: on some days, between two times of day, in a time zone."`
}

func (c *silenceCmd) Help() string {
	return `For a silence that happens once, use amtool: tocsin serves Alertmanager's API.`
}

type silenceRecurringCmd struct {
	Add    recurringAddCmd    `cmd:"" help:"Make one."`
	List   recurringListCmd   `cmd:"" help:"List them."`
	Remove recurringRemoveCmd `cmd:"" help:"Remove one; what it silences now is heard again."`
}

const recurringPath = "api/v1/recurring-silences"

type recurringAddCmd struct {
	serverFlags
	Match    []string `required:"" help:"An alert's labels must match, as in Alertmanager: severity=page. Several must all match." placeholder:"MATCHER" sep:"none"`
	Days     []string `help:"Days on which it begins: mon-fri or sat,sun; every day when left out." placeholder:"DAYS"`
	From     string   `required:"" help:"When it begins, 22:00 for example." placeholder:"HH:MM"`
	To       string   `required:"" help:"When it ends. Not after --from means the day after; 24:00 is the day's end." placeholder:"HH:MM"`
	TimeZone string   `name:"tz" help:"Where these are the days and times: an IANA name." default:"UTC" placeholder:"ZONE"`
	Until    string   `help:"It does not come back after this time (RFC 3339 or Unix seconds)." placeholder:"TIME"`
	By       string   `required:"" help:"Who silences." env:"TOCSIN_OWNER" placeholder:"NAME"`
	Comment  string   `required:"" help:"Why."`
	JSON     bool     `name:"json" help:"Print the API's data as JSON."`
}

func (c *recurringAddCmd) Help() string {
	return `  tocsin silence recurring add --match job=backup --days mon-fri --from 02:00 --to 04:00 --tz Europe/Berlin \
      --comment "the nightly backup" --by eva`
}

func (c *recurringAddCmd) Run(ctx context.Context, s streams) error {
	in := web.RecurringSilence{
		Matchers: c.Match, Days: c.Days, From: c.From, To: c.To, TimeZone: c.TimeZone, CreatedBy: c.By, Comment: c.Comment,
	}
	if c.Until != "" {
		var err error
		if in.Until, err = parseTime(c.Until, time.Now()); err != nil {
			return fmt.Errorf("--until: %w", err)
		}
	}
	var made web.RecurringSilence
	raw, err := c.into(ctx, call{method: http.MethodPost, path: recurringPath, body: in}, &made)
	if err != nil {
		return fmt.Errorf("silence: %w", err)
	}
	if c.JSON {
		return printJSON(s, raw)
	}
	_, err = fmt.Fprintf(s.out, "%s is silent %s; its name is %s.\n", plainText(strings.Join(made.Matchers, ", ")), recurs(&made), plainText(made.ID))
	return err
}

// recurs says on which days and between which times it silences.
func recurs(r *web.RecurringSilence) string {
	days := strings.Join(r.Days, ",")
	if len(r.Days) == 7 {
		days = "every day"
	}
	return plainText(fmt.Sprintf("%s %s–%s %s", days, r.From, r.To, r.TimeZone))
}

type recurringListCmd struct {
	serverFlags
	JSON bool `name:"json" help:"Print the API's data as JSON."`
}

func (c *recurringListCmd) Run(ctx context.Context, s streams) error {
	var all struct{ RecurringSilences []web.RecurringSilence }
	raw, err := c.into(ctx, call{method: http.MethodGet, path: recurringPath}, &all)
	if err != nil {
		return fmt.Errorf("silence: %w", err)
	}
	if c.JSON {
		return printJSON(s, raw)
	}
	if len(all.RecurringSilences) == 0 {
		fmt.Fprintln(s.err, "There are none.")
		return nil
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tALERTS\tWHEN\tUNTIL\tBY\tCOMMENT")
	for _, r := range all.RecurringSilences {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", plainText(r.ID), plainText(strings.Join(r.Matchers, ", ")), recurs(&r), clockTime(r.Until), plainText(r.CreatedBy), plainText(r.Comment))
	}
	return w.Flush()
}

type recurringRemoveCmd struct {
	serverFlags
	ID string `arg:"" help:"Its name, as list shows it."`
}

func (c *recurringRemoveCmd) Run(ctx context.Context, s streams) error {
	if _, err := c.data(ctx, call{method: http.MethodDelete, path: recurringPath + "/" + url.PathEscape(c.ID)}); err != nil {
		return fmt.Errorf("silence: %w", err)
	}
	_, err := fmt.Fprintf(s.out, "%s is removed.\n", plainText(c.ID))
	return err
}
