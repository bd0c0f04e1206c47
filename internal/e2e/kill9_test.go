package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/sim"
)

// crashesFrom is the environment variable with how often TestAlertsSurviveKill9 kills; `make crash` sets it.
const crashesFrom = "TOCSIN_CRASHES"

const killConfig = `
global: {evaluation_interval: 1s}
rule_files: [rules.yml]
tocsin:
  notifications: {alertmanager_config: alertmanager.yml, min_backoff: 100ms, max_backoff: 300ms}
  self_scrape: {enabled: false}
  rules: {resend_delay: 5s}
`

// life is one run of the process.
type life struct {
	began, ready, ended time.Time // ready is zero where it was killed before it was
}

// killing is the test under way.
type killing struct {
	t      *testing.T
	dir    string
	chance *rand.Rand
	world  *world
	hook   *sim.Webhook
	now    *server // running at present
	lives  []life
	endsAt time.Time // from when on steady series may be cold
}

// TestAlertsSurviveKill9 kills tocsin with kill -9 at random moments, while dozens of alerts become pending, fire and
// resolve, and starts it again, at once or after a while. Afterwards what stands in the ledger is compared with what the
// series said, and what the receiver heard with the ledger. See kill9_judge_test.go for what is expected.
func TestAlertsSurviveKill9(t *testing.T) {
	t.Parallel()
	crashes, limit := 10, 30*time.Second
	if n, err := strconv.Atoi(os.Getenv(crashesFrom)); err == nil && n > 0 {
		crashes, limit = n, 24*time.Hour
	} else if testing.Short() {
		crashes = 4
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d crashes", seed, crashes)
	k := newKilling(t, seed)
	k.world.start(seed)
	began := time.Now()
	for i := 0; i < crashes && time.Since(began) < limit; i++ {
		k.crash()
		if i%25 == 24 {
			t.Logf("%d crashes after %s", i+1, time.Since(began).Round(time.Second))
		}
	}
	unsettled := k.settle()
	ticks := k.ticks()
	k.now.stop()
	j := k.judge(ticks)
	t.Logf("seed %d: %s", seed, j.summary())
	j.report(t)
	require.NoError(t, unsettled, "after the last start")
}

func newKilling(t *testing.T, seed uint64) *killing {
	k := &killing{t: t, dir: t.TempDir(), chance: rand.New(rand.NewPCG(seed, 0)), world: newWorld(seed)}
	var err error
	k.hook, err = sim.NewWebhook()
	require.NoError(t, err)
	t.Cleanup(func() { k.hook.Close() })
	k.hook.Always(sim.Behaviour{Delay: 25 * time.Millisecond}) // so that kills hit deliveries under way,
	unreliable := make([]sim.Behaviour, 100_000)               // and messages that have to be tried again
	for i := range unreliable {
		unreliable[i].Delay = 25 * time.Millisecond
		if k.chance.IntN(7) == 0 {
			unreliable[i].Status = http.StatusServiceUnavailable
		}
	}
	k.hook.Script(unreliable...)
	write(t, k.dir, "tocsin.yml", killConfig)
	write(t, k.dir, "rules.yml", killRules)
	write(t, k.dir, "rules.tocsin.yml", killSideRules)
	write(t, k.dir, "alertmanager.yml", fmt.Sprintf(`
route:
  receiver: recorder
  group_by: ['...']
  group_wait: 0s
  group_interval: 300ms
  repeat_interval: 12h
receivers:
- name: recorder
  webhook_configs: [{url: '%s'}]
`, k.hook.URL()))
	t.Cleanup(func() {
		if k.now != nil && k.now.cmd.ProcessState == nil {
			_ = k.now.cmd.Process.Kill()
		}
		if t.Failed() && k.now != nil {
			t.Logf("log of the last run:\n%s", tail(k.now.log.String(), 8000))
		}
	})
	return k
}

// run starts tocsin. What earlier runs said is forgotten.
func (k *killing) run() {
	k.now = begin(k.t, k.dir, "--config", "tocsin.yml")
	k.lives = append(k.lives, life{began: time.Now()})
}

func (k *killing) life() *life { return &k.lives[len(k.lives)-1] }

func (k *killing) awaitReady() {
	k.now.awaitReady()
	k.life().ready = time.Now()
	k.world.base.Store(&k.now.url)
}

// crash starts tocsin, kills it at a random moment, checks the ledger and waits, mostly for nothing.
func (k *killing) crash() {
	k.t.Helper()
	k.run()
	if k.chance.IntN(8) == 0 { // while it starts
		time.Sleep(time.Duration(k.chance.IntN(250)) * time.Millisecond)
	} else {
		k.awaitReady()
		lasts := 4 * time.Second
		if k.chance.IntN(10) == 0 {
			lasts = 12 * time.Second
		}
		time.Sleep(time.Duration(k.chance.Int64N(int64(lasts))))
	}
	k.life().ended = time.Now() // A moment early: what comes until the process is gone counts as after it.
	k.now.kill()
	k.world.base.Store(nil)
	k.checkLedger()
	if k.chance.IntN(3) == 0 {
		time.Sleep(time.Duration(k.chance.IntN(3000)) * time.Millisecond)
	}
}

func (k *killing) ledgerDir() string {
	return filepath.Join(k.dir, "tocsin-data", "tenants", "default", "ledger")
}

// checkLedger expects nothing to be wrong with the ledger as the kill left it.
func (k *killing) checkLedger() {
	k.t.Helper()
	if _, err := os.Stat(k.ledgerDir()); os.IsNotExist(err) {
		return // It was killed before there was one.
	}
	r, err := ledger.Check(k.ledgerDir())
	if os.IsNotExist(err) {
		return
	}
	require.NoError(k.t, err, "after crash %d", len(k.lives))
	require.True(k.t, r.OK(), "after crash %d: %v", len(k.lives), r.Problems)
}

// settle lets everything come to rest, first as it is, then with every alert over, and says what did not.
func (k *killing) settle() error {
	k.t.Helper()
	k.run()
	k.awaitReady()
	k.world.freeze()
	asItIs := within(90*time.Second, k.agrees)
	k.endsAt = time.Now()
	k.world.end()
	over := within(90*time.Second, k.over)
	k.world.halt()
	k.life().ended = time.Now()
	return errors.Join(asItIs, over)
}

// over reports whether no alert is active, and the receiver knows.
func (k *killing) over() error {
	if active := k.active(); len(active) > 0 {
		return fmt.Errorf("%d alerts are active still: %v", len(active), active)
	}
	last := map[string]string{}
	for _, h := range hear(k.hook.Requests()) {
		last[h.alert] = h.status
	}
	for alert, status := range last {
		if status != "resolved" {
			return fmt.Errorf("%s is over, and the last word of it is %q", alert, status)
		}
	}
	return nil
}

// active returns the state of each alert that is active.
func (k *killing) active() map[string]string {
	k.t.Helper()
	var out struct {
		Data struct {
			Alerts []struct {
				Labels map[string]string
				State  string
			}
		}
	}
	require.NoError(k.t, json.Unmarshal([]byte(k.now.get("/api/v1/alerts", 200)), &out))
	states := map[string]string{}
	for _, a := range out.Data.Alerts {
		states[a.Labels["alertname"]+"/"+a.Labels["id"]] = a.State
	}
	return states
}

// agrees reports whether each alert is what its series, which do not change any more, make it.
func (k *killing) agrees() error {
	k.t.Helper()
	states := k.active()
	for _, s := range k.world.series {
		s.mu.Lock()
		v := s.value
		s.mu.Unlock()
		got := states[s.name()]
		ok := true
		switch {
		case v != v || v == warm: // It depends on what was before.
			ok = got != "pending" || s.kind.goes
		case isHot(v):
			ok = got == "firing"
		default:
			ok = got == ""
		}
		if !ok {
			return fmt.Errorf("%s says %g and its alert is %q", s.name(), v, got)
		}
	}
	return nil
}

// ticks returns the times at which each group had evaluated all its rules: those of its last rule's samples.
func (k *killing) ticks() map[string][]time.Time {
	k.t.Helper()
	var out struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	span := int(time.Since(k.lives[0].began).Seconds()) + 10
	body := k.now.get("/api/v1/query?query="+url.QueryEscape(fmt.Sprintf("crash_tick[%ds]", span)), 200)
	require.NoError(k.t, json.Unmarshal([]byte(body), &out))
	ticks := map[string][]time.Time{}
	for _, r := range out.Data.Result {
		for _, v := range r.Values {
			ticks[r.Metric["group"]] = append(ticks[r.Metric["group"]], time.UnixMilli(int64(v[0].(float64)*1000+0.5)))
		}
	}
	for group, at := range ticks {
		slices.SortFunc(at, time.Time.Compare)
		require.NotEmpty(k.t, at, group)
	}
	require.Len(k.t, ticks, 2)
	return ticks
}

// heard is one alert of one message that the receiver took.
type heard struct {
	at           time.Time
	status       string
	alert        string
	starts, ends time.Time
}

func hear(requests []sim.WebhookRequest) (all []heard) {
	for _, r := range requests {
		if r.Status != http.StatusOK {
			continue
		}
		for _, a := range r.Message.Alerts {
			all = append(all, heard{r.Received, a.Status, a.Labels["alertname"] + "/" + a.Labels["id"], a.StartsAt, a.EndsAt})
		}
	}
	return all
}
