package tocsin

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/tocsin/tocsin/internal/config"
)

// settleFiles is how long the file system must be quiet before files are read: editors write in several steps.
const settleFiles = 200 * time.Millisecond

// watched is what the files looked like at a moment: path to a fingerprint of size, time and identity.
type watched struct {
	config, rules map[string]string
}

// watch reloads when files change, until ctx ends. The file system's notices make it quick; looking again every so
// often makes it sure, since not every file system gives notices.
func (s *Server) watch(ctx context.Context) {
	notices, err := fsnotify.NewWatcher()
	if err != nil {
		s.logger.Warn("The file system gives no notices of changes; files are looked at every now and then", "err", err)
		notices = &fsnotify.Watcher{}
	} else {
		defer notices.Close()
	}
	var poll <-chan time.Time
	if interval := time.Duration(s.running().Tocsin.Rules.ReloadInterval); interval > 0 {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		poll = ticker.C
	}
	settled := time.NewTimer(0)
	defer settled.Stop()
	dirs := map[string]bool{}
	seen := look(s.running())
	for {
		select {
		case <-ctx.Done():
			return
		case <-notices.Events:
			settled.Reset(settleFiles)
			continue
		case err := <-notices.Errors:
			s.logger.Warn("Watching files", "err", err)
		case <-poll:
		case <-settled.C:
		}
		now := look(s.running())
		switch {
		case !maps.Equal(now.config, seen.config):
			// Reload logs and counts its own outcome.
			_ = s.Reload()
			now = look(s.running())
		case !maps.Equal(now.rules, seen.rules):
			s.reloadRules()
		}
		seen = now
		if err == nil {
			s.follow(notices, dirs, seen)
		}
	}
}

// follow asks for notices of every directory that a watched file lies in. Directories, not files: a file that is
// replaced is another file, and links of mounted configuration change above the file.
func (s *Server) follow(w *fsnotify.Watcher, dirs map[string]bool, seen watched) {
	want := map[string]bool{}
	for _, files := range []map[string]string{seen.config, seen.rules} {
		for f := range files {
			want[filepath.Dir(f)] = true
		}
	}
	for dir := range want {
		if !dirs[dir] {
			if err := w.Add(dir); err != nil {
				s.logger.Debug("No notices for a directory", "dir", dir, "err", err)
			}
			dirs[dir] = true
		}
	}
}

// look takes the fingerprints of everything that cfg depends on.
func look(cfg *config.Config) watched {
	w := watched{config: map[string]string{}, rules: map[string]string{}}
	for _, f := range cfg.Files() {
		w.config[f] = fingerprint(f)
	}
	for _, pattern := range cfg.Prometheus.RuleFiles {
		// A pattern stands for itself, so that its directory is followed while no file matches it.
		if !strings.ContainsAny(filepath.Dir(pattern), `*?[\`) {
			w.rules[pattern] = ""
		}
		files, _ := filepath.Glob(pattern) // a bad pattern was refused at load
		slices.Sort(files)
		for _, f := range files {
			w.rules[f] = fingerprint(f)
		}
	}
	return w
}

func fingerprint(path string) string {
	fi, err := os.Stat(path)
	if err != nil {
		return "missing"
	}
	return fmt.Sprintf("%d %d %s", fi.Size(), fi.ModTime().UnixNano(), fi.Mode())
}
