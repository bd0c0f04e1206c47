package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// maxAnswer bounds an answer that is kept in memory; exports are not.
const maxAnswer = 256 << 20

// patience is how long an answer may take; exports may take any time.
const patience = time.Minute

// call is one request to a server's API.
type call struct {
	method, path string
	query        url.Values
	// body is sent as JSON; nil sends none.
	body any
}

// open sends the call and returns the answer's body, or what the server has against it.
func (f serverFlags) open(ctx context.Context, c call) (io.ReadCloser, error) {
	hc, u, err := f.client()
	if err != nil {
		return nil, err
	}
	u = u.JoinPath(c.path)
	u.RawQuery = c.query.Encode()
	var body io.Reader
	if c.body != nil {
		b, err := json.Marshal(c.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, c.method, u.String(), body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := hc.Do(r)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the rest is said here
		}
		return nil, fmt.Errorf("%s: %w; is tocsin running there? --url or TOCSIN_URL names another place", u.Redacted(), err)
	}
	if res.StatusCode/100 == 2 {
		return res.Body, nil
	}
	defer res.Body.Close()
	return nil, refusal(res)
}

// refusal says in the server's words why it did not answer.
func refusal(res *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("%s: %w", res.Status, err)
	}
	var e struct{ Error string }
	if json.Unmarshal(b, &e) == nil && e.Error != "" {
		return errors.New(plainText(e.Error))
	}
	return fmt.Errorf("%s: %s", res.Status, plainText(string(bytes.TrimSpace(b))))
}

// data sends the call and returns the data of the answer's envelope.
func (f serverFlags) data(ctx context.Context, c call) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	body, err := f.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var envelope struct {
		Status string
		Data   json.RawMessage
	}
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(&envelope); err != nil {
		return nil, fmt.Errorf("%s %s: the answer cannot be read: %w", c.method, c.path, err)
	}
	if envelope.Status != "success" {
		return nil, fmt.Errorf("%s %s: the answer is not one of tocsin's", c.method, c.path)
	}
	return envelope.Data, nil
}

// into sends the call, reads the data into v, and returns them as they came.
func (f serverFlags) into(ctx context.Context, c call, v any) (json.RawMessage, error) {
	raw, err := f.data(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return nil, fmt.Errorf("%s %s: the answer cannot be understood: %w", c.method, c.path, err)
	}
	return raw, nil
}

// parsePast reads a time, or how long ago it was.
func parsePast(text string, now time.Time) (time.Time, error) {
	if d, err := model.ParseDuration(text); err == nil && text != "0" {
		return now.Add(-time.Duration(d)), nil
	}
	t, err := parseTime(text, now)
	if err != nil {
		return t, fmt.Errorf("%q is neither a duration such as 24h, nor RFC 3339, nor Unix seconds", text)
	}
	return t, nil
}

// clockTime renders a moment for people, in their time zone.
func clockTime(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// alertText renders an alert by its name and its other labels.
func alertText(name string, ls labels.Labels) string {
	if name == "" {
		name = ls.Get(labels.AlertName)
	}
	rest := labels.NewBuilder(ls).Del(labels.AlertName).Labels()
	if rest.IsEmpty() {
		return plainText(name)
	}
	return plainText(name + " " + rest.String())
}

// plainText keeps what others wrote from breaking lines and tables or controlling the terminal.
func plainText(s string) string {
	out := []rune(s)
	for i, r := range out {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			out[i] = ' '
		}
	}
	return string(out)
}
