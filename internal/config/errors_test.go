package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// TestErrorsNameTheirPlace holds every error to its exact position and words.
func TestErrorsNameTheirPlace(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"unknown field at the top":         {"rule_file: [x]\n", `f:1:1: unknown field "rule_file" (did you mean "rule_files"?)`},
		"our own key misspelt":             {"tocsinn: {}\n", `f:1:1: unknown field "tocsinn" (did you mean "tocsin"?)`},
		"unknown field in a job":           {"scrape_configs:\n- job_name: x\n  scrape_intervall: 5s\n", `f:3:3: unknown field "scrape_intervall" in scrape_configs[0] (did you mean "scrape_interval"?)`},
		"nothing like it":                  {"scrape_configs:\n- {job_name: x, zzzzzzzz: 1}\n", `f:2:17: unknown field "zzzzzzzz" in scrape_configs[0]`},
		"an inlined field":                 {"scrape_configs:\n- {job_name: x, basicauth: {}}\n", `f:2:17: unknown field "basicauth" in scrape_configs[0] (did you mean "basic_auth"?)`},
		"deep below":                       {"scrape_configs:\n- job_name: x\n  tls_config:\n    ca_fil: x\n", `f:4:5: unknown field "ca_fil" in scrape_configs[0].tls_config (did you mean "ca_file"?)`},
		"a discovery that nobody knows":    {"scrape_configs:\n- {job_name: x, consull_sd_configs: []}\n", `f:2:17: unknown field "consull_sd_configs" in scrape_configs[0]`},
		"a discovery misspelt":             {"scrape_configs:\n- {job_name: x, htp_sd_configs: []}\n", `f:2:17: unknown field "htp_sd_configs" in scrape_configs[0] (did you mean "http_sd_configs"?)`},
		"within a discovery":               {"scrape_configs:\n- job_name: x\n  dns_sd_configs:\n  - name: [a]\n", `f:4:5: unknown field "name" in scrape_configs[0].dns_sd_configs[0] (did you mean "names"?)`},
		"within a target group":            {"scrape_configs:\n- job_name: x\n  static_configs:\n  - target: [a]\n", `f:4:5: unknown field "target" in scrape_configs[0].static_configs[0] (did you mean "targets"?)`},
		"two at once":                      {"global: {scrape_interva: 1m}\nalerting: {alertmanager: []}\n", "f:1:10: unknown field \"scrape_interva\" in global (did you mean \"scrape_interval\"?)\nf:2:12: unknown field \"alertmanager\" in alerting (did you mean \"alertmanagers\"?)"},
		"unknown field of ours":            {"tocsin:\n  web: {pprofs: true}\n", `f:2:9: unknown field "pprofs" in tocsin.web (did you mean "pprof"?)`},
		"a hyphen":                         {"tocsin:\n  shutdown-timeout: 5s\n", `f:2:3: unknown field "shutdown-timeout" in tocsin (did you mean "shutdown_timeout"?)`},
		"ours and theirs":                  {"globl: {}\ntocsin: {lisen: x}\n", "f:1:1: unknown field \"globl\" (did you mean \"global\"?)\nf:2:10: unknown field \"lisen\" in tocsin (did you mean \"listen\"?)"},
		"a field twice":                    {"global:\n  scrape_interval: 1m\n  scrape_interval: 2m\n", `f:3:3: "global.scrape_interval" stands here a second time`},
		"a label twice":                    {"scrape_configs:\n- job_name: x\n  static_configs:\n  - labels:\n      a: b\n      a: c\n", `f:6:7: "scrape_configs[0].static_configs[0].labels.a" stands here a second time`},
		"our key twice":                    {"tocsin: {}\ntocsin: {}\n", `f:2:1: field "tocsin" stands here a second time`},
		"our field twice":                  {"tocsin: {listen: ':1', listen: ':2'}\n", `f:1:24: tocsin: field "listen" stands here a second time`},
		"a text for a number":              {"scrape_configs:\n- job_name: x\n  sample_limit: many\n", `f:3:17: scrape_configs[0].sample_limit: is "many" where a whole number, not negative, is wanted`},
		"a long text for a bool":           {"scrape_configs:\n- {job_name: x, honor_labels: certainly not}\n", `f:2:31: scrape_configs[0].honor_labels: is "certainly not" where true or false is wanted`},
		"a mapping for a list":             {"rule_files: {a: b}\n", `f:1:13: rule_files: is a mapping where a list is wanted`},
		"a list for a text":                {"scrape_configs:\n- job_name: [x]\n", `f:2:13: scrape_configs[0].job_name: is a list where a text is wanted`},
		"a list for one of a kind of text": {"scrape_configs:\n- {job_name: x, fallback_scrape_protocol: [a]}\n", `f:2:43: scrape_configs[0].fallback_scrape_protocol: is a list where a text is wanted`},
		"a text for a mapping":             {"scrape_configs:\n- {job_name: x, tls_config: 5}\n", `f:2:29: scrape_configs[0].tls_config: is "5" where a mapping is wanted`},
		"a text for a list of jobs":        {"scrape_configs: none\n", `f:1:17: scrape_configs: is "none" where a list is wanted`},
		"a list for everything":            {"- a\n- b\n", `f:1:1: the file is a list where a mapping is wanted`},
		"a duration":                       {"global:\n  scrape_interval: 15 s\n", `f:2:20: global.scrape_interval: unknown unit " s" in duration "15 s"`},
		"a duration deep below":            {"scrape_configs:\n- job_name: ok\n- job_name: x\n  http_sd_configs:\n  - url: http://x\n    refresh_interval: soon\n", `f:6:23: scrape_configs[1].http_sd_configs[0].refresh_interval: not a valid duration string: "soon"`},
		"a job without a name":             {"scrape_configs:\n- job_name: a\n- scrape_interval: 5s\n  metrics_path: /x\n", `f:3:3: scrape_configs[1]: job_name is empty`},
		"a job twice":                      {"scrape_configs:\n- job_name: a\n- job_name: b\n- job_name: a\n", `f:4:13: scrape_configs[2].job_name: found multiple scrape configs with job name "a"`},
		"a timeout above the interval":     {"scrape_configs:\n- job_name: a\n- job_name: b\n  scrape_interval: 5s\n  scrape_timeout: 6s\n", `f:5:19: scrape_configs[1].scrape_timeout: scrape timeout greater than scrape interval for scrape config with job name "b"`},
		"a regular expression":             {"scrape_configs:\n- job_name: a\n  relabel_configs:\n  - {source_labels: [x], regex: '(', target_label: y}\n", "f:4:33: scrape_configs[0].relabel_configs[0].regex: error parsing regexp: missing closing ): `^(?s:()$`"},
		"two ways to authenticate":         {"scrape_configs:\n- job_name: a\n  bearer_token: x\n  basic_auth: {username: u}\n", `f:4:3: scrape_configs[0].basic_auth: at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured`},
		"remote write without a URL":       {"remote_write:\n- name: x\n", `f:2:3: remote_write[0]: url for remote_write is empty`},
		"a position after unsupported":     {"tocsin:\n  listen: 127.0.0.1:1\n\nscrape_configs:\n- job_name: a\n  ec2_sd_configs:\n  - region: x\n  # comment\n  scrape_timeout: nope\n", `f:9:19: scrape_configs[0].scrape_timeout: not a valid duration string: "nope"`},
		"no YAML":                          {"a: b\nc: [d\n  e: f\n", `f:3:3: not valid YAML: did not find expected ',' or ']'`},
		"a tab":                            {"global:\n\tscrape_interval: 5s\n", `f:2:2: not valid YAML: found character that cannot start any token`},
		"an unknown anchor":                {"global: *x\n", `f:1:1: not valid YAML: unknown anchor 'x' referenced`},
		"our duration":                     {"tocsin:\n  query:\n    timeout: soon\n", `f:3:14: tocsin.query.timeout: not a valid duration string: "soon"; a duration such as 30s, 5m or 15d is wanted`},
		"our size":                         {"tocsin: {limits: {body_size: big}}\n", `f:1:30: tocsin.limits.body_size: not a size: "big"; a size such as 512KiB, 32MiB or 10GiB is wanted`},
		"our number":                       {"tocsin: {query: {max_samples: 1.5}}\n", `f:1:31: tocsin.query.max_samples: cannot use "1.5"; a whole number is wanted`},
		"no fallback without receivers":    {"tocsin:\n  notifications: {fallback_receiver: spare}\n", `f:2:38: tocsin.notifications.fallback_receiver: there is no receiver "spare"; the built-in Alertmanager configuration has no receivers: name a file with alertmanager_config`},
		"a fallback without a receiver":    {"tocsin: {notifications: {fallback_after: 5m}}\n", `f:1:42: tocsin.notifications.fallback_after: has no effect without a fallback_receiver: name one`},
		"a backoff upside down":            {"tocsin: {notifications: {min_backoff: 2m}}\n", `f:1:39: tocsin.notifications.min_backoff: 2m is longer than max_backoff, 1m`},
		"no room to wait":                  {"tocsin: {notifications: {max_waiting: 0}}\n", `f:1:39: tocsin.notifications.max_waiting: must be more than 0`},
		"our bool":                         {"tocsin: {web: {pprof: 'true'}}\n", `f:1:23: tocsin.web.pprof: cannot use "true"; true or false is wanted`},
		"our list":                         {"tocsin: {host: {collectors: cpu}}\n", `f:1:29: tocsin.host.collectors: is "cpu" where a list is wanted`},
		"a key without its colon":          {"tocsin: {host: {collectors: [cpu, ]}}\n tocsin", `f:2:2: not valid YAML: did not find expected key`},
		"our section":                      {"tocsin: 5\n", `f:1:9: tocsin: is "5" where a mapping (key: value) is wanted`},
		"a mapping for our text":           {"tocsin: {listen: {a: b}}\n", `f:1:18: tocsin.listen: is a mapping where a text is wanted`},
		"an address":                       {"tocsin: {listen: nine}\n", `f:1:18: tocsin.listen: "nine" is not an address to listen on; write host:port, such as 127.0.0.1:9909`},
		"a port":                           {"tocsin: {listen: 'x:99999'}\n", `f:1:18: tocsin.listen: "x:99999" has no port between 0 and 65535`},
		"no time to query":                 {"tocsin: {query: {timeout: 0s}}\n", `f:1:27: tocsin.query.timeout: must be longer than 0s`},
		"no samples":                       {"tocsin: {query: {max_samples: 0}}\n", `f:1:31: tocsin.query.max_samples: must be more than 0`},
		"a URL":                            {"tocsin: {web: {external_url: x.example}}\n", `f:1:30: tocsin.web.external_url: "x.example" is not a URL that begins with http:// or https:// and names a host`},
		"an origin":                        {"tocsin: {web: {cors_origin: '('}}\n", "f:1:29: tocsin.web.cors_origin: error parsing regexp: missing closing ): `^(?:()$`"},
		"a collector twice":                {"tocsin: {host: {collectors: [a, a]}}\n", `f:1:29: tocsin.host.collectors: collector "a" stands in the list twice`},
		"an evaluation":                    {"tocsin: {rules: {evaluation: strickt}}\n", `f:1:30: tocsin.rules.evaluation: is "strickt" where strict or stream is wanted`},
		"an override's evaluation":         {"tocsin:\n  rules:\n    overrides:\n    - {groups: g, evaluation: stream}\n    - evaluation: always\n", `f:5:19: tocsin.rules.overrides[1].evaluation: is "always" where strict or stream is wanted`},
		"an override's settle":             {"tocsin:\n  rules:\n    overrides:\n    - settle: 50\n", `f:4:15: tocsin.rules.overrides[0].settle: not a valid duration string: "50"; a duration such as 30s, 5m or 15d is wanted`},
		"an override's pattern":            {"tocsin:\n  rules:\n    overrides:\n    - {files: 'a[', settle: 1s}\n", `f:4:15: tocsin.rules.overrides[0].files: "a[" is no pattern: a [ or a \ in it lacks what belongs to it`},
		"an override's other pattern":      {"tocsin:\n  rules:\n    overrides:\n    - {groups: '[]a]', settle: 1s}\n", `f:4:16: tocsin.rules.overrides[0].groups: "[]a]" is no pattern: a [ or a \ in it lacks what belongs to it`},
		"an override of nothing":           {"tocsin:\n  rules:\n    overrides:\n    - groups: g\n", `f:4:7: tocsin.rules.overrides[0]: says neither evaluation nor settle, and so changes nothing`},
		"an override's unknown field":      {"tocsin:\n  rules:\n    overrides:\n    - {group: g, settle: 1s}\n", `f:4:8: unknown field "group" in tocsin.rules.overrides[0] (did you mean "groups"?)`},
		"a JIT mode":                       {"tocsin: {jit: {mode: fast}}\n", `f:1:22: tocsin.jit.mode: is "fast" where eager, adaptive or off is wanted`},
		"a JIT mode alone":                 {"tocsin: {jit: fast}\n", `f:1:15: tocsin.jit.mode: is "fast" where eager, adaptive or off is wanted`},
		"a list for the JIT":               {"tocsin: {jit: [eager]}\n", `f:1:15: tocsin.jit: is a list where a mapping (key: value) is wanted`},
		"a processor":                      {"tocsin: {jit: {compile_cpus: [0, -1]}}\n", `f:1:34: tocsin.jit.compile_cpus[1]: is -1; processors are numbered from 0 to 1023`},
		"a priority":                       {"tocsin: {jit: {compile_nice: 20}}\n", `f:1:30: tocsin.jit.compile_nice: is 20 where a number from -20 to 19 is wanted`},
		"no machine code":                  {"tocsin: {jit: {max_size: 0}}\n", `f:1:26: tocsin.jit.max_size: must be more than 0 and at most 1GiB; use mode: off to have no machine code`},
		"no windows":                       {"tocsin: {rules: {windows: {max_size: 0}}}\n", `f:1:38: tocsin.rules.windows.max_size: must be more than 0`},
		"an Alertmanager file not there":   {"tocsin:\n  notifications:\n    alertmanager_config: /no/such.yml\n", `f:3:26: tocsin.notifications.alertmanager_config: /no/such.yml cannot be opened: no such file or directory`},
		"a web configuration not there":    {"tocsin: {web: {config_file: /no/such.yml}}\n", `f:1:29: tocsin.web.config_file: /no/such.yml: no such file or directory`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f", tc.in, LoadOptions{LookupEnv: noEnv})
			require.EqualError(t, err, tc.want)
			var one *Error
			require.ErrorAs(t, err, &one)
			require.Equal(t, "f", one.File)
		})
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	dir := write(t, map[string]string{"jobs.yml": "scrape_configs: [{job_name: a, foo: b}]\n", "c.yml": "scrape_config_files: [jobs.yml]\n"})
	_, err := Load(filepath.Join(dir, "none.yml"), LoadOptions{})
	require.EqualError(t, err, filepath.Join(dir, "none.yml")+": cannot be opened: no such file or directory")
	_, err = Load(dir, LoadOptions{})
	require.EqualError(t, err, dir+": cannot be read: is a directory")
	_, err = Load(filepath.Join(dir, "c.yml"), LoadOptions{})
	require.EqualError(t, err, filepath.Join(dir, "jobs.yml")+`:1:32: unknown field "foo" in scrape_configs[0]`)

	big := filepath.Join(dir, "big.yml")
	require.NoError(t, os.WriteFile(big, nil, 0o600))
	require.NoError(t, os.Truncate(big, int64(maxFileSize)+1))
	_, err = Load(big, LoadOptions{})
	require.EqualError(t, err, big+": is larger than 64MiB, which no configuration file needs to be")
}

// TestLocateInALargeFile holds that finding a place takes few decodings and ends in the right one of a thousand jobs.
func TestLocateInALargeFile(t *testing.T) {
	var b strings.Builder
	b.WriteString("scrape_configs:\n")
	for i := range 1000 {
		b.WriteString("- job_name: job" + strings.Repeat("x", i) + "\n  metrics_path: /metrics\n")
		if i == 700 {
			b.WriteString("  scrape_interval: 1fortnight\n")
		}
	}
	_, err := Parse("f", b.String(), LoadOptions{LookupEnv: noEnv})
	require.EqualError(t, err, `f:1404:20: scrape_configs[700].scrape_interval: unknown unit "fortnight" in duration "1fortnight"`)
}

// TestLocateIsBounded holds that aliases of aliases, which decoding multiplies, cannot make the search for a place long.
func TestLocateIsBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("scrape_configs:\n- job_name: x\n  params:\n    a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 9; i++ {
		name := string(rune('0' + i))
		b.WriteString("    a" + name + ": &a" + name + " [" + strings.Repeat("*a"+string(rune('0'+i-1))+", ", 9) + "]\n")
	}
	doc, _, err := parseDocument("f", b.String())
	require.NoError(t, err)
	require.Equal(t, maxDecoded, decodedSize(doc.root, map[*yaml.Node]int{}))
	trials := 0
	s := doc.locate(func(string) error { trials++; return errors.New("no") }, "no")
	require.LessOrEqual(t, trials, 1)
	require.NotNil(t, s.value)
}

func TestValidateWithoutAFile(t *testing.T) {
	require.NoError(t, DefaultTocsin().Validate())
	s := DefaultTocsin()
	s.Push.Interval, s.Data = 0, ""
	err := s.Validate()
	require.EqualError(t, err, "tocsin.data: is empty; name a directory\ntocsin.push.interval: must be longer than 0s")
	var es Errors
	require.True(t, errors.As(err, &es))
	require.Len(t, es, 2)
}
