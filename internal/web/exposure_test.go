package web

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The bcrypt hash of "test", and a certificate authority that nothing is signed with.
const (
	users = "basic_auth_users:\n  admin: $2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay\n"
)

func webConfig(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "web.yml")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestCheckExposure(t *testing.T) {
	withUsers, without := webConfig(t, users), webConfig(t, "http_server_config: {http2: true}\n")
	for _, c := range []struct {
		listen, config, err string
	}{
		{listen: "127.0.0.1:9909"},
		{listen: "127.9.9.9:0"},
		{listen: "[::1]:9909"},
		{listen: "localhost:9909"},
		{listen: "LOCALHOST:9909"},
		{listen: "[::ffff:127.0.0.1]:1"},
		{listen: "127.0.0.1:9909", config: without},
		{listen: ":9909", err: "basic_auth_users"},
		{listen: "0.0.0.0:9909", err: "listen on 127.0.0.1"},
		{listen: "[::]:9909", err: "beyond loopback"},
		{listen: "10.1.2.3:9909", err: "beyond loopback"},
		{listen: "example.com:9909", err: "beyond loopback"},
		{listen: "localhost.example.com:9909", err: "beyond loopback"},
		{listen: "127.0.0.1.nip.io:9909", err: "beyond loopback"},
		{listen: "0.0.0.0:9909", config: without, err: "add basic_auth_users"},
		{listen: "0.0.0.0:9909", config: withUsers},
		{listen: "9909", err: "HOST:PORT"},
		{listen: "127.0.0.1:9909", config: webConfig(t, "basic_auth_userz: {}\n"), err: "basic_auth_userz"},
		{listen: "127.0.0.1:9909", config: webConfig(t, "basic_auth_users: {a: plain}\n"), err: "web configuration"},
		{listen: "0.0.0.0:9909", config: "/nonexistent/web.yml", err: "no such file"},
	} {
		t.Run(c.listen+"+"+filepath.Base(c.config), func(t *testing.T) {
			err := CheckExposure(c.listen, c.config)
			if c.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.err)
		})
	}
}

func TestClientCertificatesMustBeVerifiedToCount(t *testing.T) {
	pair := newCertificate(t)
	tls := func(auth string) string {
		return "tls_server_config:\n  cert_file: " + pair.cert + "\n  key_file: " + pair.key + "\n  client_auth_type: " + auth + "\n"
	}
	for auth, ok := range map[string]bool{
		"RequireAndVerifyClientCert\n  client_ca_file: " + pair.cert: true,
		"RequireAndVerifyClientCert":                                 false, // by the system's authorities: anybody's
		"RequireAnyClientCert":                                       false,
		"VerifyClientCertIfGiven\n  client_ca_file: " + pair.cert:    false,
		"NoClientCert": false,
	} {
		err := CheckExposure("0.0.0.0:9909", webConfig(t, tls(auth)))
		if ok {
			require.NoError(t, err, auth)
		} else {
			require.ErrorIs(t, err, ErrExposed, auth)
		}
	}
}

func TestListenSaysThatThePortIsTaken(t *testing.T) {
	first, err := Listen("127.0.0.1:0", "", 0)
	require.NoError(t, err)
	defer func() { require.NoError(t, first.Close()) }()
	require.NotZero(t, first.Addr().(*net.TCPAddr).Port)
	_, err = Listen(first.Addr().String(), "", 0)
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, first.Addr().String())
	require.NotContains(t, err.Error(), "\n")

	_, err = Listen("0.0.0.0:0", "", 0)
	require.ErrorIs(t, err, ErrExposed)
}

// TestAuthenticationCannotBeEditedAway: the toolkit reads its file for every request; a server that was allowed beyond
// loopback because of it must close when the users go.
func TestAuthenticationCannotBeEditedAway(t *testing.T) {
	config := webConfig(t, users)
	s := newServer(t, func(o *Options, _ *Tenant) { o.ListenAddress, o.WebConfigFile = "0.0.0.0:9909", config })
	code, _ := get(t, s, "/-/healthy")
	require.Equal(t, http.StatusOK, code, "the handler is behind the toolkit's check")

	h := s.Handler()
	require.NoError(t, os.WriteFile(config, []byte("http_server_config: {http2: true}\n"), 0o600))
	require.NoError(t, os.Chtimes(config, time.Now(), time.Now().Add(time.Minute)))
	w := recordedGet(h, "/-/healthy")
	require.Equal(t, http.StatusForbidden, w.Code)
	require.NoError(t, os.Remove(config))
	require.Equal(t, http.StatusForbidden, recordedGet(h, "/-/healthy").Code)
}

func TestServeAsksForThePassword(t *testing.T) {
	config := webConfig(t, users)
	s := newServer(t, func(o *Options, _ *Tenant) { o.WebConfigFile = config })
	base := serve(t, s, config)
	for password, want := range map[string]int{"": http.StatusUnauthorized, "wrong": http.StatusUnauthorized, "test": http.StatusOK} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/api/v1/query?query=1", nil)
		require.NoError(t, err)
		if password != "" {
			r.SetBasicAuth("admin", password)
		}
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		code, _ := read(t, answer)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, want, code, password)
	}
}

// TestServeRefusesAnExposedListener: whoever binds without Listen does not get around the check.
func TestServeRefusesAnExposedListener(t *testing.T) {
	s := newServer(t, nil)
	l, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	require.ErrorIs(t, s.Serve(l), ErrExposed)
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}
