package config

import (
	"os"
	"strings"
	"testing"

	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestExpansion(t *testing.T) {
	content := `
# a comment with ${NOT_SET} stays
global:
  scrape_interval: ${SECONDS}s
  scrape_timeout: "${NOT_SET:-5s}"
  external_labels:
    home: "${HOME}"
scrape_configs:
  - job_name: '${NAME}-${NAME}'
    sample_limit: ${LIMIT}
    honor_labels: ${YES}
    params:
      ${NAME}: [ "${ODD}", '$${NAME}', "$NAME", "${1}", "${no-name}" ]
    basic_auth:
      username: ${EMPTY:-nobody}
      password: "${SECRET}"
    static_configs:
      - targets: ['${HOST}:80', "${HOST:-x}:81"]
        labels:
          folded: >-
            one ${NAME}
            two
    relabel_configs:
      - source_labels: [__address__]
        regex: '(?P<host>.*):\d+${NOT_SET:-}'
        target_label: x_${host}
        replacement: ${1}_${NAME}_${host}
tocsin:
  query:
    max_samples: ${LIMIT}
    timeout: ${SECONDS}s
  web: {page_title: "${ODD}"}
`
	vars := map[string]string{
		"SECONDS": "20", "NAME": "n", "LIMIT": "77", "YES": "yes", "ODD": `a: "b" #c\ ü 😀`, "EMPTY": "", "SECRET": "x: [y]", "HOST": "h",
	}
	c, err := Parse("f", content, LoadOptions{LookupEnv: env(vars)})
	require.NoError(t, err)
	p := c.Prometheus
	require.Equal(t, "20s", p.GlobalConfig.ScrapeInterval.String())
	require.Equal(t, "5s", p.GlobalConfig.ScrapeTimeout.String())
	require.Equal(t, os.Getenv("HOME"), p.GlobalConfig.ExternalLabels.Get("home"), "Prometheus's own expansion")
	job := p.ScrapeConfigs[0]
	require.Equal(t, "n-n", job.JobName)
	require.EqualValues(t, 77, job.SampleLimit)
	require.True(t, job.HonorLabels)
	require.Equal(t, []string{vars["ODD"], "${NAME}", "$NAME", "${1}", "${no-name}"}, job.Params["${NAME}"])
	require.Equal(t, "nobody", job.HTTPClientConfig.BasicAuth.Username)
	require.Equal(t, "x: [y]", string(job.HTTPClientConfig.BasicAuth.Password))
	group := job.ServiceDiscoveryConfigs[0].(discovery.StaticConfig)[0]
	require.Equal(t, "h:80", string(group.Targets[0]["__address__"]))
	require.Equal(t, "h:81", string(group.Targets[1]["__address__"]))
	require.Equal(t, "one n two", string(group.Labels["folded"]))
	relabel := job.RelabelConfigs[0]
	require.Equal(t, "${1}_${NAME}_${host}", relabel.Replacement)
	require.Equal(t, "x_${host}", relabel.TargetLabel)
	require.Equal(t, `(?P<host>.*):\d+`, relabel.Regex.String())
	require.Equal(t, 77, c.Tocsin.Query.MaxSamples)
	require.Equal(t, vars["ODD"], c.Tocsin.Web.PageTitle)
}

func TestExpansionErrors(t *testing.T) {
	const unset = " is not set; set it, write ${%:-default}, or $${%} for the text itself"
	const quotes = "with its variables replaced, this is no longer one plain value; put it between double quotes"
	for name, tc := range map[string]struct{ in, value, want string }{
		"not set":                {"scrape_configs:\n- job_name: a${B}c\n", "", "f:2:14: scrape_configs[0].job_name: environment variable B" + strings.ReplaceAll(unset, "%", "B")},
		"not set, in quotes":     {"scrape_configs:\n- job_name: \"ü${V}${B}c\"\n", "v", "f:2:19: scrape_configs[0].job_name: environment variable B" + strings.ReplaceAll(unset, "%", "B")},
		"not set, in a block":    {"scrape_configs:\n- job_name: |\n    a\n    b ${B}\n", "", "f:4:7: scrape_configs[0].job_name: environment variable B" + strings.ReplaceAll(unset, "%", "B")},
		"not set, hidden":        {"scrape_configs:\n- job_name: \"$\\x7bB}\" # ${\n", "", "f:2:13: scrape_configs[0].job_name: environment variable B" + strings.ReplaceAll(unset, "%", "B")},
		"not set, for us":        {"tocsin: {data: '${B}'}\n", "", "f:1:17: tocsin.data: environment variable B" + strings.ReplaceAll(unset, "%", "B")},
		"a line break":           {"scrape_configs:\n- job_name: \"${V}\"\n", "a\nb: c", "f:2:14: scrape_configs[0].job_name: the value of V has a line break, which a configuration value cannot take from the environment; put it into a file of its own"},
		"no UTF-8":               {"scrape_configs:\n- job_name: \"${V}\"\n", "\xff", "f:2:14: scrape_configs[0].job_name: the value of V is not valid UTF-8"},
		"a mapping":              {"scrape_configs:\n- job_name: ${V}\n", "a: b", "f:2:13: scrape_configs[0].job_name: " + quotes},
		"a list":                 {"scrape_configs:\n- job_name: ${V}\n", "[a]", "f:2:13: scrape_configs[0].job_name: " + quotes},
		"a list's item":          {"scrape_configs:\n- job_name: ${V}\n", "- a", "f:2:13: scrape_configs[0].job_name: " + quotes},
		"a comment":              {"scrape_configs:\n- job_name: ${V}\n", "a #b", "f:2:13: scrape_configs[0].job_name: " + quotes},
		"an anchor":              {"scrape_configs:\n- job_name: ${V}\n", "&a b", "f:2:13: scrape_configs[0].job_name: " + quotes},
		"an alias":               {"scrape_configs:\n- job_name: ${V}\n", "*a", "f:2:13: scrape_configs[0].job_name: " + quotes},
		"a tag":                  {"scrape_configs:\n- job_name: ${V}\n", "!!str a", "f:2:13: scrape_configs[0].job_name: " + quotes},
		"quotes":                 {"scrape_configs:\n- job_name: ${V}\n", `"a"`, "f:2:13: scrape_configs[0].job_name: " + quotes},
		"two items in a list":    {"rule_files: [ ${V} ]\n", "a, b", "f:1:1: not valid YAML: did not find expected ',' or ']'; within [ ] and { }, a value with ${…} needs quotes around it"},
		"a wrong value":          {"scrape_configs:\n- job_name: a\n  sample_limit: ${V}\n", "many", `f:3:17: scrape_configs[0].sample_limit: is "many" where a whole number, not negative, is wanted`},
		"a number within quotes": {"scrape_configs:\n- job_name: a\n  sample_limit: '${V}'\n", "5", `f:3:17: scrape_configs[0].sample_limit: is "5" where a whole number, not negative, is wanted`},
		"empty is not default":   {"scrape_configs:\n- job_name: ${V}\n", "", `f:2:3: scrape_configs[0]: job_name is empty`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f", tc.in, LoadOptions{LookupEnv: env(map[string]string{"V": tc.value})})
			require.EqualError(t, err, tc.want)
		})
	}
}

// TestUneditedTextIsPassedOn holds that a file without anything of ours reaches Prometheus byte for byte.
func TestUneditedTextIsPassedOn(t *testing.T) {
	const in = "# ${X}\nscrape_configs: [ {job_name: a, relabel_configs: [{replacement: '${X}', target_label: b}]} ]\n\n"
	doc, _, err := parseDocument("f", in)
	require.NoError(t, err)
	require.Empty(t, doc.expand(noEnv))
	require.Equal(t, in, doc.text())
}

// shape returns the kinds and keys of a tree, without its values.
func shape(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		out := "{"
		for i := 0; i+1 < len(n.Content); i += 2 {
			out += n.Content[i].Value + ":" + shape(n.Content[i+1]) + ","
		}
		return out + "}"
	case yaml.SequenceNode:
		out := "["
		for _, item := range n.Content {
			out += shape(item) + ","
		}
		return out + "]"
	case yaml.ScalarNode:
		return "."
	}
	return "?"
}

func lastScalar(n *yaml.Node) string {
	for len(n.Content) > 0 {
		n = n.Content[len(n.Content)-1]
	}
	return n.Value
}

// FuzzExpand holds that no value of a variable changes what a document is made of, and that a quoted value arrives as it is.
func FuzzExpand(f *testing.F) {
	for _, v := range []string{"", "x", "a: b", "a, b", "]", "}", "#", " # x", "- x", "|", ">-", "'", `"`, `\`, "\n", "\u2028", "---", "%x", "*a", "&a", "!t", "? x", ": ", "~", "1e3", "${V}", "\x00", "é😀", "@", "`", "\t"} {
		f.Add(v)
	}
	ins := []string{"a: ${V}", "- x ${V}", "a: ${V} y", "e: \"${V}\"", "f: ['${V}']", "g: |-\n  ${V}"}
	f.Fuzz(func(t *testing.T, v string) {
		for i, in := range ins {
			before, _, err := parseDocument("f", in)
			require.NoError(t, err)
			after, _, err := parseDocument("f", in)
			require.NoError(t, err)
			if errs := after.expand(env(map[string]string{"V": v})); len(errs) > 0 {
				require.Len(t, errs, 1)
				continue
			}
			again, next, err := parseDocument("f", after.text())
			require.NoError(t, err, after.text())
			require.Nil(t, next)
			require.Equal(t, shape(before.root), shape(again.root))
			if i >= 3 {
				require.Equal(t, v, lastScalar(again.root))
			}
		}
	})
}

// FuzzParse holds Parse to Prometheus's own loader: what that accepts means the same here, also when the text was written
// anew from the tree; what it refuses is refused with a position.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "# x", "---\n...", "global: {scrape_interval: 15s}\n", "scrape_configs:\n- job_name: a\n  static_configs:\n  - targets: [a, 'b', \"c\"]\n",
		"a: &a [*a]\n", "scrape_configs:\n- &x {job_name: a}\n- {<<: *x, job_name: b}\n", "rule_files: [!!str x, ! y, ~, '', null]\n",
		"scrape_configs:\n- job_name: |\n    a\n    b\n  params: {? a : [b, ], c: }\n", "%YAML 1.1\n---\nglobal:\n", "tocsin:\n  listen: ':1'\n  web: {pprof: on}\n",
		"tocsin: ${X:-5}\nscrape_configs: [{job_name: ${Y}}]\n", "scrape_configs: [{job_name: a, consul_sd_configs: &c [], ec2_sd_configs: *c}]\n",
		"global: {external_labels: {a: \"${X}\", ? \"\\u263a\" : 0x1F, d: 2001-01-01, e: 1_000, f: .inf}}\n", "\ufeffglobal: {}\n", "global:\r\n  scrape_interval: 1s\r\n",
		"storage: {tsdb: {out_of_order_time_window: 1h}}\n", "remote_write: [{url: http://x, queue_config: {capacity: 0}}]\n", "- a\n", "x", "{", "\r0", "a: b\u2028c: d\u0085", "0\n\n00", "  0: |\n00000000000\n0000000: 00000", "a: b\n---\nc: d\n",
		"otlp: {promote_resource_attributes: [a, a]}\n", "global: {scrape_interval: !!str 5s, scrape_timeout: !!null ''}\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, content string) {
		if len(content) > 1<<16 || strings.Contains(content, "_file") {
			return // Named files of this machine are not part of the game.
		}
		c, err := Parse("dir/f", content, LoadOptions{LookupEnv: func(string) (string, bool) { return "v", true }})
		for _, e := range asErrors(err) {
			require.Positive(t, e.Line)
			require.LessOrEqual(t, e.Line, len(splitLines(content)))
			require.Positive(t, e.Column)
		}
		if strings.Contains(content, "${") {
			return
		}
		up, upErr := promconfig.Load(content, quietLogger())
		if upErr != nil {
			require.True(t, err != nil || strings.Contains(content, "_sd_configs") || strings.Contains(content, sectionKey) ||
				strings.Contains(content, `\`), "accepted, and refused by Prometheus: %s", upErr)
			return
		}
		require.NoError(t, err)
		up.SetDirectory("dir")
		up.RemoteReadConfigs, up.TracingConfig, up.Runtime = nil, promconfig.TracingConfig{}, promconfig.DefaultRuntimeConfig
		require.Equal(t, up.String(), c.Prometheus.String())

		doc, _, err := parseDocument("f", content)
		require.NoError(t, err)
		if doc.root == nil {
			return
		}
		rewritten, err := promconfig.Load(emit(doc.root, nil), quietLogger())
		require.NoError(t, err, emit(doc.root, nil))
		rewritten.SetDirectory("dir")
		rewritten.RemoteReadConfigs, rewritten.TracingConfig, rewritten.Runtime = nil, promconfig.TracingConfig{}, promconfig.DefaultRuntimeConfig
		require.Equal(t, up.String(), rewritten.String())
	})
}
