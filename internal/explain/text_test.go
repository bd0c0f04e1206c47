package explain

import (
	"bytes"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// TestTextIsPlain: what others wrote does not break lines nor reach the terminal as control characters.
func TestTextIsPlain(t *testing.T) {
	evil := "a\x1b[31m\nb\u202ec" + strings.Repeat(" word", 40) + strings.Repeat("x", 300)
	a := &Answer{Answer: evil, Instances: []*Instance{{
		Labels: labels.FromStrings("l", evil), Annotations: labels.FromStrings("summary", evil), State: "firing", Notes: []string{evil},
		Transitions: []Transition{{Deliveries: []Delivery{{Answer: evil}}}}, Told: &Told{MutedBy: []string{evil}},
	}}}
	var b bytes.Buffer
	require.NoError(t, a.WriteText(&b))
	require.NotContains(t, b.String(), "\x1b")
	require.NotContains(t, b.String(), "\u202e")
	require.NotContains(t, b.String(), "\nb")
	require.Equal(t, 6, strings.Count(b.String(), strings.Repeat("x", 300)), "everything is shown")
}
