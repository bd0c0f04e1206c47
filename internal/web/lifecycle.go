package web

import (
	"fmt"
	"net/http"
	"runtime"
)

func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "tocsin is Healthy.")
}

func (s *Server) readiness(w http.ResponseWriter, _ *http.Request) {
	if s.isReady(w) {
		fmt.Fprintln(w, "tocsin is Ready.")
	}
}

// lifecycle admits POST and PUT only.
func lifecycle(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost && r.Method != http.MethodPut {
			w.Header().Set("Allow", "POST, PUT")
			http.Error(w, "Only POST or PUT requests allowed", http.StatusMethodNotAllowed)
			return
		}
		h(w, r)
	})
}

// serveReload applies the configuration again, one reload at a time.
func (s *Server) serveReload(w http.ResponseWriter, _ *http.Request) {
	if s.options.Reload == nil {
		http.Error(w, "there is no configuration to reload", http.StatusNotImplemented)
		return
	}
	s.reload.Lock()
	defer s.reload.Unlock()
	if err := s.options.Reload(); err != nil {
		http.Error(w, fmt.Sprintf("failed to reload config: %s", err), http.StatusInternalServerError)
	}
}

func (s *Server) serveQuit(w http.ResponseWriter, _ *http.Request) {
	if !s.options.EnableQuit {
		http.Error(w, "Lifecycle API is not enabled.", http.StatusForbidden)
		return
	}
	fmt.Fprintln(w, "Requesting termination... Goodbye!")
	s.options.Quit()
}

// serveVersion is GET /version: tocsin's own build.
func (s *Server) serveVersion(w http.ResponseWriter, _ *http.Request) {
	plainJSON(w, s.version())
}

// version is what /version and /api/v1/status say of the build.
type version struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	// Branch, User and Date are the build's.
	Branch    string `json:"branch,omitempty"`
	BuildUser string `json:"build_user,omitempty"`
	BuildDate string `json:"build_date,omitempty"`
	GoVersion string `json:"go_version"`
	// Prometheus is the release whose API is served.
	Prometheus string `json:"prometheus_api"`
}

func (s *Server) version() version {
	b := s.options.Build
	return version{
		Version: b.Version, Revision: b.Revision, Branch: b.Branch, BuildUser: b.User, BuildDate: b.Date,
		GoVersion: runtime.Version(), Prometheus: CompatibleVersion,
	}
}
