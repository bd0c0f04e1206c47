package config

import (
	"path/filepath"
	"reflect"
	"time"

	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// LoadAlertmanager loads an Alertmanager configuration file exactly as Alertmanager does, strictly and with relative
// paths resolved against its directory, and parses the templates that it names. The warnings name the routes that wait
// before they tell, templates that are not there, and settings without effect here. The error is an Errors with positions,
// or an *Error when the file cannot be read.
//
// How matchers and label names are read depends on Alertmanager's matcher/compat package, whose mode is global to the
// process: whoever wires the process calls compat.InitFromFlags once, before the first load.
func LoadAlertmanager(file string) (*amconfig.Config, []Warning, error) {
	content, err := readFile(file)
	if err != nil {
		return nil, nil, err
	}
	doc, next, err := parseDocument(file, content)
	if err != nil {
		return nil, nil, asErrors(err)
	}
	load := func(text string) error {
		_, err := amconfig.Load(text)
		return err
	}
	if err := load(content); err != nil {
		return nil, nil, doc.upstreamErrors(err, reflect.TypeFor[amconfig.Config](), load).orNil()
	}
	// Only Alertmanager's own reading of the file resolves relative paths.
	cfg, err := amconfig.LoadFile(file)
	if err != nil {
		return nil, nil, Errors{{File: file, Message: err.Error()}}
	}
	var warnings []Warning
	if next != nil {
		warnings = append(warnings, doc.warningAt(next, nil, "a second YAML document begins here; only the first is used"))
	}
	missing, err := doc.templates(cfg)
	if err != nil {
		return nil, nil, err
	}
	warnings = append(warnings, missing...)
	warnings = append(warnings, doc.unsupportedAlertmanager()...)
	if route, ok := lookup(doc.root, "route"); ok {
		warnings = append(warnings, doc.waits(route, cfg.Route, cfg.Route.Receiver, dispatch.DefaultRouteOpts.GroupWait)...)
	}
	return cfg, warnings, nil
}

// templates parses the templates and warns about patterns without a file, which Alertmanager passes over.
func (d *document) templates(cfg *amconfig.Config) (warnings []Warning, err error) {
	list, ok := lookup(d.root, "templates")
	if !ok {
		return nil, nil
	}
	seq := target(list.value)
	for i, pattern := range cfg.Templates {
		if i >= len(seq.Content) {
			break
		}
		p := list.path.with(step{index: i})
		if _, err := template.FromGlobs([]string{pattern}); err != nil {
			return nil, Errors{d.errorAt(seq.Content[i], p, "%s", err)}
		}
		if files, _ := filepath.Glob(pattern); len(files) == 0 {
			warnings = append(warnings, d.warningAt(seq.Content[i], p, "no file matches %s; its templates are missing", pattern))
		}
	}
	if _, err := template.FromGlobs(cfg.Templates); err != nil {
		return nil, Errors{d.errorAt(list.key, list.path, "%s", err)}
	}
	return warnings, nil
}

// waits warns about every route below r whose group_wait holds a group's first notification back: those that set one,
// and the root when it is silent, where Alertmanager's default (inherited) holds. receiver is the one that r inherits.
func (d *document) waits(s spot, r *amconfig.Route, receiver string, inherited time.Duration) (warnings []Warning) {
	if r.Receiver != "" {
		receiver = r.Receiver
	}
	root := len(s.path) == 1
	switch {
	case r.GroupWait != nil && *r.GroupWait > 0:
		at, ok := lookup(s.value, "group_wait")
		if !ok { // It comes through a merge key.
			at = spot{value: s.value}
		}
		warnings = append(warnings, d.waitWarning(at.node(), s.path, receiver, *r.GroupWait, "is"))
	case r.GroupWait == nil && root && inherited > 0:
		warnings = append(warnings, d.waitWarning(s.key, s.path, receiver, model.Duration(inherited), "is not set, which means"))
	}
	children, ok := lookup(s.value, "routes")
	if !ok || target(children.value).Kind != yaml.SequenceNode {
		return warnings
	}
	for i, item := range target(children.value).Content {
		if i < len(r.Routes) && r.Routes[i] != nil {
			at := spot{path: s.path.with(step{key: "routes"}).with(step{index: i}), value: item}
			warnings = append(warnings, d.waits(at, r.Routes[i], receiver, inherited)...)
		}
	}
	return warnings
}

func (d *document) waitWarning(n *yaml.Node, p path, receiver string, wait model.Duration, verb string) Warning {
	return d.warningAt(n, p, "group_wait %s %s: the first alert of a group waits that long for others before receiver %q is told; "+
		"group_wait: 0s tells on arrival", verb, wait, receiver)
}
