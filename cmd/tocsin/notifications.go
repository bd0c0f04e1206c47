package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/tocsin/tocsin/internal/notify"
	"github.com/tocsin/tocsin/internal/web"
)

type notificationsCmd struct {
	List    notificationsListCmd    `cmd:"" default:"withargs" help:"What waits, what was given up, and which receivers have trouble (what is done without a command)."`
	Resend  notificationsResendCmd  `cmd:"" help:"Have notifications tried at once, dead letters too."`
	Discard notificationsDiscardCmd `cmd:"" help:"Forget notifications: nobody is told."`
}

func (c *notificationsCmd) Help() string {
	return `A notification waits until its receiver has taken it. What could not be delivered for too long becomes a dead letter: it is kept,
and not tried until you say so.

  tocsin notifications              what waits and what is dead
  tocsin notifications resend --all send all dead letters again
  tocsin notifications discard 17   nobody need be told any more`
}

const outboxPath = "api/v1/notifications/outbox"

type notificationsListCmd struct {
	serverFlags
	JSON bool `name:"json" help:"Print the API's data as JSON."`
}

func (c *notificationsListCmd) Run(ctx context.Context, s streams) error {
	var o web.Notifications
	raw, err := c.into(ctx, call{method: http.MethodGet, path: outboxPath}, &o)
	if err != nil {
		return fmt.Errorf("notifications: %w", err)
	}
	if c.JSON {
		return printJSON(s, raw)
	}
	return printOutbox(s, &o)
}

func printOutbox(s streams, o *web.Notifications) error {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	title := func(format string, n int) {
		fmt.Fprintf(w, format+"\n", n)
	}
	if len(o.Waiting)+len(o.DeadLetters)+len(o.Circuits) == 0 {
		fmt.Fprintln(w, "Nothing waits, and nothing was given up.")
	}
	if len(o.Waiting) > 0 {
		title("%d waiting", len(o.Waiting))
		fmt.Fprintln(w, "  ID\tRECEIVER\tALERTS\tSINCE\tNEXT\tFAILED\tLAST ERROR")
		for i := range o.Waiting {
			printPending(w, &o.Waiting[i])
		}
	}
	if len(o.DeadLetters) > 0 {
		title("%d dead letters", len(o.DeadLetters))
		fmt.Fprintln(w, "  ID\tRECEIVER\tALERTS\tSINCE\tNEXT\tFAILED\tLAST ERROR")
		for i := range o.DeadLetters {
			printPending(w, &o.DeadLetters[i])
		}
	}
	if len(o.Circuits) > 0 {
		title("%d receivers with trouble", len(o.Circuits))
		fmt.Fprintln(w, "  RECEIVER\tCIRCUIT\tFAILED\tNEXT\tLAST ERROR")
		for _, c := range o.Circuits {
			fmt.Fprintf(w, "  %s\t%s\t%d\t%s\t%s\n", receiverText(c.Receiver, c.Integration), plainText(c.State), c.Failures, clockTime(c.Until), plainText(c.LastError))
		}
	}
	return w.Flush()
}

func receiverText(receiver, integration string) string {
	return plainText(receiver + "/" + integration)
}

func printPending(w *tabwriter.Writer, n *notify.Pending) {
	fmt.Fprintf(w, "  %d\t%s\t%s\t%s\t%s\t%d\t%s\n", n.ID, receiverText(n.Receiver, n.Integration), pendingAlerts(n),
		clockTime(n.CreatedAt), clockTime(n.NextAt), n.Attempts, plainText(n.LastError))
}

// pendingAlerts names the first alert and counts the others.
func pendingAlerts(n *notify.Pending) string {
	if len(n.Alerts) == 0 {
		return strconv.Itoa(n.AlertCount)
	}
	text := alertText("", n.Alerts[0].Labels)
	if n.Alerts[0].Resolved {
		text += " resolved"
	}
	if more := max(n.AlertCount, len(n.Alerts)) - 1; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// chosen are the notifications that a command is about.
type chosen struct {
	serverFlags
	IDs []uint64 `arg:"" optional:"" name:"id" help:"Numbers of notifications."`
	All bool     `help:"All dead letters."`
}

// Validate wants one way to choose.
func (c *chosen) Validate() error {
	if c.All == (len(c.IDs) > 0) {
		return errors.New("give numbers of notifications, or --all for all dead letters")
	}
	return nil
}

// each does what to all that are chosen, whatever becomes of the others, and says what was done.
func (c *chosen) each(ctx context.Context, s streams, method, suffix, done string) error {
	ids := c.IDs
	if c.All {
		var o web.Notifications
		if _, err := c.into(ctx, call{method: http.MethodGet, path: outboxPath}, &o); err != nil {
			return fmt.Errorf("notifications: %w", err)
		}
		for i := range o.DeadLetters {
			ids = append(ids, o.DeadLetters[i].ID)
		}
	}
	failed, n := []string{}, 0
	for _, id := range ids {
		path := "api/v1/notifications/" + strconv.FormatUint(id, 10) + suffix
		if _, err := c.data(ctx, call{method: method, path: path}); err != nil {
			failed = append(failed, fmt.Sprintf("%d: %v", id, err))
			if ctx.Err() != nil {
				break
			}
			continue
		}
		n++
	}
	fmt.Fprintf(s.out, "%d %s\n", n, done)
	if len(failed) > 0 {
		return fmt.Errorf("notifications: %d could not be: %s", len(failed), strings.Join(failed, "; "))
	}
	return nil
}

type notificationsResendCmd struct{ chosen }

func (c *notificationsResendCmd) Run(ctx context.Context, s streams) error {
	return c.each(ctx, s, http.MethodPost, "/resend", "will be tried now.")
}

type notificationsDiscardCmd struct{ chosen }

func (c *notificationsDiscardCmd) Run(ctx context.Context, s streams) error {
	return c.each(ctx, s, http.MethodDelete, "", "discarded.")
}
