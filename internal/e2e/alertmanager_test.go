package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAlertmanagerElsewhere sends alerts to a real Alertmanager of the `alerting:` section, with external labels and
// relabelling, beside the pipeline here.
func TestAlertmanagerElsewhere(t *testing.T) {
	t.Parallel()
	alertmanager := program(t, "prometheus-alertmanager", "prometheus-alertmanager")
	dir := t.TempDir()
	port := freePort(t)
	write(t, dir, "elsewhere.yml", "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
	cmd := exec.Command(alertmanager, "--config.file", filepath.Join(dir, "elsewhere.yml"), "--storage.path", filepath.Join(dir, "am"),
		"--web.listen-address", "127.0.0.1:"+port, "--cluster.listen-address", "")
	background(t, cmd)
	r := newReceivers(t, dir)
	write(t, dir, "rules.yml", fastRules)
	write(t, dir, "tocsin.yml", strings.Replace(plainConfig, "evaluation_interval: 1s}",
		"evaluation_interval: 1s, external_labels: {region: north, replica: a}}", 1)+fmt.Sprintf(`
alerting:
  alert_relabel_configs: [{regex: replica, action: labeldrop}]
  alertmanagers: [{static_configs: [{targets: ['127.0.0.1:%s']}]}]
`, port))
	s := start(t, dir, "--config", "tocsin.yml")
	eventually(t, 20*time.Second, func() error {
		if body := s.get("/api/v1/alertmanagers", 200); !strings.Contains(body, port) {
			return fmt.Errorf("not discovered yet: %s", body)
		}
		return nil
	})
	code, body := remoteWriteV1(t, s, 50, "__name__", "temperature", "instance", "i", "job", "kiln")
	require.Equal(t, 204, code, body)
	eventually(t, 30*time.Second, func() error {
		resp, err := http.Get("http://127.0.0.1:" + port + "/api/v2/alerts")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		if got := string(b); !strings.Contains(got, "TooHot") || !strings.Contains(got, `"region":"north"`) || strings.Contains(got, "replica") {
			return fmt.Errorf("the Alertmanager knows %s", got)
		}
		return nil
	})
	r.wantAlert(t, "firing", "TooHot")
	s.stop()
}
