package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestWithoutConfiguration is what a new user sees.
func TestWithoutConfiguration(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	require.Contains(t, s.get("/-/healthy", 200), "Healthy")
	require.Contains(t, s.get("/-/ready", 200), "Ready")

	// This host under node_exporter's names, and this process.
	for _, expr := range []string{"node_load1", "node_memory_MemAvailable_bytes", "tocsin_build_info", `up{job="node"}`, `up{job="tocsin"}`} {
		eventually(t, 45*time.Second, func() error {
			v, err := s.query(expr)
			if err == nil && len(v) != 1 {
				err = fmt.Errorf("%s: %v", expr, v)
			}
			return err
		})
	}
	// Built-in host rules, none of them broken.
	var rules struct {
		Data struct {
			Groups []struct {
				Name  string
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	eventually(t, 60*time.Second, func() error {
		require.NoError(t, json.Unmarshal([]byte(s.get("/api/v1/rules", 200)), &rules))
		n := 0
		for _, g := range rules.Data.Groups {
			for _, r := range g.Rules {
				n++
				if r.Health != "ok" {
					return fmt.Errorf("rule %s is %s %s", r.Name, r.Health, r.LastError)
				}
			}
		}
		if n < 10 {
			return fmt.Errorf("only %d built-in rules", n)
		}
		return nil
	})
	page := s.get("/", 200)
	require.NotContains(t, page, "<script")
	require.Contains(t, page, "node")

	code, out, errOut := tocsin(t, "drill", "--url", s.url, "--json")
	require.Equal(t, 0, code, errOut)
	var drill struct {
		Delivered bool
		TotalMS   float64 `json:"total_ms"`
		Legs      []struct {
			Leg string
			MS  float64
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &drill), out)
	require.True(t, drill.Delivered)
	require.Greater(t, drill.TotalMS, 0.0)
	require.Len(t, drill.Legs, 3)

	code, out, _ = tocsin(t, "query", "--url", s.url, `up{job="tocsin"} == 1`)
	require.Equal(t, 0, code)
	require.Contains(t, out, `job="tocsin"`)
	s.stop()
	require.Empty(t, alarming(s.log.String()), "a quiet host and no configuration give no errors")
}

// alarming returns the log lines of errors.
func alarming(log string) []string {
	var out []string
	for _, l := range lines(log) {
		if strings.Contains(l, "level=ERROR") {
			out = append(out, l)
		}
	}
	return out
}

func TestDrillWithoutServer(t *testing.T) {
	t.Parallel()
	code, out, _ := tocsin(t, "drill", "--url", "http://127.0.0.1:1", "--json", "--timeout", "2s")
	require.Equal(t, 1, code)
	require.Contains(t, out, `"delivered": false`)
}

func TestUsage(t *testing.T) {
	t.Parallel()
	code, out, _ := tocsin(t, "--help")
	require.Equal(t, 0, code)
	require.Contains(t, out, "tocsin drill")
	code, _, errOut := tocsin(t, "rnu")
	require.Equal(t, 2, code)
	require.Contains(t, errOut, "rnu")
	code, out, _ = tocsin(t, "version", "--json")
	require.Equal(t, 0, code)
	require.Contains(t, out, `"prometheus": "3.15.0"`)
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, out, _ = tocsin(t, "completion", shell)
		require.Equal(t, 0, code)
		require.Contains(t, out, "tocsin completion "+shell+" --list")
	}
	code, out, _ = tocsin(t, "completion", "bash", "--list", "--", "check")
	require.Equal(t, 0, code)
	require.Contains(t, out, "rules")
	code, out, _ = tocsin(t, "completion", "bash", "--list", "--", "run", "--log.level", "=")
	require.Equal(t, 0, code)
	require.Equal(t, "debug\ninfo\nwarn\nerror\n", out)
	code, _, errOut = tocsin(t, "query", "up", "--end", "5")
	require.Equal(t, 2, code)
	require.Contains(t, errOut, "--start")
}

// TestBashCompletion sources the script in a real bash.
func TestBashCompletion(t *testing.T) {
	t.Parallel()
	bash := program(t, "bash", "bash")
	script := `
export PATH="$(dirname "$1"):$PATH"
source <(tocsin completion bash)
complete() { shift; COMP_WORDS=(tocsin "$@"); COMP_CWORD=$#; COMPREPLY=(); _tocsin; echo "${COMPREPLY[*]}" | tr '\n' ' '; echo; }
complete - che; complete - check co; complete - run --log.level =; complete - run --log.level = d; complete - run --log.f
`
	code, out, errOut := runIn(t, "", bash, "-c", script, "bash", binary)
	require.Equal(t, 0, code, errOut)
	require.Equal(t, []string{"check ", "config ", "debug info warn error ", "debug ", "--log.format "}, strings.Split(strings.TrimSuffix(out, "\n"), "\n"), errOut)
}

// TestDrillBehindPassword has the drill pass TLS and basic authentication; its own webhook needs neither.
func TestDrillBehindPassword(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := certificate(t, dir)
	write(t, dir, "web.yml", fmt.Sprintf("tls_server_config: {cert_file: '%s', key_file: '%s'}\nbasic_auth_users: {u: '$2a$04$cgE/U9KK/ABfFlVwpr46xusGityEQIGvbzyoX7FPR3TX3pbYN6Bmi'}\n", cert, key))
	write(t, dir, "http.yml", fmt.Sprintf("tls_config: {ca_file: '%s'}\nbasic_auth: {username: u, password: pw}\n", cert))
	write(t, dir, "tocsin.yml", "tocsin: {web: {config_file: web.yml}, rules: {builtin: false}}\n")
	s := start(t, dir, "--config", "tocsin.yml")
	code, out, errOut := tocsin(t, "drill", "--url", s.url, "--http.config.file", filepath.Join(dir, "http.yml"), "--json")
	require.Equal(t, 0, code, out+errOut)
	require.Contains(t, out, `"delivered": true`)
	write(t, dir, "nobody.yml", fmt.Sprintf("tls_config: {ca_file: '%s'}\n", cert))
	code, _, errOut = tocsin(t, "drill", "--url", s.url, "--http.config.file", filepath.Join(dir, "nobody.yml"))
	require.Equal(t, 1, code)
	require.Contains(t, errOut, "401")
	s.stop()
}

// certificate makes a self-signed one for loopback and returns the files of it and its key.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	cert = write(t, dir, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	key = write(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	return cert, key
}
