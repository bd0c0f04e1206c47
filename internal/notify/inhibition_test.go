package notify

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	amalert "github.com/prometheus/alertmanager/alert"
	amconfig "github.com/prometheus/alertmanager/config"
	amcommoncfg "github.com/prometheus/alertmanager/config/common"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/inhibit"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/alertmanager/provider"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
)

const criticalOverWarning = `
inhibit_rules:
- {source_matchers: [severity="critical"], target_matchers: [severity="warning"], equal: [id]}
`

// burn keeps the processors busy until the test ends.
func burn(t *testing.T) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for x := uint64(1); ; x = x*6364136223846793005 + 1 {
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	t.Cleanup(func() { close(stop); wg.Wait() })
}

// TestInhibitionNeverLeaks sends 1,000 pairs of a source and its target, with group_wait 0s and under load: in one batch
// in random order, in large batches, and in batches one after the other. No target may be delivered.
func TestInhibitionNeverLeaks(t *testing.T) {
	const pairs = 1000
	for name, deliver := range map[string]func(n *Notifier, rnd *rand.Rand, source, target []alert.Outgoing){
		"one batch a pair, random order": func(n *Notifier, rnd *rand.Rand, source, target []alert.Outgoing) {
			for i := range source {
				if rnd.Intn(2) == 0 {
					send(n, target[i], source[i])
				} else {
					send(n, source[i], target[i])
				}
			}
		},
		"one large batch, shuffled": func(n *Notifier, rnd *rand.Rand, source, target []alert.Outgoing) {
			all := append(append([]alert.Outgoing{}, source...), target...)
			rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			send(n, all...)
		},
		"source's batch before target's": func(n *Notifier, _ *rand.Rand, source, target []alert.Outgoing) {
			for i := range source {
				send(n, source[i])
				send(n, target[i])
			}
		},
		"by four senders at once": func(n *Notifier, _ *rand.Rand, source, target []alert.Outgoing) {
			var wg sync.WaitGroup
			for s := range 4 {
				wg.Go(func() {
					for i := s; i < len(source); i += 4 {
						send(n, target[i], source[i])
					}
				})
			}
			wg.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			burn(t)
			h := newHook(t)
			reg := prometheus.NewRegistry()
			n := start(t, Options{Registerer: reg}, simple(h.URL, criticalOverWarning))
			seed := time.Now().UnixNano()
			t.Logf("seed %d", seed)
			var source, target []alert.Outgoing
			for i := range pairs {
				id := strconv.Itoa(i)
				source = append(source, firing("Down", "severity", "critical", "id", id))
				target = append(target, firing("Slow", "severity", "warning", "id", id))
			}
			deliver(n, rand.New(rand.NewSource(seed)), source, target)
			eventually(t, "all sources delivered", func() bool { return h.count("firing", "severity", "critical") >= pairs })
			// Each target has been through its first flush when it was suppressed once.
			eventually(t, "all targets looked at", func() bool {
				return metric(t, reg, "alertmanager_notifications_suppressed_total", "reason=inhibition") >= pairs
			})
			require.Zero(t, h.count("firing", "severity", "warning"), "inhibited alerts were delivered")
		})
	}
}

// TestInhibitionLeaksWithoutSynchronousSources shows that the test above can fail: with upstream's own subscription in
// place of ours, targets get through.
func TestInhibitionLeaksWithoutSynchronousSources(t *testing.T) {
	h := newHook(t)
	n, err := New(Options{Logger: testLogger(t)})
	require.NoError(t, err)
	t.Cleanup(n.Stop)
	n.inhibitorView = func([]amcommoncfg.InhibitRule) provider.Alerts { return n.store.Alerts }
	require.NoError(t, n.Apply(load(t, simple(h.URL, criticalOverWarning))))
	n.Start()
	for i := range 1000 {
		id := strconv.Itoa(i)
		send(n, firing("Slow", "severity", "warning", "id", id), firing("Down", "severity", "critical", "id", id))
	}
	eventually(t, "a leak", func() bool { return h.count("firing", "severity", "warning") > 0 })
	eventually(t, "all sources", func() bool { return h.count("firing", "severity", "critical") >= 1000 })
	t.Logf("%d of 1000 targets leaked with upstream's asynchronous sources", h.count("firing", "severity", "warning"))
}

// TestInhibitionBySourcesFromBeforeReload: the inhibitor of a new configuration knows the alerts that are there.
func TestInhibitionBySourcesFromBeforeReload(t *testing.T) {
	h := newHook(t)
	n := start(t, Options{}, simple(h.URL, ""))
	send(n, firing("Down", "severity", "critical", "id", "1"))
	eventually(t, "source delivered", func() bool { return h.count("firing", "severity", "critical") == 1 })
	require.NoError(t, n.Apply(load(t, simple(h.URL, criticalOverWarning))))
	send(n, firing("Slow", "severity", "warning", "id", "1"), firing("Slow", "severity", "warning", "id", "2"))
	eventually(t, "uninhibited one delivered", func() bool { return h.count("firing", "id", "2") == 1 })

	_, body := call(t, n.Handler(), "GET", "/api/v2/alerts?filter=id%3D%221%22&filter=severity%3D%22warning%22", "")
	require.Contains(t, body, `"state":"suppressed"`)
	require.Regexp(t, `"inhibitedBy":\["[0-9a-f]{16}"\]`, body)
	require.Zero(t, h.count("firing", "severity", "warning")-h.count("firing", "id", "2"))

	// When the source ends, the target is told of at its next flush.
	send(n, over(firing("Down", "severity", "critical", "id", "1")))
	eventually(t, "target delivered after its source ended", func() bool {
		return h.count("firing", "severity", "warning") >= 2
	})
}

// TestInhibitionUnderReloads keeps reloading while pairs come in: also the moment between two inhibitors has no gap.
func TestInhibitionUnderReloads(t *testing.T) {
	h := newHook(t)
	reg := prometheus.NewRegistry()
	n := start(t, Options{Registerer: reg}, simple(h.URL, criticalOverWarning))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := n.Apply(load(t, simple(h.URL, criticalOverWarning))); err != nil {
					t.Error(err)
				}
			}
		}
	})
	const pairs = 300
	for i := range pairs {
		id := strconv.Itoa(i)
		send(n, firing("Slow", "severity", "warning", "id", id), firing("Down", "severity", "critical", "id", id))
	}
	close(stop)
	wg.Wait()
	eventually(t, "all sources delivered", func() bool { return h.count("firing", "severity", "critical") >= pairs })
	require.Zero(t, h.count("firing", "severity", "warning"))
}

// TestInhibitorAgreesWithUpstream feeds random alerts (firing, resolved, updated) under random rules to the synchronous
// inhibitor, and compares with upstream's, newly loaded from what the provider then holds.
func TestInhibitorAgreesWithUpstream(t *testing.T) {
	for round := range 60 {
		seed := int64(round + 1)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewSource(seed))
			rules := randomRules(t, rnd)
			n, err := New(Options{})
			require.NoError(t, err)
			defer n.Stop()
			sync := inhibit.NewInhibitor(n.store.forInhibitor(rules), rules, slog.New(slog.DiscardHandler), eventrecorder.NopRecorder())
			put := func(count int) {
				for range count {
					batch := make([]*amalert.Alert, 1+rnd.Intn(4))
					for i := range batch {
						batch[i] = randomAlert(rnd)
					}
					require.NoError(t, n.store.Put(context.Background(), batch...))
				}
			}
			put(20) // known before the inhibitor
			go sync.Run()
			sync.WaitForLoading()
			defer sync.Stop()
			put(60)

			upstream := inhibit.NewInhibitor(n.store.Alerts, rules, slog.New(slog.DiscardHandler), eventrecorder.NopRecorder())
			go upstream.Run()
			upstream.WaitForLoading()
			defer upstream.Stop()
			muted := 0
			for range 300 {
				set := randomAlert(rnd).Labels
				want, got := mutes(upstream, set), mutes(sync, set)
				require.Equal(t, want, got, "label set %s", set)
				if want {
					muted++
				}
			}
			t.Logf("%d of 300 label sets muted", muted)
		})
	}
}

func mutes(in *inhibit.Inhibitor, set model.LabelSet) bool {
	m := marker.NewAlertMarker()
	muted := in.Mutes(marker.WithContext(context.Background(), m), set)
	if muted != (len(m.Status(set.Fingerprint()).InhibitedBy) > 0) {
		panic("marker and verdict differ")
	}
	return muted
}

func randomAlert(rnd *rand.Rand) *amalert.Alert {
	set := model.LabelSet{"alertname": model.LabelValue(pick(rnd, "A", "B", "C"))}
	for _, name := range []string{"severity", "id", "zone"} {
		if v := pick(rnd, "", "x", "y", "critical", "warning"); v != "" {
			set[model.LabelName(name)] = model.LabelValue(v)
		}
	}
	now := time.Now()
	a := &amalert.Alert{Alert: model.Alert{Labels: set, StartsAt: now.Add(-time.Minute), EndsAt: now.Add(time.Hour)}, UpdatedAt: now}
	if rnd.Intn(3) == 0 {
		a.EndsAt = now.Add(-time.Duration(rnd.Intn(30)) * time.Second)
	}
	return a
}

func randomRules(t *testing.T, rnd *rand.Rand) []amcommoncfg.InhibitRule {
	side := func(which string) string {
		label, value := pick(rnd, "severity", "alertname", "zone"), pick(rnd, "x", "y", "critical", "warning", "A", "B")
		switch rnd.Intn(4) {
		case 0:
			return fmt.Sprintf("%s_match: {%s: %s}", which, label, value)
		case 1:
			return fmt.Sprintf("%s_match_re: {%s: '%s|A'}", which, label, value)
		case 2:
			return fmt.Sprintf("%s_matchers: ['%s!=\"%s\"']", which, label, value)
		}
		return fmt.Sprintf("%s_matchers: ['%s=~\"%s|critical\"', 'id!=\"y\"']", which, label, value)
	}
	yaml := "route: {receiver: r}\nreceivers: [{name: r}]\ninhibit_rules:\n"
	for range 1 + rnd.Intn(4) {
		yaml += fmt.Sprintf("- {%s, %s, equal: [%s]}\n", side("source"), side("target"), pick(rnd, "id", "id, zone", "zone", "absent", "severity"))
	}
	cfg, err := amconfig.Load(yaml)
	require.NoError(t, err, yaml)
	return cfg.InhibitRules
}

func pick(rnd *rand.Rand, of ...string) string { return of[rnd.Intn(len(of))] }

// TestResolvedAndExpiredSourcesDoNotInhibit covers the ends of a source: told, and run out.
func TestResolvedAndExpiredSourcesDoNotInhibit(t *testing.T) {
	h := newHook(t)
	n := start(t, Options{}, simple(h.URL, criticalOverWarning))
	short := firing("Down", "severity", "critical", "id", "1")
	short.EndsAt = time.Now().Add(300 * time.Millisecond)
	send(n, short, firing("Slow", "severity", "warning", "id", "1"))
	eventually(t, "source delivered", func() bool { return h.count("firing", "severity", "critical") == 1 })
	require.Zero(t, h.count("firing", "severity", "warning"))
	eventually(t, "target delivered once its source ran out", func() bool { return h.count("firing", "severity", "warning") > 0 })

	// An alert on both sides of a rule does not inhibit itself, nor another such alert.
	both := start(t, Options{}, simple(h.URL, `
inhibit_rules:
- {source_matchers: [team="x"], target_matchers: [severity=~"both.*"]}
`))
	send(both, firing("P", "severity", "both1", "team", "x"), firing("Q", "severity", "both2", "team", "x"))
	eventually(t, "both delivered", func() bool {
		return h.count("firing", "severity", "both1") == 1 && h.count("firing", "severity", "both2") == 1
	})
}
