package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestExplainAsks looks at what the command asks the server, and what it makes of the answer.
func TestExplainAsks(t *testing.T) {
	var asked url.Values
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "/prefix/api/v1/explain", r.URL.Path)
		asked = r.URL.Query()
		switch {
		case asked.Get("alert") == "Gone":
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"status":"error","errorType":"not_found","error":"no such alert"}`))
		case asked.Get("format") == "json":
			_, _ = w.Write([]byte(`{"status":"success","data":{"answer":"yes"}}`))
		default:
			_, _ = w.Write([]byte("It is so.\n"))
		}
	}))
	defer server.Close()
	for _, c := range []struct {
		args []string
		code int
		want string
		says string
	}{
		{[]string{"Load"}, exitOK, "alert=Load&format=text", "It is so."},
		{[]string{"Load", "a=b", `c!=d"`, "e=~f|g", "h!~i", "j=k=l"}, exitOK, `alert=Load&format=text&match[]={a="b",c!="d\"",e=~"f|g",h!~"i",j="k=l"}`, "It is so."},
		{[]string{"Load", "--why-not", "--at", "1773480000", "--file", "/r.yml", "--group", "g"}, exitOK, "file=/r.yml&format=text&group=g&rule=Load&time=2026-03-14T09:20:00Z", "It is so."},
		{[]string{`Load {a="b"}`}, exitOK, `alert=Load&format=text&match[]={a="b"}`, "It is so."},
		{[]string{`Load{a="b"}`, "--why-not"}, exitOK, `format=text&match[]={a="b"}&rule=Load`, "It is so."},
		{[]string{`Load{a="b"}`, "c=d"}, exitFailed, "", "a whole selector goes with no other"},
		{[]string{"Load", "--json"}, exitOK, "alert=Load&format=json", `"answer": "yes"`},
		{[]string{"Gone"}, exitFailed, "alert=Gone&format=text", "explain Gone: no such alert"},
		{[]string{"Load", "nonsense"}, exitFailed, "", `"nonsense": write LABEL=VALUE`},
		{[]string{"Load", "a=~("}, exitOK, `alert=Load&format=text&match[]={a=~"("}`, "It is so."},
		{[]string{"Load", "--at", "soon"}, exitFailed, "", "--at:"},
	} {
		asked = nil
		var out, errs bytes.Buffer
		code := realMain(append([]string{"explain", "--url", server.URL + "/prefix"}, c.args...), streams{out: &out, err: &errs})
		require.Equal(t, c.code, code, errs.String())
		want, err := url.QueryUnescape(asked.Encode())
		require.NoError(t, err)
		require.Equal(t, c.want, want)
		require.Contains(t, out.String()+errs.String(), c.says)
	}
}
