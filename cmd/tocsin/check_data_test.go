package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin"
	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/plan"
)

// TestCheckData checks a data directory that is in use, and then damages one part after the other.
func TestCheckData(t *testing.T) {
	data := t.TempDir()
	code, _, errOut := checked("check", "data", data)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "no data directory")
	home := filepath.Join(data, "tenants", "default")
	require.NoError(t, os.MkdirAll(home, 0o700))
	code, out, _ := checked("check", "data", data)
	require.Zero(t, code, out)
	require.Contains(t, out, "nothing is kept yet")

	l, err := ledger.Open(ledger.Options{Dir: filepath.Join(home, "ledger")})
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	store, err := history.Open(history.Options{Dir: filepath.Join(home, "tsdb"), Compiler: plan.NewCompiler(plan.Options{}), RetentionTime: -1})
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	require.NoError(t, l.Record([]ledger.Entry{change(alert.Inactive, alert.Firing, 0, 1)}, nil, nil))
	_, err = l.Enqueue(ledger.Notification{Key: "k", NextAt: time.Now()})
	require.NoError(t, err)
	code, out, errOut = checked("check", "data", data)
	require.Zero(t, code, out+errOut)
	require.Contains(t, out, "1 transitions, 0 deliveries, 0 alerts' state, 1 notifications waiting")

	write := func(content string, path ...string) {
		t.Helper()
		file := filepath.Join(append([]string{home}, path...)...)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	}
	write("groups: []\n", "rules", "good.rules")
	write("groups: 3\n", "rules", "bad.rules")
	write("junk", "push", "bad.group")
	write("\xff\xff\xff\xff\xff\x0fjunk", "notify", "silences")
	write("", "notify", "nflog")
	write("{}", "tsdb", "01HZZZZZZZZZZZZZZZZZZZZZZZ", "meta.json")
	code, out, _ = checked("check", "data", "--json", data)
	require.Equal(t, exitFailed, code)
	var r tocsin.DataReport
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.False(t, r.OK)
	require.Equal(t, "default", r.Tenants[0].Tenant)
	wrong := map[string]int{}
	for _, p := range r.Tenants[0].Parts {
		wrong[p.Part] = len(p.Problems)
		for _, problem := range p.Problems {
			require.NotEmpty(t, problem.What)
			require.NotEmpty(t, problem.Repair)
		}
	}
	require.Equal(t, map[string]int{"ledger": 0, "tsdb": 1, "push": 1, "notify": 1, "rules": 1}, wrong)
	require.Equal(t, 1, r.Tenants[0].Parts[0].Ledger.Waiting)
	code, out, _ = checked("check", "data", data)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "a repair would move the file aside")
	require.FileExists(t, filepath.Join(home, "push", "bad.group"), "a check changes nothing")
}
