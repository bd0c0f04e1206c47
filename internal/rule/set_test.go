package rule

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// shelf is a Set over a directory, with everything around it that a test looks at.
type shelf struct {
	t          *testing.T
	dir, cache string
	reg        *prometheus.Registry
	log        *bytes.Buffer
	set        *Set
	now        time.Time
}

func newShelf(t *testing.T) *shelf {
	s := &shelf{t: t, dir: t.TempDir(), cache: filepath.Join(t.TempDir(), "cache"), now: time.Unix(1000, 0)}
	s.restart()
	return s
}

// restart is what a new process does.
func (s *shelf) restart() {
	s.reg, s.log = prometheus.NewRegistry(), &bytes.Buffer{}
	var err error
	s.set, err = NewSet(SetOptions{
		Compiler: compiler(), Logger: slog.New(slog.NewTextHandler(s.log, nil)), Registerer: s.reg, CacheDir: s.cache,
		Now: func() time.Time { return s.now },
	})
	require.NoError(s.t, err)
}

func (s *shelf) write(name, content string) string {
	path := filepath.Join(s.dir, name)
	require.NoError(s.t, os.WriteFile(path, []byte(content), 0o644))
	return path
}

func (s *shelf) load(patterns ...string) Result {
	s.now = s.now.Add(time.Second)
	if len(patterns) == 0 {
		patterns = []string{filepath.Join(s.dir, "*.yml")}
	}
	return s.set.Load(patterns, nil)
}

// alerts are the names of the rules in force.
func (s *shelf) alerts() []string {
	out := []string{}
	for _, g := range s.set.Groups() {
		for _, r := range g.Rules {
			out = append(out, r.Name)
		}
	}
	return out
}

func (s *shelf) metric(name, file string) (float64, bool) {
	mfs, err := s.reg.Gather()
	require.NoError(s.t, err)
	for _, mf := range mfs {
		for _, m := range mf.GetMetric() {
			if mf.GetName() == name && (len(m.GetLabel()) == 0 || m.GetLabel()[0].GetValue() == file) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue(), true
			}
		}
	}
	return 0, false
}

func (s *shelf) requireMetric(name, file string, want float64) {
	s.t.Helper()
	got, ok := s.metric(name, file)
	require.True(s.t, ok, name)
	require.Equal(s.t, want, got, name)
}

func ruleFile(alert string) string {
	return "groups:\n- name: g\n  rules:\n  - alert: " + alert + "\n    expr: up == 0\n"
}

const broken = "groups:\n- name: g\n  rules:\n  - alert: X\n    expr: up ==\n"

func TestABrokenFileKeepsItsLastGoodVersion(t *testing.T) {
	s := newShelf(t)
	a, b := s.write("a.yml", ruleFile("A")), s.write("b.yml", "rules: [{id: B, metric: m, condition: value > 1}]")
	r := s.load()
	require.NoError(t, r.Err())
	require.Equal(t, []string{a, b}, r.Changed)
	require.Equal(t, []string{"A", "B"}, s.alerts())
	before := s.set.Groups()
	s.requireMetric("tocsin_rule_file_last_load_successful", a, 1)
	s.requireMetric("tocsin_rule_file_last_load_timestamp_seconds", a, 1001)
	s.requireMetric("tocsin_rule_files", "", 2)
	s.requireMetric("tocsin_rule_reloads_total", "success", 1)

	s.write("a.yml", broken)
	for range 2 { // a second look changes nothing
		r = s.load()
		require.ErrorContains(t, r.Err(), a+`:5:16: group "g", rule 1 "X": could not parse expression`)
		require.Empty(t, r.Changed)
		require.Equal(t, []string{a}, r.Broken)
		require.Equal(t, before, s.set.Groups())
		require.Same(t, before[1], s.set.Groups()[1], "no other rule is disturbed")
		s.requireMetric("tocsin_rule_file_last_load_successful", a, 0)
		s.requireMetric("tocsin_rule_file_last_load_timestamp_seconds", a, 1001)
		s.requireMetric("tocsin_rule_file_last_load_successful", b, 1)
	}
	s.requireMetric("tocsin_rule_reloads_total", "failure", 2)
	st := s.set.Files()
	require.Len(t, st, 2)
	require.Equal(t, FileStatus{
		Path: a, Dialect: Prometheus, Errors: st[0].Errors, Hash: contentHash([]byte(ruleFile("A"))), LoadedAt: time.Unix(1001, 0),
		Groups: 1, Rules: 1, UsingLastGood: true,
	}, st[0])
	require.Len(t, st[0].Errors, 1)
	require.Equal(t, Simple, st[1].Dialect)
	require.True(t, st[1].OK)
	require.False(t, st[1].UsingLastGood)

	s.write("a.yml", ruleFile("A"))
	r = s.load()
	require.NoError(t, r.Err())
	require.Empty(t, r.Changed, "it is what it was")
	require.Same(t, before[0], s.set.Groups()[0])
	s.requireMetric("tocsin_rule_file_last_load_successful", a, 1)

	s.write("a.yml", ruleFile("A2"))
	require.Equal(t, []string{a}, s.load().Changed)
	require.Equal(t, []string{"A2", "B"}, s.alerts())

	require.NoError(t, os.Remove(a))
	require.Equal(t, []string{a}, s.load().Changed)
	require.Equal(t, []string{"B"}, s.alerts())
	_, ok := s.metric("tocsin_rule_file_last_load_successful", a)
	require.False(t, ok)
	_, ok = s.metric("tocsin_rule_file_last_load_timestamp_seconds", a)
	require.False(t, ok)
	s.requireMetric("tocsin_rule_files", "", 1)
}

func TestTheLastGoodVersionOutlivesTheProcess(t *testing.T) {
	s := newShelf(t)
	a := s.write("a.yml", ruleFile("A"))
	c := s.write("c.yml", ruleFile("C"))
	require.NoError(t, s.load().Err())
	s.write("a.yml", broken)
	require.Error(t, s.load().Err())
	require.NoError(t, os.Remove(c))

	s.restart()
	r := s.load()
	require.Error(t, r.Err())
	require.Equal(t, []string{"A"}, s.alerts(), "a's last good version; c vanished")
	require.True(t, s.set.Files()[0].UsingLastGood)
	require.Contains(t, s.log.String(), "from before the restart")

	// What was good and is gone does not come back.
	s.write("c.yml", broken)
	require.Error(t, s.load().Err())
	require.Equal(t, []string{"A"}, s.alerts())

	// A good version makes the cached one a thing of the past.
	s.write("a.yml", ruleFile("A2"))
	require.Error(t, s.load().Err(), "c")
	s.write("a.yml", broken)
	s.restart()
	require.Error(t, s.load().Err())
	require.Equal(t, []string{"A2"}, s.alerts())

	// A damaged cache is as good as none, and does no harm.
	require.NoError(t, os.WriteFile(filepath.Join(s.cache, cacheName(a)), []byte("groups: ["), 0o600))
	s.restart()
	require.Error(t, s.load().Err())
	require.Empty(t, s.alerts())
	require.Contains(t, s.log.String(), "is not good any more")
}

func TestTheCacheHoldsOnlyWhatIsNeeded(t *testing.T) {
	s := newShelf(t)
	a, b := s.write("a.yml", ruleFile("A")), s.write("b.yml", ruleFile("B"))
	require.NoError(t, os.WriteFile(filepath.Join(s.cache, "1234"+temporarySuffix), []byte("half"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(s.cache, "README"), []byte("not ours"), 0o600))
	require.NoError(t, s.load().Err())
	names := func() []string {
		entries, err := os.ReadDir(s.cache)
		require.NoError(t, err)
		var out []string
		for _, e := range entries {
			out = append(out, e.Name())
		}
		return out
	}
	require.ElementsMatch(t, []string{"README", cacheName(a), cacheName(b)}, names())
	require.NoError(t, os.Remove(b))
	require.NoError(t, s.load().Err())
	require.ElementsMatch(t, []string{"README", cacheName(a)}, names())
	content, err := os.ReadFile(filepath.Join(s.cache, cacheName(a)))
	require.NoError(t, err)
	require.Equal(t, ruleFile("A"), string(content))
}

// TestACacheThatCannotBeWritten costs a warning, and is tried again.
func TestACacheThatCannotBeWritten(t *testing.T) {
	s := newShelf(t)
	a := s.write("a.yml", ruleFile("A"))
	require.NoError(t, os.Remove(s.cache))
	require.NoError(t, s.load().Err())
	require.Equal(t, []string{"A"}, s.alerts())
	require.Contains(t, s.log.String(), "could not be cached")
	require.NoError(t, os.Mkdir(s.cache, 0o700))
	require.NoError(t, s.load().Err())
	require.FileExists(t, filepath.Join(s.cache, cacheName(a)))
}

func TestPatterns(t *testing.T) {
	s := newShelf(t)
	a, b := s.write("a.yml", ruleFile("A")), s.write("b.yaml", ruleFile("B"))
	nowhere := filepath.Join(s.dir, "nowhere.yml")
	for range 2 {
		r := s.load(b, filepath.Join(s.dir, "*.yml"), filepath.Join(s.dir, "none*"), nowhere, a, b)
		require.NoError(t, r.Err(), "as in Prometheus, what is not there is no error")
		require.Equal(t, []string{"B", "A"}, s.alerts(), "each file once, in the order of the patterns")
	}
	require.Equal(t, 1, strings.Count(s.log.String(), nowhere), "but it is told of, once: %s", s.log)
	require.Equal(t, []string{"B", "A"}, s.alerts())

	r := s.load(a, "[")
	require.ErrorContains(t, r.Err(), `rule files "["`)
	require.Equal(t, []string{"A"}, s.alerts())

	require.NoError(t, os.Symlink(filepath.Join(s.dir, "gone"), filepath.Join(s.dir, "link.yml")))
	require.NoError(t, os.Mkdir(filepath.Join(s.dir, "dir.yml"), 0o755))
	r = s.load()
	require.ErrorContains(t, r.Err(), "link.yml: is a link that leads nowhere")
	require.ErrorContains(t, r.Err(), "dir.yml: is a directory")
	require.Len(t, r.Broken, 2)
	require.Equal(t, []string{"A"}, s.alerts())
}

// TestAFileThatCannotBeReadAnyMore is broken, not gone.
func TestAFileThatCannotBeReadAnyMore(t *testing.T) {
	s := newShelf(t)
	a := s.write("a.yml", ruleFile("A"))
	require.NoError(t, s.load(a).Err())
	require.NoError(t, os.Remove(a))
	require.NoError(t, os.Mkdir(a, 0o755))
	require.Error(t, s.load(a).Err())
	require.Equal(t, []string{"A"}, s.alerts())
	require.NoError(t, os.Remove(a))
	s.write("a.yml", ruleFile("A2"))
	require.NoError(t, s.load(a).Err())
	require.Equal(t, []string{"A2"}, s.alerts())
}

func TestBuiltinFilesInASet(t *testing.T) {
	s := newShelf(t)
	s.write("a.yml", ruleFile("A"))
	r := s.set.Load([]string{filepath.Join(s.dir, "*")}, map[string][]byte{"x": []byte(ruleFile("X")), "bad": []byte(broken)})
	require.ErrorContains(t, r.Err(), "builtin:bad:5:16")
	require.Equal(t, []string{"A", "X"}, s.alerts())
	require.Equal(t, "builtin:x", s.set.Groups()[1].File)
	s.requireMetric("tocsin_rule_file_last_load_successful", "builtin:bad", 0)
	require.NoError(t, s.set.Load(nil, nil).Err())
	require.Empty(t, s.alerts())
}

func TestTheZeroSet(t *testing.T) {
	set, err := NewSet(SetOptions{})
	require.NoError(t, err)
	require.Empty(t, set.Groups())
	require.Empty(t, set.Files())
	require.NoError(t, set.Load(nil, Builtin()).Err())
	require.NotEmpty(t, set.Groups())
}

func TestNewSetFailures(t *testing.T) {
	reg := prometheus.NewRegistry()
	_, err := NewSet(SetOptions{Registerer: reg})
	require.NoError(t, err)
	_, err = NewSet(SetOptions{Registerer: reg})
	require.ErrorContains(t, err, "rule file metrics")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = NewSet(SetOptions{CacheDir: filepath.Join(file, "cache")})
	require.ErrorContains(t, err, "rule file cache")
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
}

// TestManyErrorsAreSummedUp keeps a reload's one error readable.
func TestManyErrorsAreSummedUp(t *testing.T) {
	s := newShelf(t)
	s.write("a.yml", "groups:\n- name: g\n  rules:\n"+strings.Repeat("  - {alert: X, expr: up ==}\n", 50))
	err := s.load().Err()
	require.Equal(t, shownErrors+1, strings.Count(err.Error(), "\n")+1)
	require.ErrorContains(t, err, "and 40 more errors")
	require.Len(t, s.set.Files()[0].Errors, 50)
}

// TestASetUnderLoad reads while files change; the race detector watches, and every reader sees whole files.
func TestASetUnderLoad(t *testing.T) {
	s := newShelf(t)
	pair := func(i int) string {
		return fmt.Sprintf("groups:\n- name: g\n  rules:\n  - {alert: A%d, expr: up}\n  - {alert: A%d, expr: up}\n", i, i)
	}
	s.write("a.yml", pair(0))
	require.NoError(t, s.load().Err())
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				names := s.alerts()
				if len(names) != 2 || names[0] != names[1] || len(s.set.Files()) != 1 {
					t.Errorf("saw %v", names)
					return
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() { s.set.Load([]string{filepath.Join(s.dir, "*.yml")}, nil) })
	}
	for i := range 20 {
		next := filepath.Join(s.dir, "next")
		require.NoError(t, os.WriteFile(next, []byte(pair(i+1)), 0o600))
		require.NoError(t, os.Rename(next, filepath.Join(s.dir, "a.yml")))
		s.set.Load([]string{filepath.Join(s.dir, "*.yml")}, nil)
	}
	close(done)
	wg.Wait()
	require.Equal(t, []string{"A20", "A20"}, s.alerts())
}
