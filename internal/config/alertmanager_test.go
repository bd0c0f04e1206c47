package config

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/stretchr/testify/require"
)

const corpora = "../../../shared/corpora"

// TestCheckAcceptsEveryAlertmanagerFile runs over configurations that others wrote.
func TestCheckAcceptsEveryAlertmanagerFile(t *testing.T) {
	dir := filepath.Join(corpora, "amconfigs")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("SKIPPED: the corpus %s is not here: %s", dir, err)
	}
	n := 0
	require.NoError(t, filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".yml") && !strings.HasSuffix(file, ".yaml") {
			return err
		}
		n++
		r := Check(file, LoadOptions{LookupEnv: noEnv})
		require.True(t, r.OK, "%v", r.Errors)
		require.Equal(t, KindAlertmanager, r.Kind, file)
		cfg, _, err := LoadAlertmanager(file)
		require.NoError(t, err)
		theirs, err := amconfig.LoadFile(file)
		require.NoError(t, err)
		require.Equal(t, theirs.String(), cfg.String())
		return nil
	}))
	require.GreaterOrEqual(t, n, 60)
}

func TestGroupWaitWarnings(t *testing.T) {
	dir := write(t, map[string]string{
		"default.yml": "route:\n  receiver: r\n  routes:\n  - matchers: [a=b]\n    routes:\n    - {receiver: s, matchers: [a=c]}\nreceivers: [{name: r}, {name: s}]\n",
		"zero.yml":    "route: {receiver: r, group_wait: 0s}\nreceivers: [{name: r}]\n",
		"deep.yml": `
route:
  receiver: r
  group_wait: 0s
  routes:
    - matchers: [a=b]
      receiver: s
      routes:
        - matchers: [a=c]
          group_wait: 10s
        - matchers: [a=d]
    - matchers: [a=e]
      group_wait: 0s
      routes:
        - {matchers: [a=f], group_wait: 1m}
receivers: [{name: r}, {name: s}]
`,
	})
	load := func(name string) []string {
		_, ws, err := LoadAlertmanager(filepath.Join(dir, name))
		require.NoError(t, err)
		out := messages(ws)
		for i := range out {
			out[i] = strings.TrimPrefix(out[i], dir+"/")
		}
		return out
	}
	require.Empty(t, load("zero.yml"))
	require.Equal(t, []string{`default.yml:1:1: route: group_wait is not set, which means 30s: the first alert of a group waits that long ` +
		`for others before receiver "r" is told; group_wait: 0s tells on arrival`}, load("default.yml"))
	require.Equal(t, []string{
		`deep.yml:10:23: route.routes[0].routes[0]: group_wait is 10s: the first alert of a group waits that long for others before ` +
			`receiver "s" is told; group_wait: 0s tells on arrival`,
		`deep.yml:15:41: route.routes[1].routes[0]: group_wait is 1m: the first alert of a group waits that long for others before ` +
			`receiver "r" is told; group_wait: 0s tells on arrival`,
	}, load("deep.yml"))
}

func TestAlertmanagerErrors(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"unknown field":    {"route: {receiver: r, group_wai: 0s}\nreceivers: [{name: r}]\n", `1:22: unknown field "group_wai" in route (did you mean "group_wait"?)`},
		"in a receiver":    {"route: {receiver: r}\nreceivers:\n- name: r\n  webhook_configs:\n  - urll: http://x\n", `5:5: unknown field "urll" in receivers[0].webhook_configs[0] (did you mean "url"?)`},
		"no such receiver": {"route:\n  receiver: r\n  routes: [{receiver: s}]\nreceivers: [{name: r}]\n", `3:23: route.routes[0].receiver: undefined receiver "s" used in route`},
		"no route":         {"receivers: [{name: r}]\n", `1:1: no routes provided`},
		"a duration":       {"route:\n  receiver: r\n  group_wait: soon\nreceivers: [{name: r}]\n", `3:15: route.group_wait: not a valid duration string: "soon"`},
		"a matcher":        {"route:\n  receiver: r\n  routes: [{matchers: ['a=~(']}]\nreceivers: [{name: r}]\n", "3:24: route.routes[0].matchers[0]: error parsing regexp: missing closing ): `^(?:()$`"},
		"not ours":         {"route: {receiver: r}\nreceivers: [{name: r}]\ntocsi: {}\n", `3:1: unknown field "tocsi"`},
		"a template":       {"route: {receiver: r}\nreceivers: [{name: r}]\ntemplates: [ok.tmpl, bad.tmpl]\n", `3:22: templates[1]: template: bad.tmpl:2: unexpected "}" in command`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{"am.yml": tc.in, "ok.tmpl": `{{ define "a" }}b{{ end }}`, "bad.tmpl": "x\n{{ } }}"})
			file := filepath.Join(dir, "am.yml")
			_, _, err := LoadAlertmanager(file)
			require.EqualError(t, err, file+":"+tc.want)
		})
	}
}

func TestAlertmanagerOfAConfiguration(t *testing.T) {
	dir := write(t, map[string]string{
		"t.yml":     "tocsin:\n  notifications:\n    alertmanager_config: am/am.yml\n",
		"am/am.yml": "route: {receiver: r}\nreceivers: [{name: r}]\ntemplates: ['*.tmpl', none/*.tmpl]\ntracing: {endpoint: x}\n",
		"am/a.tmpl": "",
	})
	c, err := Load(filepath.Join(dir, "t.yml"), LoadOptions{})
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "am/am.yml"), c.AlertmanagerPath)
	require.Equal(t, []string{filepath.Join(dir, "am/*.tmpl"), filepath.Join(dir, "am/none/*.tmpl")}, c.Alertmanager.Templates)
	require.Equal(t, []string{filepath.Join(dir, "am/a.tmpl"), filepath.Join(dir, "am/am.yml"), filepath.Join(dir, "t.yml")}, c.Files())
	var paths []string
	for _, w := range c.Warnings {
		require.Equal(t, c.AlertmanagerPath, w.File)
		paths = append(paths, w.Path)
	}
	require.Equal(t, []string{"templates[1]", "tracing", "route"}, paths)

	require.NoError(t, os.WriteFile(c.AlertmanagerPath, []byte("route: {}\n"), 0o644))
	_, err = Load(filepath.Join(dir, "t.yml"), LoadOptions{})
	require.EqualError(t, err, c.AlertmanagerPath+":1:1: route: root route must specify a default receiver")
}

func TestDetectKind(t *testing.T) {
	for content, want := range map[string]Kind{
		"":                                     KindPrometheus,
		"[":                                    KindPrometheus,
		"- a":                                  KindPrometheus,
		"global: {}":                           KindPrometheus,
		"tocsin: {}\nroute: {}":                KindTocsin,
		"scrape_configs: []\nglobal: {}":       KindPrometheus,
		"global: {}\nroute: {}\nreceivers: []": KindAlertmanager,
		"receivers: []":                        KindAlertmanager,
		"groups: []":                           KindRules,
		"rules: []":                            KindRules,
	} {
		require.Equal(t, want, DetectKind(content), content)
	}
}

func TestCheckReport(t *testing.T) {
	dir := write(t, map[string]string{
		"bad.yml":   "scrape_configs: [{job_name: a, foo: b}]\n",
		"warn.yml":  "remote_read: [{url: http://x}]\n",
		"rules.yml": "groups: []\n",
	})
	t.Chdir(dir)
	for file, want := range map[string]string{
		"bad.yml": `{"file":"bad.yml","kind":"prometheus","ok":false,"errors":[{"file":"bad.yml","line":1,"column":32,` +
			`"path":"scrape_configs[0].foo","message":"unknown field \"foo\" in scrape_configs[0]"}],"warnings":[]}`,
		"warn.yml": `{"file":"warn.yml","kind":"prometheus","ok":true,"errors":[],"warnings":[{"file":"warn.yml","line":1,"column":1,` +
			`"path":"remote_read","message":"remote_read: is not supported: queries see only what this instance stores"}]}`,
		"rules.yml": `{"file":"rules.yml","kind":"rules","ok":false,"errors":[{"file":"rules.yml","message":"is a rule file, no configuration; ` +
			`use: tocsin check rules rules.yml"}],"warnings":[]}`,
		"none.yml": `{"file":"none.yml","kind":"prometheus","ok":false,"errors":[{"file":"none.yml","message":"cannot be opened: no such file or directory"}],"warnings":[]}`,
	} {
		got, err := json.Marshal(Check(file, LoadOptions{LookupEnv: noEnv}))
		require.NoError(t, err)
		require.JSONEq(t, want, string(got))
	}
}

func TestFallbackReceiver(t *testing.T) {
	dir := t.TempDir()
	am := filepath.Join(dir, "alertmanager.yml")
	require.NoError(t, os.WriteFile(am, []byte("route: {receiver: a, group_wait: 0s}\nreceivers: [{name: a}, {name: spare}]\n"), 0o600))
	parse := func(name string) (*Config, error) {
		text := "tocsin:\n  notifications:\n    alertmanager_config: alertmanager.yml\n    fallback_receiver: " + name + "\n    fallback_after: 10m\n"
		return Parse(filepath.Join(dir, "tocsin.yml"), text, LoadOptions{})
	}
	c, err := parse("spare") // No route uses it, and none need.
	require.NoError(t, err)
	require.Equal(t, "spare", c.Tocsin.Notifications.FallbackReceiver)
	_, err = parse("sparre")
	require.ErrorContains(t, err, filepath.Join(dir, "tocsin.yml")+`:4:24: tocsin.notifications.fallback_receiver: there is no receiver "sparre"; it must be one of the receivers in `+am)
}
