package ruletest

import (
	"fmt"
	"log/slog"
	"os"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"go.yaml.in/yaml/v3"

	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

// loadRules reads rule files and returns their groups in the order in which they are evaluated: by their place in
// order, those that it does not name first, otherwise as the files give them. A file that two patterns match counts once.
func loadRules(files, order []string, c *plan.Compiler, lenient bool) ([]*rule.Group, []error) {
	var groups []*rule.Group
	seen := make(map[string]bool, len(files))
	for _, path := range files {
		if seen[path] || rule.IsSideFile(path) {
			continue
		}
		seen[path] = true
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, []error{err}
		}
		side, err := rule.ReadSide(path)
		if err != nil {
			return nil, []error{err}
		}
		f, errs := parseRules(path, content, side, c, lenient)
		if len(errs) > 0 {
			return nil, errs
		}
		groups = append(groups, f.Groups...)
	}
	// Groups that order does not name share place 0 with the first that it names, as in promtool.
	place := make(map[string]int, len(order))
	for i, name := range order {
		place[name] = i
	}
	slices.SortStableFunc(groups, func(a, b *rule.Group) int { return place[a.Name] - place[b.Name] })
	return groups, nil
}

// parseRules reads one rule file with its side file; leniently, fields that Prometheus's format does not have are passed over.
func parseRules(path string, content, side []byte, c *plan.Compiler, lenient bool) (*rule.File, []error) {
	pos := newPositions(content)
	if !lenient || !pos.has("groups") { // Of the dialects, only Prometheus's is read leniently anywhere.
		return rule.ParseBoth(path, content, side, c)
	}
	known, errs := rulefmt.Parse(content, true, model.UTF8Validation, c.Parser(), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		for i, err := range errs {
			errs[i] = fmt.Errorf("%s: %w", path, err)
		}
		return nil, errs
	}
	if len(known.Groups) == 0 {
		return &rule.File{Path: path, Dialect: rule.Prometheus}, nil
	}
	// What is left once the unknown is gone goes the way of every rule file.
	stripped, err := yaml.Marshal(known)
	if err != nil {
		return nil, []error{fmt.Errorf("%s: leaving out unknown fields: %w", path, err)}
	}
	f, errs := rule.ParseBoth(path, stripped, side, c)
	if len(errs) > 0 {
		return nil, errs
	}
	for i, g := range f.Groups {
		for j, r := range g.Rules {
			r.Line = pos.line("groups", i, "rules", j)
		}
	}
	return f, nil
}
