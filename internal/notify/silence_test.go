package notify

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func silenceBody(id, name, value string, length time.Duration) string {
	now := time.Now().UTC()
	return fmt.Sprintf(`{"id":%q,"matchers":[{"name":%q,"value":%q,"isRegex":false,"isEqual":true}],
"startsAt":%q,"endsAt":%q,"createdBy":"me","comment":"test"}`,
		id, name, value, now.Format(time.RFC3339Nano), now.Add(length).Format(time.RFC3339Nano))
}

func addSilence(t testing.TB, n *Notifier, name, value string) string {
	t.Helper()
	code, body := call(t, n.Handler(), "POST", "/api/v2/silences", silenceBody("", name, value, time.Hour))
	require.Equal(t, 200, code, body)
	var got struct {
		SilenceID string `json:"silenceID"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	require.NotEmpty(t, got.SilenceID)
	return got.SilenceID
}

// crash starts a Notifier on what the disk holds at this moment, as after kill -9.
func crash(t testing.TB, dir, config string) *Notifier {
	t.Helper()
	copied := t.TempDir()
	require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
	return start(t, Options{Dir: copied}, config)
}

func TestSilenceHoldsAndSurvivesACrash(t *testing.T) {
	dir := t.TempDir()
	h := newHook(t)
	n := start(t, Options{Dir: dir}, simple(h.URL, ""))
	id := addSilence(t, n, "team", "db")
	send(n, firing("A", "team", "db"), firing("B", "team", "web"))
	eventually(t, "the other one", func() bool { return h.count("firing", "team", "web") == 1 })
	require.Zero(t, h.count("firing", "team", "db"))
	_, body := call(t, n.Handler(), "GET", "/api/v2/alerts?filter=team%3D%22db%22", "")
	require.Contains(t, body, fmt.Sprintf(`"silencedBy":[%q]`, id))

	again := crash(t, dir, simple(h.URL, ""))
	_, body = call(t, again.Handler(), "GET", "/api/v2/silence/"+id, "")
	require.Contains(t, body, `"state":"active"`)
	send(again, firing("A", "team", "db"), firing("C", "team", "ops"))
	eventually(t, "after the crash, the other one", func() bool { return h.count("firing", "team", "ops") == 1 })
	require.Zero(t, h.count("firing", "team", "db"))

	// Ending and replacing are changes too.
	code, _ := call(t, again.Handler(), "DELETE", "/api/v2/silence/"+id, "")
	require.Equal(t, 200, code)
	third := crash(t, again.opts.Dir, simple(h.URL, ""))
	_, body = call(t, third.Handler(), "GET", "/api/v2/silence/"+id, "")
	require.Contains(t, body, `"state":"expired"`)
	code, _ = call(t, third.Handler(), "DELETE", "/api/v2/silence/2b8b2e0c-6a0d-4d0b-8a51-0a3f7a0f0e11", "")
	require.Equal(t, 404, code)
	code, body = call(t, third.Handler(), "POST", "/api/v2/silences", silenceBody("", "team", "db", -time.Hour))
	require.Equal(t, 400, code, body)
}

func TestManySilencesAtOnceAreAllOnDisk(t *testing.T) {
	dir := t.TempDir()
	n := start(t, Options{Dir: dir}, "")
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() { addSilence(t, n, "i", fmt.Sprint(i)) })
	}
	wg.Wait()
	again := crash(t, dir, "")
	_, body := call(t, again.Handler(), "GET", "/api/v2/silences", "")
	var got []any
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	require.Len(t, got, 40)
}

func TestSilenceThatCannotBeSavedSaysSo(t *testing.T) {
	dir := t.TempDir()
	reg := prometheus.NewRegistry()
	n := start(t, Options{Dir: dir, Registerer: reg}, "")
	// A directory in the way of the temporary file: what root cannot write either.
	require.NoError(t, os.Mkdir(filepath.Join(dir, "silences.tmp"), 0o700))
	code, body := call(t, n.Handler(), "POST", "/api/v2/silences", silenceBody("", "a", "b", time.Hour))
	require.Equal(t, 500, code)
	require.Contains(t, body, "until the next restart only")
	require.Equal(t, 1.0, metric(t, reg, "tocsin_notify_snapshot_failures_total", "file=silences"))
	require.NoError(t, os.Remove(filepath.Join(dir, "silences.tmp")))
	addSilence(t, n, "c", "d") // saves the one before as well
	again := crash(t, dir, "")
	_, body = call(t, again.Handler(), "GET", "/api/v2/silences", "")
	require.Contains(t, body, `"value":"b"`)
}

func TestRestartDoesNotRepeatNotifications(t *testing.T) {
	for _, how := range []string{"crash", "stop"} {
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir()
			h := newHook(t)
			n := start(t, Options{Dir: dir, SnapshotDelay: time.Millisecond}, simple(h.URL, ""))
			a := firing("A", "i", "1")
			send(n, a)
			eventually(t, "delivered", func() bool { return h.count("firing", "i", "1") == 1 })
			if how == "stop" {
				n.Stop()
			} else {
				eventually(t, "on disk", func() bool {
					info, err := os.Stat(filepath.Join(dir, nflogFile))
					return err == nil && info.Size() > 0 && !n.nflogFile.dirty()
				})
			}
			again := crash(t, dir, simple(h.URL, ""))
			send(again, a, firing("A", "i", "2"))
			eventually(t, "a new one", func() bool { return h.count("firing", "i", "2") == 1 })
			time.Sleep(1200 * time.Millisecond) // one group_interval
			require.Equal(t, 1, h.count("firing", "i", "1"), "told again after a restart")
		})
	}
}

// A notification log that could not be written is written when it can be, though nothing changes any more.
func TestNotificationLogIsWrittenAgain(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		require.NoError(t, os.Mkdir(filepath.Join(dir, nflogFile+".tmp"), 0o700)) // In the way, as a full disk is.
		reg := prometheus.NewRegistry()
		n := start(t, Options{Dir: dir, Registerer: reg, Logger: slog.New(slog.DiscardHandler)}, "")
		require.NoError(t, n.told.Log(laneKey{target: target{"r", "webhook", 0}}.receiver(), "g", []uint64{1}, nil, nil, time.Hour))
		time.Sleep(time.Minute)
		require.Positive(t, metric(t, reg, "tocsin_notify_snapshot_failures_total", "file=nflog"))
		require.NoError(t, os.Remove(filepath.Join(dir, nflogFile+".tmp")))
		time.Sleep(time.Minute)
		require.FileExists(t, filepath.Join(dir, nflogFile))
		n.Stop()
	})
}

func TestDamagedFilesAreNamed(t *testing.T) {
	for _, name := range []string{silencesFile, nflogFile} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("\x7fnot a snapshot"), 0o600))
		_, err := New(Options{Dir: dir})
		require.ErrorContains(t, err, filepath.Join(dir, name))
		require.ErrorContains(t, err, "move it away")
	}
}
