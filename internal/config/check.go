package config

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Kind is what a file is, as far as its top-level keys say.
type Kind string

// The kinds that DetectKind tells apart.
const (
	// KindTocsin is a configuration file with a `tocsin:` section.
	KindTocsin Kind = "tocsin"
	// KindPrometheus is one without; also what an empty file is.
	KindPrometheus Kind = "prometheus"
	// KindAlertmanager is an alertmanager.yml.
	KindAlertmanager Kind = "alertmanager"
	// KindRules is a rule file, which is no configuration.
	KindRules Kind = "rules"
)

// DetectKind tells what a file with this content is by its top-level keys. Content that is no YAML mapping counts as
// KindPrometheus: loading it as such says what is wrong.
func DetectKind(content string) Kind {
	doc, _, err := parseDocument("", content)
	if err != nil || doc.root == nil || doc.root.Kind != yaml.MappingNode {
		return KindPrometheus
	}
	var keys []string
	for i := 0; i+1 < len(doc.root.Content); i += 2 {
		keys = append(keys, doc.root.Content[i].Value)
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return slices.Contains(names, k) })
	}
	switch {
	case has(sectionKey):
		return KindTocsin
	case has("scrape_configs", "scrape_config_files", "rule_files", "alerting", "remote_write", "remote_read", "storage", "otlp"):
		return KindPrometheus
	case has("route", "receivers", "inhibit_rules", "templates", "time_intervals", "mute_time_intervals", "event_recorder"):
		return KindAlertmanager
	case has("groups", "rules"):
		return KindRules
	}
	return KindPrometheus
}

// Report is the verdict on one file.
type Report struct {
	File string `json:"file"`
	Kind Kind   `json:"kind"`
	// OK says that there are no errors; there may be warnings.
	OK       bool      `json:"ok"`
	Errors   []*Error  `json:"errors"`
	Warnings []Warning `json:"warnings"`
}

// refusals makes an error of the warning about the address: the file loads, because a flag may give another address, but
// as it stands nothing runs with it.
func refusals(all []Warning) (kept []Warning, err error) {
	var errs Errors
	for _, w := range all {
		if w.Path == sectionKey+".listen" {
			errs = append(errs, &Error{File: w.File, Line: w.Line, Column: w.Column, Path: w.Path, Message: w.Message})
			continue
		}
		kept = append(kept, w)
	}
	return kept, errs.orNil()
}

// Check loads the file at path as what DetectKind finds it to be, with the files that it names, and reports. Nothing is
// started or kept.
func Check(path string, o LoadOptions) Report {
	r := Report{File: path, Kind: KindPrometheus, Errors: []*Error{}, Warnings: []Warning{}}
	content, err := readFile(path)
	if err == nil {
		r.Kind = DetectKind(content)
		var warnings []Warning
		switch r.Kind {
		case KindAlertmanager:
			_, warnings, err = LoadAlertmanager(path)
		case KindRules:
			err = &Error{File: path, Message: fmt.Sprintf("is a rule file, no configuration; use: tocsin check rules %s", path)}
		default:
			var c *Config
			if c, err = Parse(path, content, o); err == nil {
				warnings, err = refusals(c.Warnings)
			}
		}
		r.Warnings = append(r.Warnings, warnings...)
	}
	r.Errors = append(r.Errors, asErrors(err)...)
	r.OK = len(r.Errors) == 0
	return r
}
