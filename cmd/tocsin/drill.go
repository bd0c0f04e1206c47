package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/tocsin/tocsin/internal/drill"
)

type drillCmd struct {
	serverFlags
	Timeout time.Duration `help:"Give up after; at most 2m." default:"30s"`
	JSON    bool          `name:"json" help:"Print as JSON."`
}

func (c *drillCmd) Help() string {
	return `Sends one sample of tocsin_drill by remote write. The built-in rule TocsinDrill fires on it, and the whole
notification pipeline delivers it to a receiver of tocsin's own: nobody is paged. Exit code 1 when nothing was delivered.`
}

func (c *drillCmd) Run(ctx context.Context, s streams) error {
	hc, u, err := c.client()
	if err != nil {
		return err
	}
	r := drill.Run(ctx, hc, u, rand.Text(), c.Timeout)
	if c.JSON {
		if err := printJSON(s, r); err != nil {
			return err
		}
	} else {
		for _, l := range r.Legs {
			fmt.Fprintf(s.out, "%-10s %9.2f ms\n", l.Leg, l.MS)
		}
		if r.Delivered {
			fmt.Fprintf(s.out, "%-10s %9.2f ms\ndelivered\n", "total", r.TotalMS)
		} else {
			fmt.Fprintf(s.err, "tocsin: drill: nothing was delivered: %s\n", r.Error)
		}
	}
	if !r.Delivered {
		return errReported
	}
	return nil
}
