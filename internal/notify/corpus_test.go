package notify

import (
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/stretchr/testify/require"
)

func promLogger(testing.TB) *slog.Logger { return slog.New(slog.DiscardHandler) }

// TestCorpusApplies applies every Alertmanager configuration of the corpus to one running Notifier, one after the other.
func TestCorpusApplies(t *testing.T) {
	root := filepath.Join("..", "..", "..", "shared", "corpora", "amconfigs")
	if _, err := os.Stat(root); err != nil {
		t.Skipf("NOT TESTED: the corpus of configurations is not at %s", root)
	}
	// These name files that only their authors have, and that upstream reads when it builds the receivers.
	needsFiles := map[string]string{
		"alertmanager-repo/config__testdata__conf.rocketchat-default-token-file.yml": "/global_file",
	}
	n := start(t, Options{Logger: slog.New(slog.DiscardHandler)}, "")
	files := 0
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yml") {
			return err
		}
		files++
		rel, _ := filepath.Rel(root, path)
		t.Run(rel, func(t *testing.T) {
			cfg, err := amconfig.LoadFile(path)
			require.NoError(t, err)
			err = n.Apply(cfg)
			if reason, ok := needsFiles[rel]; ok {
				require.ErrorContains(t, err, reason, "listed as needing a file, but it applies: remove it from the list")
				t.Skipf("needs a file that is not here: %s", reason)
			}
			require.NoError(t, err)
		})
		return nil
	}))
	require.GreaterOrEqual(t, files, 70)
}

// TestAmtool walks Alertmanager's own command line tool through the API.
func TestAmtool(t *testing.T) {
	tool, err := exec.LookPath("amtool")
	if err != nil {
		t.Skip("NOT TESTED: amtool is not installed")
	}
	n := start(t, Options{Dir: t.TempDir()}, `
route: {receiver: hook, group_wait: 0s, routes: [{receiver: ops, matchers: [team="ops"]}]}
receivers: [{name: hook}, {name: ops}]
`)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/api/v2/", n.Handler())
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	run := func(args ...string) (string, error) {
		cmd := exec.Command(tool, append([]string{"--alertmanager.url=http://" + l.Addr().String()}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	amtool := func(args ...string) string {
		t.Helper()
		out, err := run(args...)
		require.NoError(t, err, "%v: %s", args, out)
		return out
	}
	amtool("alert", "add", "alertname=FromAmtool", "node=a", "--annotation=summary=hello")
	require.Contains(t, amtool("alert", "query", "node=a"), "FromAmtool")
	// The last line is the ID; a warning that versions differ may precede it.
	said := strings.Fields(amtool("silence", "add", "node=a", "--comment=c", "--author=me", "--duration=1h"))
	id := said[len(said)-1]
	require.Contains(t, amtool("silence", "query"), id)
	require.Contains(t, amtool("alert", "query", "--silenced", "node=a"), "FromAmtool")
	require.NotContains(t, amtool("alert", "query", "node=a"), "FromAmtool")
	amtool("silence", "expire", id)
	require.NotContains(t, amtool("silence", "query"), id)
	require.Contains(t, amtool("config", "show"), "group_wait: 0s")
	// This reads the running configuration strictly, defaults included, so an amtool that is older than the library here
	// knows too few fields. It is the same with Alertmanager itself.
	if out, err := run("config", "routes", "test", "team=ops"); err != nil && strings.Contains(out, "not found in type") {
		t.Log("NOT TESTED: `amtool config routes`: this amtool is too old for it: ", out)
	} else {
		require.NoError(t, err, out)
		require.Contains(t, out, "ops")
		require.Contains(t, amtool("config", "routes", "show"), "ops")
	}
	require.Contains(t, amtool("cluster", "show"), "disabled")
}
