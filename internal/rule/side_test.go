package rule

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
)

const plain = `groups:
- name: node
  rules:
  - record: cpu:avg
    expr: avg(cpu)
  - alert: Hot
    expr: cpu > 80
    for: 5m
    labels: {severity: warn}
  - alert: Hot
    expr: cpu > 95
    labels: {severity: page}
  - alert: Down
    expr: up == 0
- name: other
  rules:
  - alert: Off
    expr: x @ 5 > 2
  - alert: Pairs
    expr: x > y
  - alert: Yes
    expr: x > bool 2
`

const side = `groups:
- name: node
  rules:
  - alert: Hot
    labels: {severity: page}
    clear: cpu < 90
    on_missing: hold
    flap: {transitions: 5, within: 10m}
    thresholds:
    - {match: '{zone="a",env=~"prod.*"}', value: 99}
    - match: '{zone="b"}'
      value: 97.5
  - alert: Down
    on_missing: resolve
`

func TestSideFileExtendsRules(t *testing.T) {
	f, errs := ParseBoth("dir/f.yml", []byte(plain), []byte(side), compiler())
	require.Empty(t, errs)
	require.Equal(t, "dir/f.tocsin.yml", f.Side)
	without, errs := ParseBoth("dir/f.yml", []byte(plain), nil, compiler())
	require.Empty(t, errs)
	require.NotEqual(t, without.Hash, f.Hash)
	require.Equal(t, contentHash([]byte(plain)), without.Hash)
	require.Empty(t, without.Side)

	rules, before := f.Groups[0].Rules, without.Groups[0].Rules
	require.Equal(t, before[1], rules[1], "the other rule of the name is as it was")
	hot := rules[2]
	require.Equal(t, `cpu{env=~"prod.*",zone="a"} > 99 or cpu{zone="b"} > 97.5 or cpu{zone!="b"} > 95 unless cpu{env=~"prod.*",zone="a"}`, hot.Plan.String())
	require.Equal(t, "cpu < 90", hot.Clear.String())
	require.Equal(t, "cpu", hot.Present.String())
	require.Equal(t, alert.MissingHolds, hot.OnMissing)
	require.Equal(t, Flap{5, 10 * time.Minute}, hot.Flap)
	require.Equal(t, "dir/f.tocsin.yml:4", hot.ExtendedIn)
	require.Equal(t, 99.0, hot.Thresholds.Of(labels.FromStrings("zone", "a", "env", "prod-1")))
	require.Equal(t, 95.0, hot.Thresholds.Of(labels.FromStrings("zone", "a")))
	require.NotEqual(t, before[2].ID, hot.ID)
	require.Equal(t, "dir/f.tocsin.yml:13", rules[3].ExtendedIn)
	require.Equal(t, before[3].ID, rules[3].ID, "to resolve goes without saying")
	require.Nil(t, rules[3].Present)
}

// TestIDSaysWhatIsExtended changes one thing at a time.
func TestIDSaysWhatIsExtended(t *testing.T) {
	id := func(side string) string {
		f, errs := ParseBoth("f.yml", []byte(plain), []byte(side), compiler())
		require.Empty(t, errs, side)
		return f.Groups[0].Rules[2].ID
	}
	base := id(side)
	for _, change := range [][2]string{
		{"cpu < 90", "cpu < 89"}, {"hold", "fire"}, {"transitions: 5", "transitions: 6"}, {"within: 10m", "within: 11m"}, {"value: 99", "value: 98"},
		{"    clear: cpu < 90\n", ""},
	} {
		require.NotEqual(t, base, id(strings.Replace(side, change[0], change[1], 1)), change)
	}
	require.Equal(t, base, id(strings.Replace(side, "10m", "600", 1)))
	require.Equal(t, base, id("# a comment\n"+side))
}

func TestSideFileErrorsSayWhere(t *testing.T) {
	one := func(lines ...string) string {
		return "groups:\n- name: node\n  rules:\n  - alert: Down\n    " + strings.Join(lines, "\n    ") + "\n"
	}
	other := func(alert string, lines ...string) string {
		return "groups:\n- name: other\n  rules:\n  - alert: " + alert + "\n    " + strings.Join(lines, "\n    ") + "\n"
	}
	const down = `f.tocsin.yml:%: group "node", rule 1 "Down": `
	for name, tc := range map[string]struct{ content, want string }{
		"unknown group":      {"groups:\n- name: nodes\n", `f.tocsin.yml:2:9: group "nodes": there is no such group in f.yml`},
		"unknown rule":       {"groups:\n- name: node\n  rules:\n  - alert: Dwon\n    on_missing: hold\n", `f.tocsin.yml:4:12: group "node", rule 1 "Dwon": there is no such alerting rule in the group in f.yml, which has: Hot, Down`},
		"recording rule":     {"groups:\n- name: node\n  rules:\n  - alert: cpu:avg\n    on_missing: hold\n", `f.tocsin.yml:4:12: group "node", rule 1 "cpu:avg": it is a recording rule; only alerting rules have such fields`},
		"several rules":      {"groups:\n- name: node\n  rules:\n  - alert: Hot\n    on_missing: hold\n", `f.tocsin.yml:4:12: group "node", rule 1 "Hot": there are several such rules in f.yml, in the lines 6, 10: labels, such as`},
		"other labels":       {"groups:\n- name: node\n  rules:\n  - alert: Hot\n    labels: {severity: none}\n    on_missing: hold\n", `f.tocsin.yml:4:12: group "node", rule 1 "Hot": there is no such alerting rule with these labels in the group in f.yml`},
		"no name":            {"groups:\n- name: node\n  rules:\n  - on_missing: hold\n", `f.tocsin.yml:4:5: group "node", rule 1: a rule needs its name in the field alert`},
		"nothing said":       {one("clear:"), `f.tocsin.yml:4:5: group "node", rule 1 "Down": nothing is said of the rule; there are: clear, on_missing, flap, thresholds`},
		"said twice":         {one("on_missing: hold") + "  - alert: Down\n    clear: up\n", `f.tocsin.yml:6:5: group "node", rule 2 "Down": the rule of line 13 of f.yml has its fields from line 4 already`},
		"group twice":        {one("on_missing: hold") + "- name: node\n", `f.tocsin.yml:6:9: group "node": the group stands there twice, first in line 2`},
		"unknown field":      {one("cleer: up"), at(down, "5:5") + `unknown field "cleer" in a rule of a side file, which has: alert, labels, clear`},
		"unknown at top":     {"rules: []\ngroups: []\n", `f.tocsin.yml:1:1: unknown field "rules" in a side file, which has: groups`},
		"unknown in group":   {"groups:\n- name: node\n  interval: 5s\n", `f.tocsin.yml:3:3: group "node": unknown field "interval" in a group of a side file`},
		"field twice":        {one("clear: up", "clear: up"), `f.tocsin.yml:6:5: group "node", rule 1 "Down": "clear" is given twice, first in line 5`},
		"a list":             {"- a\n", "f.tocsin.yml:1:1: a side file is a mapping with the field groups"},
		"groups no list":     {"groups: {a: b}\n", "f.tocsin.yml:1:9: groups should be a list"},
		"group a text":       {"groups: [node]\n", "f.tocsin.yml:1:10: groups[0] should be a mapping with name and rules"},
		"group no name":      {"groups:\n- rules: []\n", "f.tocsin.yml:2:3: a group needs the name that it has in f.yml"},
		"rule a text":        {"groups:\n- name: node\n  rules: [Down]\n", `f.tocsin.yml:3:11: group "node", rule 1: a rule of a side file is a mapping with alert`},
		"broken YAML":        {"groups: [\n", "f.tocsin.yml:1: did not find expected node content"},
		"clear":              {one("clear: up >"), at(down, "5:16") + "clear: could not parse expression: 1:5: parse error"},
		"clear, literal":     {one("clear: |", "  up", "  + rate(hi)"), at(down, "7:14") + "clear: could not parse"},
		"clear no vector":    {one("clear: up[5m]"), at(down, "5:12") + "clear: the expression returns a matrix; it should be"},
		"clear a list":       {one("clear: [a]"), at(down, "5:12") + "clear: could not parse expression"},
		"on_missing":         {one("on_missing: keep"), at(down, "5:17") + "on_missing should be resolve, hold, fire or nodata"},
		"flap a number":      {one("flap: 5"), at(down, "5:11") + "flap should be a mapping such as {transitions: 5, within: 10m}"},
		"flap, field":        {one("flap: {transitions: 5, whitin: 10m}"), at(down, "5:28") + `unknown field "whitin" in flap, which has: transitions, within`},
		"flap, missing":      {one("flap: {transitions: 5}"), at(down, "5:11") + "flap should be a mapping such as"},
		"flap.transitions":   {one("flap: {transitions: 0, within: 10m}"), at(down, "5:25") + "flap.transitions should be a whole number from 1 to 100"},
		"flap.transitions 2": {one("flap: {transitions: 2.5, within: 10m}"), at(down, "5:25") + "flap.transitions should be a whole number from 1 to 100"},
		"flap.within":        {one("flap: {transitions: 5, within: soon}"), at(down, "5:36") + `flap.within "soon": should be seconds`},
		"flap.within long":   {one("flap: {transitions: 5, within: 25h}"), at(down, "5:36") + `flap.within should be more than nothing and at most 1d`},
		"thresholds":         {one("thresholds: 5"), at(down, "5:17") + `thresholds should be a list such as [{match: '{zone="a"}', value: 90}]`},
		"thresholds, empty":  {one("thresholds: []"), at(down, "5:17") + `thresholds should be a list`},
		"row a text":         {one("thresholds: [a]"), at(down, "5:18") + "thresholds[0] should be a mapping such as"},
		"row, field":         {one("thresholds:", "- {macth: '{a=\"b\"}', value: 5}"), at(down, "6:8") + `unknown field "macth" in thresholds[0], which has: match, value`},
		"row, no value":      {one("thresholds:", "- {match: '{a=\"b\"}'}"), at(down, "6:7") + "thresholds[0] needs match and value"},
		"row, value":         {one("thresholds:", "- {match: '{a=\"b\"}', value: '5'}"), at(down, "6:33") + "thresholds[0].value should be a number"},
		"row, match":         {one("thresholds:", `- {match: '{a=~"("}', value: 5}`), at(down, "6:17") + `thresholds[0].match "{a=~\"(\"}": 1:2: parse error: error parsing regexp`},
		"row, no braces":     {one("thresholds:", `- {match: a, value: 5}`), at(down, "6:15") + `thresholds[0].match "a": should be matchers in braces`},
		"row, all":           {one("thresholds:", `- {match: '{}', value: 5}`), at(down, "6:16") + `thresholds[0].match "{}": matches everything`},
		"row, name":          {one("thresholds:", `- {match: '{__name__="x"}', value: 5}`), `a row is chosen by labels, not by the metric's name`},
		"row, shadowed":      {one("thresholds:", `- {match: '{a=~"b|c"}', value: 5}`, `- {match: '{a="c",d="e"}', value: 5}`), at(down, "7:15") + `thresholds[1] is never used: thresholds[0] {a=~"b|c"} comes first and matches all that it does`},
		"not taken apart":    {other("Off", "on_missing: hold"), `f.tocsin.yml:5:17: group "other", rule 1 "Off": clear and on_missing have to tell a series that is gone from a condition that is false, which they cannot here: the expression cannot be taken apart: it runs on Prometheus's own engine because of the @ modifier`},
		"table, tier 0":      {other("Off", "thresholds: [{match: '{a=\"b\"}', value: 5}]"), `f.tocsin.yml:5:17: group "other", rule 1 "Off": thresholds: the expression cannot be taken apart`},
		"table, two vectors": {other("Pairs", "thresholds: [{match: '{a=\"b\"}', value: 5}]"), `f.tocsin.yml:5:17: group "other", rule 1 "Pairs": thresholds are for an expression whose outermost operation compares with a number, such as x > 80; this one compares series with each other`},
		"table, bool":        {other("Yes", "thresholds: [{match: '{a=\"b\"}', value: 5}]"), `such as x > 80; without bool`},
	} {
		t.Run(name, func(t *testing.T) {
			f, errs := ParseBoth("f.yml", []byte(plain), []byte(tc.content), compiler())
			require.Nil(t, f)
			require.NotEmpty(t, errs)
			require.Contains(t, errs[0].Error(), tc.want)
		})
	}
	_, errs := ParseBoth("f.yml", []byte("rules: []\n"), []byte("groups: []\n"), compiler())
	require.Len(t, errs, 1)
	require.ErrorContains(t, errs[0], "f.tocsin.yml:1:1: f.yml holds simple rules, which have the fields clear, on_missing, flap, thresholds themselves")
}

func at(format, place string) string { return strings.Replace(format, "%", place, 1) }

func TestSideFilesThatSayNothing(t *testing.T) {
	for _, content := range []string{"", "# nothing\n", "groups:\n", "groups: []\n", "groups:\n- name: node\n", "groups:\n- name: node\n  rules:\n"} {
		f, errs := ParseBoth("f.yml", []byte(plain), []byte(content), compiler())
		require.Empty(t, errs, content)
		require.Equal(t, "f.tocsin.yml", f.Side)
	}
	f, errs := ParseBoth("f.yml", []byte(plain), []byte(side+"---\ngroups: []\n"), compiler())
	require.Empty(t, errs)
	require.Equal(t, []string{"f.tocsin.yml: " + multipleDocuments}, f.Warnings)
}

func TestSidePaths(t *testing.T) {
	for path, want := range map[string]string{
		"a/f.yml": "a/f.tocsin.yml", "f.yaml": "f.tocsin.yaml", "f.x.yml": "f.x.tocsin.yml", "f.rules": "f.rules.tocsin.yml", "f": "f.tocsin.yml",
	} {
		require.Equal(t, want, SidePath(path))
		require.Contains(t, besides(want), path)
	}
	for _, path := range []string{"f.yml", "tocsin.yml", ".tocsin.yml", "a/.tocsin.yml", "f.tocsin", "f.tocsin.json", "f.tocsinx.yml"} {
		require.Empty(t, besides(path), path)
	}
}

func TestSetReadsSideFiles(t *testing.T) {
	s := newShelf(t)
	f := s.write("f.yml", plain)
	require.NoError(t, s.load().Err())
	plainHash := s.set.Files()[0].Hash
	sidePath := s.write("f.tocsin.yml", side)
	r := s.load()
	require.NoError(t, r.Err())
	require.Equal(t, []string{f}, r.Changed)
	files := s.set.Files()
	require.Len(t, files, 1, "a side file is no rule file")
	require.Equal(t, sidePath, files[0].Side)
	require.NotEqual(t, plainHash, files[0].Hash)
	hot := func() *Rule { return s.set.Groups()[0].Rules[2] }
	require.Equal(t, alert.MissingHolds, hot().OnMissing)

	s.write("f.tocsin.yml", strings.Replace(side, "hold", "keep", 1))
	for range 2 {
		r = s.load()
		require.ErrorContains(t, r.Err(), sidePath+`:7:17: group "node", rule 1 "Hot": on_missing should be`)
		require.Equal(t, []string{f}, r.Broken)
		require.Empty(t, r.Changed)
		require.Equal(t, alert.MissingHolds, hot().OnMissing, "the last good version")
	}
	s.restart()
	require.Equal(t, []string{f}, s.load().Broken)
	require.Equal(t, alert.MissingHolds, hot().OnMissing, "the last good version outlives the process")
	require.Equal(t, 99.0, hot().Thresholds.Rows[0].Value)
	require.True(t, s.set.Files()[0].UsingLastGood)

	s.write("f.tocsin.yml", strings.Replace(side, "hold", "fire", 1))
	require.Equal(t, []string{f}, s.load().Changed)
	require.Equal(t, alert.MissingFires, hot().OnMissing)
	s.write("f.yml", strings.Replace(plain, "severity: page", "severity: call", 1))
	require.ErrorContains(t, s.load().Err(), sidePath+`:4:12: group "node", rule 1 "Hot": there is no such alerting rule with these labels`)
	require.Equal(t, alert.MissingFires, hot().OnMissing)
	s.write("f.yml", plain)
	require.NoError(t, os.Remove(sidePath))
	r = s.load()
	require.NoError(t, r.Err())
	require.Equal(t, []string{f}, r.Changed)
	require.Equal(t, plainHash, s.set.Files()[0].Hash)
	require.Equal(t, alert.MissingResolves, hot().OnMissing)

	require.NoError(t, os.Mkdir(sidePath, 0o755))
	require.ErrorContains(t, s.load().Err(), "f.tocsin.yml: is a directory")
}

func TestLostSideFiles(t *testing.T) {
	s := newShelf(t)
	s.write("f.yml", plain)
	lost := s.write("g.tocsin.yml", side)
	require.ErrorContains(t, s.load().Err(), lost+": by its name this is the side file of "+filepath.Join(s.dir, "g.yml"))
	// Somebody may have named a rule file so.
	s.write("g.tocsin.yml", ruleFile("G"))
	require.NoError(t, s.load().Err())
	require.Contains(t, s.alerts(), "G")
	require.NoError(t, os.Remove(lost))

	named := s.write("f.tocsin.yml", side)
	require.ErrorContains(t, s.load(named).Err(), named+": is the side file of "+filepath.Join(s.dir, "f.yml")+", which is not among the rule files")
	require.NoError(t, s.load(filepath.Join(s.dir, "f.yml")).Err())
	require.Equal(t, alert.MissingHolds, s.set.Groups()[0].Rules[2].OnMissing, "no pattern has to name it")

	require.NoError(t, os.Rename(named, filepath.Join(s.dir, "f.tocsin.yaml")))
	require.ErrorContains(t, s.load().Err(), "f.tocsin.yaml: the side file of "+filepath.Join(s.dir, "f.yml")+" is "+named+"; rename this one")
}

func TestCheckShowsWhatBecameOfSideFiles(t *testing.T) {
	dir := t.TempDir()
	path, sidePath := filepath.Join(dir, "f.yml"), filepath.Join(dir, "f.tocsin.yml")
	require.NoError(t, os.WriteFile(path, []byte(plain), 0o644))
	require.NoError(t, os.WriteFile(sidePath, []byte(side), 0o644))
	for _, paths := range [][]string{{path}, {sidePath}, {filepath.Join(dir, "*.yml")}, {sidePath, path}} {
		r := Check(paths, compiler())
		require.Len(t, r.Files, 1)
		f := r.Files[0]
		require.Equal(t, path, f.File)
		require.Equal(t, sidePath, f.Side)
		require.True(t, f.OK, "%v", f.Errors)
		require.Len(t, f.Extended, 2)
		require.Equal(t, ExtendedRule{
			Group: "node", Name: "Hot", Line: 10, SaidIn: sidePath + ":4",
			PromQL: `cpu{env=~"prod.*",zone="a"} > 99 or cpu{zone="b"} > 97.5 or cpu{zone!="b"} > 95 unless cpu{env=~"prod.*",zone="a"}`,
			Clear:  "cpu < 90", OnMissing: alert.MissingHolds, Present: "cpu", FlapTransitions: 5, FlapWithin: 600,
			Notes: []string{
				`thresholds: > 99 for {zone="a",env=~"prod.*"}, > 97.5 for {zone="b"}, > 95 otherwise`, "clears when: cpu < 90",
				"when its series is gone: hold", "its series is there while: cpu", "flapping: more than 5 transitions within 10m",
			},
		}, f.Extended[0])
		text, err := json.Marshal(f.Extended)
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(text), `"onMissing":`), "the default goes without saying")
		require.Contains(t, string(text), `"onMissing":"hold"`)
	}
	require.NoError(t, os.WriteFile(sidePath, []byte("groups: [{name: x}]\n"), 0o644))
	r := Check([]string{path}, compiler())
	require.False(t, r.OK())
	require.Equal(t, []string{sidePath + `:1:17: group "x": there is no such group in ` + path}, r.Files[0].Errors)
	_, errs := ParseFile(path, compiler())
	require.Len(t, errs, 1)
	_, errs = ParseFile(filepath.Join(dir, "none.yml"), compiler())
	require.ErrorIs(t, errs[0], os.ErrNotExist)
}

// TestPackedVersions: whatever files hold, the cache gives back what it was given.
func TestPackedVersions(t *testing.T) {
	for _, v := range []version{
		{content: []byte("a")}, {content: []byte("a"), side: []byte("b")}, {content: []byte("a"), side: []byte{}}, {content: []byte{}, side: []byte{}},
		{content: pack(version{content: []byte("a"), side: []byte("b")})}, {content: []byte("# tocsin: a rule file of 5 bytes and its side file of 6\nx")},
	} {
		text := pack(v)
		got, ok := unpack(text)
		if !ok {
			got = version{content: text}
		}
		require.Equal(t, v, got)
	}
}

// FuzzSide: whatever the side file says, it is good or there are errors that say where, and good rules keep their form.
func FuzzSide(f *testing.F) {
	for _, s := range []string{
		side, "", "groups: 5\n", "groups: [{name: node, rules: [{alert: Down, clear: up, flap: {transitions: 1, within: 5}}]}]",
		"groups: &g [*g]", "groups:\n- &g\n  name: node\n  rules:\n  - &r {alert: Down, on_missing: fire}\n  - <<: *r\n- <<: *g\n", "groups: [{name: node, rules: [{alert: Down, thresholds: [{match: '{a=\"b\"}', value: 1e300}]}]}]",
		"a: b\n---\n", "\x00", "groups: [{<<: {name: node}, rules: [{<<: {alert: Down}, clear: 'x'}]}]",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		file, errs := ParseBoth("f.yml", []byte(plain), content, compiler())
		if len(errs) > 0 {
			require.Nil(t, file)
			lines := strings.Count(string(content), "\n") + 1
			for _, err := range errs {
				e, ok := err.(*Error)
				require.True(t, ok)
				require.Equal(t, "f.tocsin.yml", e.File)
				require.LessOrEqual(t, e.Line, lines+1)
				require.NotEmpty(t, e.Error())
			}
			return
		}
		for _, g := range file.Groups {
			for _, r := range g.Rules {
				if r.Extension == (Extension{}) {
					continue
				}
				require.Equal(t, Alerting, r.Kind)
				require.NotEmpty(t, r.ExtendedIn)
				require.Equal(t, contentID(r), r.ID)
				require.Equal(t, r.Clear != nil || r.OnMissing != alert.MissingResolves, r.Present != nil)
				require.True(t, r.Plan.Evaluable())
			}
		}
	})
}
