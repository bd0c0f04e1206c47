package sim

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/require"
)

// within returns a context that ends the test's patience.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func post(ctx context.Context, url, body string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

const notification = `{"version":"4","groupKey":"{}:{}","status":"firing","receiver":"r",
	"alerts":[{"status":"firing","labels":{"alertname":"A"},"startsAt":"2024-01-01T00:00:00Z","fingerprint":"f"}]}`

func TestWebhookRecordsAndDecodes(t *testing.T) {
	h, err := NewWebhook()
	require.NoError(t, err)
	defer h.Close()
	ctx := within(t, 10*time.Second)

	h.Script(Behaviour{Status: 503, Body: "later"}, Behaviour{Drop: true})
	status, body, err := post(ctx, h.URL(), notification)
	require.NoError(t, err)
	require.Equal(t, 503, status)
	require.Equal(t, "later", body)
	_, _, err = post(ctx, h.URL(), notification)
	require.Error(t, err, "the second request must be left without an answer")
	status, _, err = post(ctx, h.URL(), notification)
	require.NoError(t, err)
	require.Equal(t, 200, status)
	_, _, err = post(ctx, h.URL(), `{"version":"3"}`)
	require.NoError(t, err)

	all, err := h.Wait(ctx, 4)
	require.NoError(t, err)
	require.Len(t, all, 4)
	require.Equal(t, []int{503, 0, 200, 200}, []int{all[0].Status, all[1].Status, all[2].Status, all[3].Status})
	require.NoError(t, all[0].Err)
	require.Equal(t, "A", all[0].Message.Alerts[0].Labels["alertname"])
	require.ErrorContains(t, all[3].Err, "version")
	require.Len(t, h.Alerts(), 1, "alerts of refused requests do not count")
	h.Forget()
	require.Empty(t, h.Requests())
}

func TestWebhookDelaysAndHangs(t *testing.T) {
	h, err := NewWebhook()
	require.NoError(t, err)
	h.Script(Behaviour{Delay: 50 * time.Millisecond, Status: 202})
	h.Always(Behaviour{Hang: true})

	began := time.Now()
	status, _, err := post(within(t, 10*time.Second), h.URL(), notification)
	require.NoError(t, err)
	require.Equal(t, 202, status)
	require.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)

	answered := make(chan error, 1)
	go func() {
		_, _, err := post(context.Background(), h.URL(), notification)
		answered <- err
	}()
	_, err = h.Wait(within(t, 10*time.Second), 2)
	require.NoError(t, err)
	require.NoError(t, h.Close(), "a hanging request must not hold up Close")
	require.Error(t, <-answered)
	require.NoError(t, h.Close(), "closing twice is allowed")
}

func TestWaitSaysHowFarItGot(t *testing.T) {
	h, err := NewWebhook()
	require.NoError(t, err)
	defer h.Close()
	_, err = h.Wait(within(t, 10*time.Millisecond), 1)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "got 0 of 1")
}

func TestSlack(t *testing.T) {
	k, err := NewSlack()
	require.NoError(t, err)
	defer k.Close()
	ctx := within(t, 10*time.Second)

	status, body, err := post(ctx, k.URL(), `{"channel":"#ops","attachments":[{"title":"A is firing","color":"danger"}]}`)
	require.NoError(t, err)
	require.Equal(t, 200, status)
	require.Equal(t, "ok", body)
	_, body, err = post(ctx, k.APIURL(), `{"channel":"#ops","text":"hello"}`)
	require.NoError(t, err)
	require.True(t, json.Valid([]byte(body)))
	require.Contains(t, body, `"ok":true`)
	status, body, err = post(ctx, k.URL(), `{"channel":"#ops"}`)
	require.NoError(t, err)
	require.Equal(t, 400, status)
	require.Equal(t, "invalid_payload", body)

	all, err := k.Wait(ctx, 3)
	require.NoError(t, err)
	require.Equal(t, "A is firing", all[0].Message.Attachments[0].Title)
	require.Equal(t, "hello", all[1].Message.Text)
	require.Error(t, all[2].Err)
}

// loginAuth is AUTH LOGIN, which net/smtp does not have.
type loginAuth struct{ user, password string }

func (a loginAuth) Start(*smtp.ServerInfo) (string, []byte, error) { return "LOGIN", nil, nil }

func (a loginAuth) Next(prompt []byte, more bool) ([]byte, error) {
	switch {
	case !more:
		return nil, nil
	case string(prompt) == "Username:":
		return []byte(a.user), nil
	case string(prompt) == "Password:":
		return []byte(a.password), nil
	}
	return nil, fmt.Errorf("unexpected prompt %q", prompt)
}

// send sends a mail as a client does that insists on what is given.
func send(s *SMTP, secure bool, auth smtp.Auth, data string) error {
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		return err
	}
	c, err := smtp.NewClient(conn, "127.0.0.1")
	if err != nil {
		return err
	}
	defer c.Close()
	if secure {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(s.RootPEM())
		if err := c.StartTLS(&tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}); err != nil {
			return err
		}
	}
	if auth != nil {
		if err := c.Auth(auth); err != nil {
			return err
		}
	}
	if err := c.Mail("from@example.org"); err != nil {
		return err
	}
	for _, to := range []string{"a@example.org", "b@example.org"} {
		if err := c.Rcpt(to); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, data); err != nil {
		return err
	}
	return errors.Join(w.Close(), c.Quit())
}

const letter = "Subject: =?utf-8?q?f=C3=BCnf?=\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n" +
	"--x\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=3Db\r\n" +
	"--x\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+\r\n--x--\r\n"

func TestSMTPTakesMailOverTLSWithAuth(t *testing.T) {
	s, err := NewSMTP(SMTPOptions{Username: "u", Password: "p", RequireTLS: true})
	require.NoError(t, err)
	defer s.Close()
	plain := smtp.PlainAuth("", "u", "p", "127.0.0.1")

	require.ErrorContains(t, send(s, false, nil, letter), "STARTTLS")
	require.ErrorContains(t, send(s, true, nil, letter), "authentication required")
	require.ErrorContains(t, send(s, true, smtp.PlainAuth("", "u", "wrong", "127.0.0.1"), letter), "535")
	require.ErrorContains(t, send(s, true, loginAuth{"u", "wrong"}, letter), "535")
	require.NoError(t, send(s, true, plain, letter))
	require.NoError(t, send(s, true, loginAuth{"u", "p"}, "Subject: two\r\n\r\n.dot\r\n"))

	mails, err := s.Wait(within(t, 10*time.Second), 2)
	require.NoError(t, err)
	require.Len(t, mails, 2)
	m := mails[0]
	require.True(t, m.TLS)
	require.Equal(t, "u", m.User)
	require.Equal(t, "from@example.org", m.From)
	require.Equal(t, []string{"a@example.org", "b@example.org"}, m.To)
	require.Equal(t, "fünf", m.Subject())
	parts, err := m.Parts()
	require.NoError(t, err)
	require.Equal(t, map[string]string{"text/plain": "a=b", "text/html": "<b>"}, parts)
	require.Equal(t, "Subject: two\n\n.dot\n", string(mails[1].Data))
}

func TestSMTPRejectsOnCommand(t *testing.T) {
	s, err := NewSMTP(SMTPOptions{NoTLS: true})
	require.NoError(t, err)
	s.Reject("451 4.3.0 try later")
	require.ErrorContains(t, send(s, false, nil, letter), "451")
	require.Empty(t, s.Mails())
	require.NoError(t, send(s, false, nil, letter))
	require.Len(t, s.Mails(), 1)

	conn, err := net.Dial("tcp", s.Addr())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, s.Close(), "an idle client must not hold up Close")
	require.NoError(t, s.Close())
}

func FuzzSMTPSession(f *testing.F) {
	f.Add([]byte("EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n"))
	f.Add([]byte("AUTH PLAIN AAAA\r\nAUTH LOGIN\r\n=\r\n\r\nMAIL FROM:\r\nRCPT TO:<\r\n"))
	f.Add([]byte("STARTTLS\r\n\x16\x03\x01"))
	f.Fuzz(func(t *testing.T, in []byte) {
		client, peer := net.Pipe()
		s := &SMTP{mails: newLog[Mail](), tls: &tls.Config{}}
		if len(in)%2 == 1 {
			s.options = SMTPOptions{Username: "u", Password: "p"}
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer peer.Close()
			newSMTPSession(s, peer).run()
		}()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		_ = client.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = client.Write(in)
		_ = client.Close()
		<-done
		for _, m := range s.mails.all() {
			_ = m.Subject()
			_, _ = m.Parts()
		}
	})
}

const metrics = "# HELP jobs_total Jobs.\n# TYPE jobs_total counter\njobs_total{kind=\"a\"} 3\n# TYPE temperature gauge\ntemperature 21.5\n"

func scrape(ctx context.Context, t *testing.T, url, accept string) (expfmt.Format, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 200, resp.StatusCode)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return expfmt.ResponseFormat(resp.Header), b
}

func TestTargetNegotiates(t *testing.T) {
	target, err := NewTarget()
	require.NoError(t, err)
	defer target.Close()
	ctx := within(t, 10*time.Second)
	require.Error(t, target.Set("no metrics{"))
	require.NoError(t, target.Set(metrics))

	_, text := scrape(ctx, t, target.URL(), "")
	require.Equal(t, metrics, string(text))

	_, open := scrape(ctx, t, target.URL(), "application/openmetrics-text;version=1.0.0")
	require.Contains(t, string(open), "# TYPE jobs counter\njobs_total{kind=\"a\"} 3.0\n")
	require.True(t, strings.HasSuffix(string(open), "# EOF\n"))

	format, delimited := scrape(ctx, t, target.URL(),
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"+
			"application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
	require.Equal(t, expfmt.TypeProtoDelim, format.FormatType())
	d := expfmt.NewDecoder(bytes.NewReader(delimited), format)
	var f dto.MetricFamily
	require.NoError(t, d.Decode(&f))
	require.Equal(t, "jobs_total", f.GetName())
	require.InDelta(t, 3, f.Metric[0].Counter.GetValue(), 0)

	all, err := target.Wait(ctx, 3)
	require.NoError(t, err)
	require.Contains(t, all[1].ContentType, "openmetrics")
	require.Equal(t, target.URL(), "http://"+target.Addr()+"/metrics")
}

func TestTargetRawAndTrouble(t *testing.T) {
	target, err := NewTarget()
	require.NoError(t, err)
	defer target.Close()
	ctx := within(t, 10*time.Second)
	target.SetRaw("text/plain", []byte("a 1\n"))
	_, b := scrape(ctx, t, target.URL(), "application/openmetrics-text;version=1.0.0")
	require.Equal(t, "a 1\n", string(b))

	target.Script(Behaviour{Status: 500, Body: "broken"})
	resp, err := http.Get(target.URL())
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 500, resp.StatusCode)
	resp, err = http.Get(target.url + "/other")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 404, resp.StatusCode)
}
