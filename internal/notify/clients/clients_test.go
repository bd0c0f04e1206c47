package clients

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"testing"

	amalert "github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/config/receiver"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/template"
	"github.com/stretchr/testify/require"
)

// silent is a notifier in whose place tests put their own.
type silent struct{}

func (silent) Notify(context.Context, ...*amalert.Alert) (bool, error) { return false, nil }

type (
	doer    interface{ CloseIdleConnections() }
	plain   struct{ client *http.Client }
	another http.Client
	holder  struct {
		silent
		_         int
		embedded  plain
		held      doer
		bot       *plain
		unrelated map[string]*http.Client
		other     *another
		logger    *slog.Logger
		deep      **plain
	}
)

func integration(n amnotify.Notifier) *amnotify.Integration {
	in := amnotify.NewIntegration(n, nil, "test", 0, "r")
	return &in
}

func TestOf(t *testing.T) {
	a, b, c := &http.Client{}, &http.Client{}, &http.Client{}
	deep := &plain{c}
	for name, tt := range map[string]struct {
		in   amnotify.Notifier
		want []*http.Client
	}{
		"nothing":               {silent{}, nil},
		"no notifier":           {nil, nil},
		"nil everywhere":        {&holder{}, nil},
		"a nil notifier":        {(*holder)(nil), nil},
		"in a struct":           {&holder{embedded: plain{a}}, []*http.Client{a}},
		"in an interface":       {&holder{held: a}, []*http.Client{a}},
		"a nil in an interface": {&holder{held: (*http.Client)(nil)}, nil},
		"behind a pointer":      {&holder{bot: &plain{a}}, []*http.Client{a}},
		"a notifier by value":   {holder{embedded: plain{a}}, []*http.Client{a}},
		"several":               {&holder{embedded: plain{a}, held: b, bot: &plain{c}}, []*http.Client{a, b, c}},
		"one, twice":            {&holder{embedded: plain{a}, held: a, bot: &plain{a}}, []*http.Client{a}},
		"of another type":       {&holder{other: (*another)(a)}, nil},
		"in a map":              {&holder{unrelated: map[string]*http.Client{"": a}}, nil},
		"out of reach":          {&holder{deep: &deep, logger: slog.Default()}, nil},
	} {
		got := Of(integration(tt.in))
		require.Len(t, got, len(tt.want), name)
		for i := range got {
			require.Same(t, tt.want[i], got[i], name)
		}
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// It is the very client that the integration sends by.
func TestWhatIsFoundIsUsed(t *testing.T) {
	built := build(t, `
global: {smtp_smarthost: 'localhost:25', smtp_from: a@example.org}
route: {receiver: r}
receivers:
- name: r
  webhook_configs: [{url: 'https://nowhere.invalid/'}]
  email_configs: [{to: b@example.org}]
  sns_configs: [{sigv4: {region: us-east-1}, topic_arn: a, use_aws_http_client: true}]
`)
	require.Len(t, built, 3)
	found := Of(&built[0])
	require.Len(t, found, 1)
	errMine := errors.New("mine")
	found[0].Transport = transport(func(r *http.Request) (*http.Response, error) {
		_, _ = io.Copy(io.Discard, r.Body)
		return nil, errMine
	})
	_, err := built[0].Notify(amnotify.WithGroupLabels(amnotify.WithGroupKey(t.Context(), "k"), nil))
	require.ErrorIs(t, err, errMine)

	require.Empty(t, Of(&built[1]), "email speaks no HTTP")
	require.Empty(t, Of(&built[2]), "Amazon's own client makes its client at the first request; docs/delivery.md says so")
}

func build(t *testing.T, yaml string) []amnotify.Integration {
	t.Helper()
	t.Setenv("AWS_CA_BUNDLE", "")
	cfg, err := config.Load(yaml)
	require.NoError(t, err)
	tmpl, err := template.FromGlobs(nil)
	require.NoError(t, err)
	tmpl.ExternalURL = &url.URL{Scheme: "http", Host: "localhost"}
	built, err := receiver.BuildReceiverIntegrations(cfg.Receivers[0], tmpl, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return built
}
