package ruletest

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// corpus is where real test files lie, from this directory.
const corpus = "../../../shared/corpora/ruletests"

// meantToFail lists the corpus's test files that promtool v0.315.0 fails, by path below the corpus, and what the report
// must then say. There is none: of promtool's own test data that is meant to fail, the corpus has a rule file alone
// (bad-rules-error.yml; TestPromtoolsOwnFailures has its test). Every test file there passes under promtool.
func meantToFail() map[string]string { return map[string]string{} }

// corpusFiles returns every test file of the corpus: it has tests at the top level.
func corpusFiles(t *testing.T) []string {
	t.Helper()
	if _, err := os.Stat(corpus); err != nil {
		t.Skipf("SKIPPED: the corpus of rule tests is not at %s: nothing was compared", corpus)
	}
	var files []string
	require.NoError(t, filepath.WalkDir(corpus, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if bytes.HasPrefix(content, []byte("tests:")) || bytes.Contains(content, []byte("\ntests:")) {
			files = append(files, path)
		} else if strings.Contains(filepath.Base(path), "_test.") {
			t.Errorf("%s is named like a test file, and has no tests", path)
		}
		return nil
	}))
	return files
}

// small is the size, in bytes, of most files of the corpus; of half of them under the race detector.
func small() int64 {
	if underRace {
		return 2500
	}
	return 8000
}

// everything is the environment variable that, set to anything, has TestCorpus run the slow files too.
const everything = "TOCSIN_TEST_EVERYTHING"

// slow lists the files that take more processor time than all others together: they simulate days in steps of seconds.
func slow(path string) bool {
	for _, end := range []string{
		"kubernetes-mixin/tests/tests.yaml", "search_api_v2_tests.yaml", "database_backups_and_syncs_staging_only_alerts_tests.yaml",
	} {
		if strings.HasSuffix(path, end) {
			return true
		}
	}
	return false
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Size()
}

func TestCorpus(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: the corpus takes a minute of processor time")
	}
	files := corpusFiles(t)
	require.Greater(t, len(files), 100)
	switch {
	case os.Getenv(everything) != "":
	case !underRace:
		all := len(files)
		files = slices.DeleteFunc(files, slow)
		t.Logf("%d slow files are left out; %s=1 runs them too", all-len(files), everything)
	default:
		files = slices.DeleteFunc(files, func(path string) bool { return size(t, path) > small() })
		t.Logf("under the race detector: the %d smaller files only", len(files))
	}
	report, err := Run(t.Context(), files, Options{})
	require.NoError(t, err)
	tests := 0
	for _, f := range report.Files {
		rel, err := filepath.Rel(corpus, f.File)
		require.NoError(t, err)
		if want, bad := meantToFail()[rel]; bad {
			require.False(t, f.OK, "%s: promtool fails it", rel)
			require.Contains(t, complaints(f), want)
			continue
		}
		require.True(t, f.OK, "%s: promtool passes it\n%s", rel, complaints(f))
		tests += len(f.Tests)
	}
	t.Logf("%d files, %d tests", len(files), tests)
	if !underRace {
		require.Greater(t, tests, 400)
	}
}

// TestCorpusNoticesChanges changes every expectation of the smaller corpus files and wants each of them to be missed: a
// runner that passes everything would pass TestCorpus.
func TestCorpusNoticesChanges(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: the corpus takes a minute of processor time")
	}
	o := Options{}.withDefaults()
	var runs []*fileRun
	want := make(map[*fileRun][]int)
	changed := 0
	for _, path := range corpusFiles(t) {
		if size(t, path) > small() {
			continue
		}
		r := openFile(path, o)
		for i := range r.file.Tests {
			n := spoil(&r.file.Tests[i])
			want[r] = append(want[r], n)
			changed += n
		}
		runs = append(runs, r)
	}
	require.NoError(t, runCases(t.Context(), runs, o))
	for _, r := range runs {
		for i, got := range r.finish().Tests {
			require.Len(t, got.Errors, want[r][i], "%s: test %q", r.report.File, got.Name)
		}
	}
	t.Logf("%d expectations changed", changed)
	if !underRace {
		require.Greater(t, changed, 200)
	}
	require.NotZero(t, changed)
}

// spoil changes every expectation of c and returns how many there are.
func spoil(c *testCase) int {
	for i := range c.Exprs {
		e := &c.Exprs[i]
		if len(e.Expected) == 0 {
			e.Expected = []expectedSample{{Labels: "spoilt", Value: 1}}
		} else {
			e.Expected[len(e.Expected)-1].Value += 1e9
		}
	}
	for i := range c.Alerts {
		a := &c.Alerts[i]
		if len(a.Expected) == 0 {
			a.Expected = []expectedAlert{{}}
		} else {
			last := &a.Expected[len(a.Expected)-1]
			last.Annotations = map[string]string{"spoilt": "yes"}
		}
	}
	return len(c.Exprs) + len(c.Alerts)
}

// TestPromtoolsOwnFailures runs rule files of promtool's own test data that the corpus has without the tests that are
// meant to fail.
func TestPromtoolsOwnFailures(t *testing.T) {
	corpusFiles(t)
	data, err := filepath.Abs(filepath.Join(corpus, "promtool-testdata/cmd/promtool/testdata"))
	require.NoError(t, err)
	input := `
  - input_series:
      - {series: 'join_1{a="1",b="2"}', values: 1}
      - {series: 'join_2{a="1",b="3"}', values: 1}
      - {series: 'join_2{a="1",b="4"}', values: 1}
`
	f := run(t, "rule_files: ["+data+"/bad-rules-error.yml]\ntests:"+input, "", Options{})
	require.False(t, f.OK)
	require.Contains(t, complaints(f), "many-to-many matching not allowed")

	extra := "rule_files: [" + data + "/rules_extrafields.yml]\ntests: [{name: a}]\n"
	require.False(t, run(t, extra, "", Options{}).OK)
	require.Empty(t, complaints(run(t, extra, "", Options{IgnoreUnknownFields: true})))
}
