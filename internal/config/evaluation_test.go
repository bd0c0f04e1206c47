package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEvaluationOf(t *testing.T) {
	c, err := Parse("/etc/tocsin/tocsin.yml", `
tocsin:
  rules:
    settle: 20ms
    overrides:
    - {files: slow-*.yml, groups: keep, settle: 3s}
    - {files: slow-*.yml, evaluation: strict}
    - {files: team/*.yml, settle: 1s}
    - {files: /srv/rules/*.yml, groups: "a*z", evaluation: strict, settle: 4s}
    - {groups: "[bc]illing", evaluation: strict}
    - {files: "builtin:*", evaluation: strict}
    - {groups: billing, settle: 9s}
    - {groups: \*, settle: 8s}
`, LoadOptions{LookupEnv: noEnv})
	require.NoError(t, err)
	for _, tc := range []struct {
		file, group string
		strict      bool
		settle      time.Duration
	}{
		{"/etc/tocsin/any.yml", "g", false, 20 * time.Millisecond},
		{"/x/y/slow-1.yml", "g", true, 20 * time.Millisecond},
		{"slow-.yml", "g", true, 20 * time.Millisecond},
		{"slow-1.yaml", "g", false, 20 * time.Millisecond},
		{"/x/slow-1.yml", "keep", false, 3 * time.Second},
		{"/etc/tocsin/team/a.yml", "g", false, time.Second},
		{"/etc/tocsin/team/deep/a.yml", "g", false, 20 * time.Millisecond},
		{"team/a.yml", "g", false, 20 * time.Millisecond},
		{"/srv/rules/r.yml", "a of b/c to z", true, 4 * time.Second},
		{"/srv/rules/r.yml", "a", false, 20 * time.Millisecond},
		{"/srv/r.yml", "billing", true, 20 * time.Millisecond},
		{"builtin:host.yml", "host", true, 20 * time.Millisecond},
		{"/r.yml", "*", false, 8 * time.Second},
		{"", "", false, 20 * time.Millisecond},
	} {
		strict, settle := c.Tocsin.Rules.EvaluationOf(tc.file, tc.group)
		require.Equal(t, tc.strict, strict, "%s %s", tc.file, tc.group)
		require.Equal(t, tc.settle, settle, "%s %s", tc.file, tc.group)
	}
}

func TestEvaluationByDefault(t *testing.T) {
	strict, settle := DefaultTocsin().Rules.EvaluationOf("/r.yml", "g")
	require.False(t, strict)
	require.Equal(t, 50*time.Millisecond, settle)

	r := mustParse(t, "tocsin: {rules: {evaluation: strict, overrides: [{groups: live, evaluation: stream}]}}\n").Tocsin.Rules
	strict, _ = r.EvaluationOf("/r.yml", "g")
	require.True(t, strict)
	strict, _ = r.EvaluationOf("/r.yml", "live")
	require.False(t, strict)
}
