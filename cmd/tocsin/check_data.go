package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/tocsin/tocsin"
)

type checkDataCmd struct {
	Dir  string `arg:"" optional:"" default:"tocsin-data" help:"Data directory (default ./tocsin-data)."`
	JSON bool   `name:"json" help:"Print as JSON."`
}

func (c *checkDataCmd) Help() string {
	return `Reads what tocsin keeps on disk, says what is good, what is not, and what a repair would do and lose. Nothing is changed, and a
tocsin may be running on the directory. Exit code 1 when something is wrong, 2 when there is no data directory.`
}

// Validate refuses what is no data directory.
func (c *checkDataCmd) Validate() error {
	info, err := os.Stat(filepath.Join(c.Dir, "tenants"))
	if err == nil && !info.IsDir() || err != nil && os.IsNotExist(err) {
		return fmt.Errorf("%s is no data directory of tocsin: it has no directory 'tenants'", c.Dir)
	}
	return nil
}

func (c *checkDataCmd) Run(s streams) error {
	r, err := tocsin.CheckData(c.Dir)
	if err != nil {
		return err
	}
	if c.JSON {
		if err := printJSON(s, r); err != nil {
			return err
		}
	} else {
		printDataReport(s.out, r)
	}
	if !r.OK {
		return errReported
	}
	return nil
}

func printDataReport(w io.Writer, r tocsin.DataReport) {
	if len(r.Tenants) == 0 {
		fmt.Fprintf(w, "ok    %s: no tenant has data yet\n", r.Dir)
	}
	for _, t := range r.Tenants {
		for _, p := range t.Parts {
			fmt.Fprintf(w, "%s  %s\n", verdict(len(p.Problems) == 0), p.Path)
			if p.Verified != "" {
				fmt.Fprintf(w, "      %s\n", p.Verified)
			}
			if l := p.Ledger; l != nil && !l.Newest.IsZero() {
				fmt.Fprintf(w, "      from %s to %s, %d KiB, version %d\n", clockTime(l.Oldest), clockTime(l.Newest), (l.Bytes+1023)/1024, l.Version)
			}
			for _, problem := range p.Problems {
				fmt.Fprintf(w, "      error: %s\n        a repair would %s\n", strings.ReplaceAll(problem.What, "\n", "\n             "), problem.Repair)
			}
		}
	}
}
