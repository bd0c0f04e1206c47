package web

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/history"
)

// TestHistoryInTrouble takes history's directory away and puts it back.
func TestHistoryInTrouble(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tsdb")
	store, err := history.Open(history.Options{Dir: dir, Compiler: compiler()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	s := newServer(t, func(_ *Options, m *Tenant) { m.History = store })
	_, body := get(t, s, "/api/v1/status")
	require.Contains(t, body, `"history":{"healthy":true}`)

	write := func() error {
		app := store.Appender(t.Context())
		if _, err := app.Append(0, labels.FromStrings("__name__", "m"), time.Now().UnixMilli(), 1); err != nil {
			return err
		}
		return app.Commit()
	}
	require.NoError(t, write())
	require.NoError(t, os.Rename(dir, dir+".away"))
	require.Eventually(t, func() bool { return write() != nil }, 10*time.Second, 10*time.Millisecond)
	_, body = get(t, s, "/api/v1/status")
	require.Contains(t, body, `"history":{"healthy":false,"trouble":"cannot write samples to`)
	require.Contains(t, body, "the directory is gone")
	_, page := get(t, s, "/")
	wellFormed(t, page)
	require.Contains(t, page, "Samples are not stored as they should be")
	require.Contains(t, page, "the directory is gone")

	require.NoError(t, os.Rename(dir+".away", dir))
	require.Eventually(t, func() bool { return write() == nil }, 10*time.Second, 10*time.Millisecond)
	_, page = get(t, s, "/")
	require.NotContains(t, page, "Samples are not stored")
}
