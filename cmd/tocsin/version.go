package main

import (
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/tocsin/tocsin"
)

type versionCmd struct {
	JSON bool `name:"json" help:"Print as JSON."`
}

func (c *versionCmd) Run(s streams) error {
	v := tocsin.BuildVersion()
	if c.JSON {
		return printJSON(s, map[string]string{
			"version": v.Version, "revision": v.Revision, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
			"prometheus": v.Prometheus, "alertmanager": v.Alertmanager,
		})
	}
	fmt.Fprintf(s.out, "tocsin %s (%s %s/%s), engine of prometheus %s, pipeline of alertmanager %s\n",
		v, runtime.Version(), runtime.GOOS, runtime.GOARCH, v.Prometheus, v.Alertmanager)
	return nil
}

func printJSON(s streams, v any) error {
	enc := json.NewEncoder(s.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
