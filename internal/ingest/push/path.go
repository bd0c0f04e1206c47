package push

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"github.com/tocsin/tocsin/internal/ingest/body"
)

const (
	pathPrefix   = "/metrics/"
	base64Suffix = "@base64"
)

// errNotPush says that a path is not a group's.
var errNotPush = errors.New("not the path of a pushed group; it looks like /metrics/job/<job>{/<label>/<value>}")

// parsePath returns the grouping labels of a URL's path, unescaped as net/url has it. As in the Pushgateway, a slash
// that was escaped still separates, a "+" is a plus, a later pair overrides an earlier one of the same name, and nothing
// overrides the job. It returns errNotPush or an error that says what is wrong with the path.
func parsePath(path string) (map[string]string, error) {
	rest, ok := strings.CutPrefix(path, pathPrefix)
	if !ok {
		return nil, errNotPush
	}
	parts := strings.Split(rest, "/")
	if parts[0] != "job" && parts[0] != "job"+base64Suffix {
		return nil, errNotPush
	}
	if n := len(parts); n%2 == 1 && parts[n-1] == "" {
		parts = parts[:n-1] // one slash at the end does no harm
	}
	if len(parts)%2 == 1 {
		return nil, fmt.Errorf("odd number of components in %q: each label needs a value, and an empty one is written <label>%s/=",
			body.Clip(path, 200), base64Suffix)
	}
	labels := make(map[string]string, len(parts)/2)
	for i := 2; i < len(parts); i += 2 {
		name, value, err := parsePair(parts[i], parts[i+1])
		if err != nil {
			return nil, err
		}
		labels[name] = value
	}
	_, job, err := parsePair(parts[0], parts[1])
	if parts[1] == "" || err == nil && job == "" {
		return nil, errors.New("job name is required")
	}
	if err != nil {
		return nil, err
	}
	labels[model.JobLabel] = job
	return labels, nil
}

// parsePair reads one label of the path.
func parsePair(name, value string) (string, string, error) {
	name, encoded := strings.CutSuffix(name, base64Suffix)
	if !model.LegacyValidation.IsValidLabelName(name) || strings.HasPrefix(name, model.ReservedLabelPrefix) {
		return "", "", fmt.Errorf("improper label name %q", body.Clip(name, 100))
	}
	switch {
	case encoded:
		// Padding is optional.
		b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(value, "="))
		if err != nil {
			return "", "", fmt.Errorf("invalid base64 encoding for label %s=%q: %w", name, body.Clip(value, 100), err)
		}
		value = string(b)
	case value == "":
		return "", "", fmt.Errorf("label %s has no value; an empty one is written %s%s/=", name, name, base64Suffix)
	}
	if !utf8.ValidString(value) {
		return "", "", fmt.Errorf("the value of label %s is not valid UTF-8", name)
	}
	return name, value, nil
}
