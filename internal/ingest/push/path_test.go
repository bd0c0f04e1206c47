package push

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

type grouping = map[string]string

// TestParsePath has the examples of the Pushgateway's documentation, then corners.
func TestParsePath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]grouping{
		"/metrics/job/some_job":                                                          {"job": "some_job"},
		"/metrics/job/some_job/instance/some_instance":                                   {"job": "some_job", "instance": "some_instance"},
		"/metrics/job/directory_cleaner/path@base64/L3Zhci90bXA":                         {"job": "directory_cleaner", "path": "/var/tmp"},
		"/metrics/job/directory_cleaner/path@base64/L3Zhci90bXA=":                        {"job": "directory_cleaner", "path": "/var/tmp"},
		"/metrics/job/example/first_label@base64/=/second_label/foobar":                  {"job": "example", "first_label": "", "second_label": "foobar"},
		"/metrics/job/titan/name/%CE%A0%CF%81%CE%BF%CE%BC%CE%B7%CE%B8%CE%B5%CF%8D%CF%82": {"job": "titan", "name": "Προμηθεύς"},
		"/metrics/job/titan/name@base64/zqDPgc6_zrzOt864zrXPjc-C":                        {"job": "titan", "name": "Προμηθεύς"},
		"/metrics/job@base64/YS9i/x/y":                                                   {"job": "a/b", "x": "y"},

		"/metrics/job/j/":                {"job": "j"},
		"/metrics/job/j/a/b/":            {"job": "j", "a": "b"},
		"/metrics/job/j/a/1/a/2":         {"job": "j", "a": "2"},
		"/metrics/job/j/job/other":       {"job": "j"},
		"/metrics/job/job":               {"job": "job"},
		"/metrics/job/two+words/a/b%20c": {"job": "two+words", "a": "b c"},
		"/metrics/job/j/a%40base64/=":    {"job": "j", "a": ""},
		"/metrics/job/j/a/x@base64":      {"job": "j", "a": "x@base64"},
		"/metrics/job/j/a@base64/":       {"job": "j", "a": ""},
	} {
		u, err := url.Parse("http://gateway" + path)
		require.NoError(t, err, path)
		got, err := parsePath(u.Path)
		require.NoError(t, err, path)
		require.Equal(t, want, got, path)
	}
}

func TestParsePathRefuses(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/metrics/job/directory_cleaner/path//var/tmp":          "label path has no value",
		"/metrics/job/example/first_label//second_label/foobar": "label first_label has no value; an empty one is written first_label@base64/=",
		"/metrics/job/j/a%2Fb/c":                                "odd number of components",
		"/metrics/job/j/a":                                      "odd number of components",
		"/metrics/job/":                                         "job name is required",
		"/metrics/job//a/b":                                     "job name is required",
		"/metrics/job@base64/=":                                 "job name is required",
		"/metrics/job@base64/*/a/b":                             "invalid base64",
		"/metrics/job/j/a@base64/!":                             "invalid base64",
		"/metrics/job/j/a@base64/_w":                            "not valid UTF-8",
		"/metrics/job/j/a/%FF":                                  "not valid UTF-8",
		"/metrics/job/j/__name__/x":                             "improper label name",
		"/metrics/job/j/__x@base64/x":                           "improper label name",
		"/metrics/job/j/a-b/x":                                  "improper label name",
		"/metrics/job/j//x":                                     "improper label name",
	} {
		u, err := url.Parse("http://gateway" + path)
		require.NoError(t, err, path)
		_, err = parsePath(u.Path)
		require.ErrorContains(t, err, want, path)
		require.NotErrorIs(t, err, errNotPush, path)
	}
	for _, path := range []string{"", "/", "/metrics", "/metrics/", "/metrics/jobs/a", "/metrics/instance/a", "/metrics/job@base32/a"} {
		_, err := parsePath(path)
		require.ErrorIs(t, err, errNotPush, path)
	}
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"job/a", "job@base64/YQ==/b/c", "job/a/b@base64/=", "job//b", "job/a/b/"} {
		f.Add(pathPrefix + s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		labels, err := parsePath(path)
		if err != nil {
			if labels != nil {
				t.Fatal("labels with an error")
			}
			if !errors.Is(err, errNotPush) && !strings.HasPrefix(path, pathPrefix+"job") {
				t.Fatalf("%q is no group's path: %v", path, err)
			}
			return
		}
		if labels["job"] == "" {
			t.Fatal("no job")
		}
		for name, value := range labels {
			if !model.LegacyValidation.IsValidLabelName(name) || !utf8.ValidString(value) {
				t.Fatalf("%q=%q", name, value)
			}
		}
		// What was read can be written and read again.
		_ = timestampFamily(pushTime, "help", labels, fromNanos(1))
	})
}
