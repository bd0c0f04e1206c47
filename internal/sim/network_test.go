package sim_test

import (
	"bytes"
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/sim"
)

const notification = `{"version":"4","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"A"}}]}`

// On a Network, a receiver that hangs takes no time but the bubble's, and ends with the process that called it.
func TestNetworkInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &sim.Network{}
		l, err := n.Listen("hook.example:80")
		require.NoError(t, err)
		_, err = n.Listen("hook.example:80")
		require.Error(t, err)
		hook := sim.NewWebhookOn(l)
		caller := &sim.Caller{Network: n}
		transport := &http.Transport{DialContext: caller.Dial}
		client := &http.Client{Transport: transport, Timeout: time.Minute}
		post := func(host string) (*http.Response, error) {
			return client.Post("http://"+host+"/", "application/json", bytes.NewBufferString(notification))
		}

		resp, err := post("hook.example")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		resp.Body.Close()
		require.Len(t, hook.Alerts(), 1)
		_, err = post("nobody.example")
		require.ErrorContains(t, err, "refused")

		hook.Always(sim.Behaviour{Hang: true})
		began := time.Now()
		_, err = post("hook.example")
		require.Error(t, err)
		require.Equal(t, time.Minute, time.Since(began))

		n.Refuse("hook.example:80", true)
		transport.CloseIdleConnections()
		_, err = post("hook.example")
		require.ErrorContains(t, err, "refused")
		n.Refuse("hook.example:80", false)

		began = time.Now()
		time.AfterFunc(7*time.Second, caller.Kill)
		_, err = post("hook.example")
		require.Error(t, err)
		require.Equal(t, 7*time.Second, time.Since(began))
		_, err = caller.Dial(context.Background(), "tcp", "hook.example:80")
		require.ErrorContains(t, err, "dead")
		require.NoError(t, hook.Close())
	})
}
