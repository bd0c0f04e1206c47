package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

// explainedRule is one rule of the answer of /api/v1/rules/explain.
type explainedRule struct {
	File  string    `json:"file"`
	Group string    `json:"group"`
	Name  string    `json:"name"`
	Type  rule.Kind `json:"type"`
	Query string    `json:"query"`
	tierFields
	// Plan is nil on tier 0.
	Plan *plan.Tree `json:"plan,omitempty"`
}

// serveExplain is GET /api/v1/rules/explain: how the rules that the parameters file, group and rule name are computed, as
// JSON or, where format=text or the Accept header says so, as text. A parameter that is left out fits every rule; several
// rules of a group may have one name.
func (t *Tenant) serveExplain(w http.ResponseWriter, r *http.Request) {
	params := r.URL.Query()
	file, group, name := params.Get("file"), params.Get("group"), params.Get("rule")
	text, err := wantsText(r)
	switch {
	case err != nil:
		badData(w, err)
		return
	case file == "" && group == "" && name == "":
		badData(w, errors.New("name what to explain by one or more of the parameters file, group and rule"))
		return
	}
	found := t.explain(func(g engine.GroupStatus, r *rule.Rule) bool {
		return (file == "" || g.File == file) && (group == "" || g.Name == group) && (name == "" || r.Name == name)
	})
	switch {
	case len(found) == 0:
		apiError(w, http.StatusNotFound, "not_found", "there is no such rule; /api/v1/rules lists files, groups and rules")
	case text:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		for i, e := range found {
			if i > 0 {
				fmt.Fprintln(w)
			}
			e.write(w)
		}
	default:
		answer(w, map[string][]explainedRule{"rules": found})
	}
}

// wantsText reports whether the answer is to be text.
func wantsText(r *http.Request) (bool, error) {
	switch format := r.URL.Query().Get("format"); format {
	case "text":
		return true, nil
	case "json":
		return false, nil
	case "":
		return strings.Contains(strings.Join(r.Header.Values("Accept"), ","), "text/plain"), nil
	default:
		return false, invalid("format", fmt.Errorf("%q is neither json nor text", format))
	}
}

// explain explains the wanted rules. What is shared is counted over all rules.
func (t *Tenant) explain(wanted func(engine.GroupStatus, *rule.Rule) bool) []explainedRule {
	var plans []*plan.Plan
	groups := t.groups()
	for _, g := range groups {
		for _, r := range g.Rules {
			plans = append(plans, r.Rule.Plan)
		}
	}
	sharing := plan.NewSharing(plans)
	var out []explainedRule
	for _, g := range groups {
		for _, r := range g.Rules {
			if wanted(g, r.Rule) {
				out = append(out, explainedRule{
					File: g.File, Group: g.Name, Name: r.Rule.Name, Type: r.Rule.Kind, Query: r.Rule.Plan.String(),
					tierFields: t.tierOf(r), Plan: sharing.Explain(r.Rule.Plan, t.Measure),
				})
			}
		}
	}
	return out
}

// write writes e as text: whose plan it is, then the plan, a node a line. A client that went away has no use for errors.
func (e explainedRule) write(w io.Writer) {
	fmt.Fprintf(w, "%s / %s / %s: tier %d", e.File, e.Group, e.Name, e.Tier)
	switch {
	case e.TierReason != "" && e.Tier == int(plan.Tier0):
		fmt.Fprintf(w, ", not compiled: %s", e.TierReason)
	case e.TierReason != "":
		fmt.Fprintf(w, ", %s", e.TierReason)
	}
	fmt.Fprintln(w)
	if left := fallbackWords(e.TierFallbacks); left != "" {
		fmt.Fprintf(w, "  %s\n", left)
	}
	if e.Plan == nil {
		fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(e.Query, "\n", "\n  "))
		return
	}
	_ = e.Plan.WriteText(w, "  ")
}
