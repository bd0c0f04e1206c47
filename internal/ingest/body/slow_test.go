package body

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSlowBodyDeservesARetry holds a body back until the server's patience ends. A sender of remote write throws away
// what is answered with 4xx, and has done nothing wrong.
func TestSlowBodyDeservesARetry(t *testing.T) {
	t.Parallel()
	got := make(chan error, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := Read(r, 1000)
		got <- err
	}))
	server.Config.ReadTimeout = 20 * time.Millisecond
	server.Start()
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"))
	require.NoError(t, err)
	select {
	case err := <-got:
		requireStatus(t, err, http.StatusServiceUnavailable, "timeout")
	case <-time.After(30 * time.Second):
		t.Fatal("the body is still waited for")
	}
}
