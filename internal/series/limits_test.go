package series

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	limits := Limits{Labels: 3, NameLength: 8, ValueLength: 5}
	for name, c := range map[string]struct {
		limits Limits
		series labels.Labels
		want   string // empty: within the limits
	}{
		"at every limit":          {limits, labels.FromStrings("__name__", "abcde", "12345678", "v", "b", "12345"), ""},
		"empty":                   {limits, labels.EmptyLabels(), ""},
		"too many":                {limits, labels.FromStrings("__name__", "m", "a", "1", "b", "2", "c", "3"), `series "m" has 4 labels, at most 3 are allowed`},
		"long name":               {limits, labels.FromStrings("__name__", "m", "123456789", "v"), `series "m", label "123456789": 9 label name bytes, at most 8 are allowed`},
		"long value":              {limits, labels.FromStrings("__name__", "m", "a", "123456"), `series "m", label "a": 6 label value bytes, at most 5 are allowed`},
		"long metric name":        {limits, labels.FromStrings("__name__", "metric"), `series "metric", label "__name__": 6 label value bytes, at most 5 are allowed`},
		"bytes count, not runes":  {limits, labels.FromStrings("__name__", "m", "a", "äöü"), `series "m", label "a": 6 label value bytes, at most 5 are allowed`},
		"the first of two faults": {limits, labels.FromStrings("__name__", "m", "a", "123456", "b", "1234567"), `series "m", label "a": 6 label value bytes, at most 5 are allowed`},
		"no limits":               {Limits{Labels: -1, NameLength: -1, ValueLength: -1}, labels.FromStrings("__name__", strings.Repeat("x", 1<<20)), ""},
		"no name":                 {limits, labels.FromStrings("a", "123456"), `series "", label "a": 6 label value bytes, at most 5 are allowed`},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.limits.Check(c.series)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, c.want)
			var limit *LimitError
			require.ErrorAs(t, err, &limit)
			require.Greater(t, limit.Got, limit.Limit)
		})
	}
}

func TestErrorsStayShort(t *testing.T) {
	huge := strings.Repeat("x", 1<<20)
	for _, ls := range []labels.Labels{labels.FromStrings("__name__", huge), labels.FromStrings("__name__", "m", huge, "v")} {
		err := DefaultLimits().Check(ls)
		require.Error(t, err)
		require.Less(t, len(err.Error()), 300)
	}
}

func TestWithDefaults(t *testing.T) {
	require.Equal(t, DefaultLimits(), Limits{}.WithDefaults())
	own := Limits{Labels: -1, NameLength: 2, ValueLength: 3}
	require.Equal(t, own, own.WithDefaults())
}

func TestCheckAllocatesNothingToSayYes(t *testing.T) {
	limits := DefaultLimits()
	ls := labels.FromStrings("__name__", "m", "a", "1", "b", "2")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if limits.Check(ls) != nil {
			t.Fatal("refused")
		}
	}))
}

func BenchmarkCheck(b *testing.B) {
	limits := DefaultLimits()
	ls := labels.FromStrings("__name__", "http_requests_total", "code", "200", "handler", "/api", "instance", "a:80", "job", "web")
	for b.Loop() {
		if limits.Check(ls) != nil {
			b.Fatal("refused")
		}
	}
}
