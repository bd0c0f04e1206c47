package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed assets
var assets embed.FS

// page renders the HTML. Nothing in it needs a script: reloading is the browser's, folding is <details>.
type page struct {
	status, graph *template.Template
	// style is the hash of the style sheet: its address changes when it does, so that it can be cached for good.
	style string
}

func newPage() (*page, error) {
	css, err := assets.ReadFile("assets/style.css")
	if err != nil {
		return nil, fmt.Errorf("web: embedded style sheet: %w", err)
	}
	sum := sha256.Sum256(css)
	p := &page{style: hex.EncodeToString(sum[:6])}
	if p.status, err = parsePage("status.html"); err != nil {
		return nil, err
	}
	if p.graph, err = parsePage("graph.html"); err != nil {
		return nil, err
	}
	return p, nil
}

func parsePage(name string) (*template.Template, error) {
	t, err := template.New("layout.html").Funcs(template.FuncMap{
		"figure": figure, "count": count, "took": took, "graph": graphURL, "plural": plural,
	}).ParseFS(assets, "assets/layout.html", "assets/"+name)
	if err != nil {
		return nil, fmt.Errorf("web: embedded page %s: %w", name, err)
	}
	return t, nil
}

// frame is what every page has around its content.
type frame struct {
	Title, Here string
	// Site is the instance's name.
	Site string
	// Icon is the favicon's state: "firing", "pending" or "quiet".
	Icon  string
	Style string
	// Refresh in seconds; zero does not.
	Refresh int
	Now     moment
	Version version
	Uptime  time.Duration
	Content any
}

// contentPolicy forbids scripts, frames, foreign resources and foreign form targets altogether. What an alert's label
// may contain is escaped by html/template; this is the second wall.
const contentPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// render writes the page, or nothing but an error: a template that fails must not leave half a page.
func (s *Server) render(w http.ResponseWriter, t *template.Template, f frame) {
	f.Style, f.Site, f.Version, f.Uptime = s.page.style, s.options.PageTitle, s.version(), s.uptime()
	f.Now = momentOf(s.options.Clock(), s.options.Clock())
	var b bytes.Buffer
	if err := t.Execute(&b, f); err != nil {
		s.options.Logger.Error("a page could not be rendered", "page", t.Name(), "err", err)
		http.Error(w, "tocsin failed to render this page; its log says why", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(b.Bytes()) // a client that went away has no use for the error
}

// serveAsset serves the style sheet and the icons.
func (p *page) serveAsset(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/assets/")
	kind := mime.TypeByExtension(path.Ext(name))
	content, err := assets.ReadFile("assets/" + name)
	if err != nil || path.Ext(name) == ".html" {
		notFound(w, r)
		return
	}
	switch path.Ext(name) {
	case ".css":
		kind = "text/css; charset=utf-8"
	case ".svg":
		kind = "image/svg+xml"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "public, max-age=86400")
	if r.URL.Query().Get("v") == p.style {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(content) // a client that went away has no use for the error
}
