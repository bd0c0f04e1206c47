package tocsin

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/tocsin/tocsin/internal/config"
	"github.com/tocsin/tocsin/internal/rule"
)

const (
	// settleFiles is how long the file system must be quiet before files are read: editors write in several steps.
	settleFiles = 200 * time.Millisecond
	// settleLimit is how long files are left unread at most where the file system is never quiet.
	settleLimit = 2 * time.Second
)

// appearance is what a file looked like at a moment; nil is a file that is not there.
type appearance struct{ info fs.FileInfo }

// appearanceOf follows links: what they lead to counts.
func appearanceOf(path string) appearance {
	info, err := os.Stat(path)
	if err != nil {
		return appearance{}
	}
	return appearance{info}
}

// same reports whether nothing about the file has changed. A file that was replaced is another one, even of the same
// size and time.
func (a appearance) same(b appearance) bool {
	if a.info == nil || b.info == nil {
		return a.info == nil && b.info == nil
	}
	return os.SameFile(a.info, b.info) && a.info.Size() == b.info.Size() && a.info.ModTime().Equal(b.info.ModTime()) &&
		a.info.Mode() == b.info.Mode()
}

// watched is what the files looked like at a moment, by path.
type watched struct {
	config, rules map[string]appearance
}

// look takes down the appearance of every file that cfg depends on.
func look(cfg *config.Config) watched {
	w := watched{config: map[string]appearance{}, rules: map[string]appearance{}}
	for _, f := range cfg.Files() {
		w.config[f] = appearanceOf(f)
	}
	for _, pattern := range cfg.Prometheus.RuleFiles {
		files, _ := filepath.Glob(pattern) // a bad pattern was refused at load
		for _, f := range files {
			w.rules[f] = appearanceOf(f)
			side := rule.SidePath(f) // which the pattern may not match
			w.rules[side] = appearanceOf(side)
		}
	}
	return w
}

func unchanged(a, b map[string]appearance) bool { return maps.EqualFunc(a, b, appearance.same) }

// since returns now with what was known before of the files that both have: a file that changed while it was being
// read is different from before at the next look, too, and is read again.
func (w watched) since(before watched) watched {
	for _, m := range []struct{ now, before map[string]appearance }{{w.config, before.config}, {w.rules, before.rules}} {
		for f := range m.now {
			if old, ok := m.before[f]; ok {
				m.now[f] = old
			}
		}
	}
	return w
}

// watch reloads when files differ from what was seen, until ctx ends. The file system's notices make it quick; looking
// again every so often makes it sure, since not every file system gives notices.
func (s *Server) watch(ctx context.Context, seen watched) {
	notices, err := fsnotify.NewWatcher()
	if err != nil {
		s.logger.Warn("The file system gives no notices of changes; files are looked at every now and then", "err", err)
		notices = &fsnotify.Watcher{}
	} else {
		defer notices.Close()
	}
	settled := time.NewTimer(0) // at once: files may have changed while history was opened
	defer settled.Stop()
	var first time.Time // when the notices that are settling began; zero while there are none
	for {
		poll, stopPoll := after(time.Duration(s.running().Tocsin.Rules.ReloadInterval))
		select {
		case <-ctx.Done():
			stopPoll()
			return
		case <-notices.Events:
			stopPoll()
			now := time.Now()
			if first.IsZero() {
				first = now
			}
			settled.Reset(min(settleFiles, settleLimit-now.Sub(first)))
			continue
		case err := <-notices.Errors:
			s.logger.Warn("Watching files", "err", err)
		case <-poll:
		case <-settled.C:
		}
		stopPoll()
		first = time.Time{}
		seen = s.reread(seen)
		if err == nil {
			s.follow(notices)
		}
	}
}

// after is time.After that can be stopped and that never comes for zero.
func after(d time.Duration) (<-chan time.Time, func()) {
	if d <= 0 {
		return nil, func() {}
	}
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}

// reread reloads what differs from what was seen and returns what is seen now.
func (s *Server) reread(seen watched) watched {
	now := look(s.running())
	switch {
	case !unchanged(now.config, seen.config):
		// Reload logs and counts its own outcome. A file that is broken is read again only when it changes.
		_ = s.Reload()
		return look(s.running()).since(now)
	case !unchanged(now.rules, seen.rules):
		s.reloadRules()
	}
	return now
}

// follow asks for notices of every directory that is watched and not followed yet, and of no other any more. One that
// went away and came back is not followed, and one that cannot be now is tried again the next time.
func (s *Server) follow(w *fsnotify.Watcher) {
	followed, wanted := w.WatchList(), directories(s.running())
	for _, dir := range wanted {
		if slices.Contains(followed, dir) {
			continue
		}
		if err := w.Add(dir); err != nil {
			s.logger.Debug("No notices for a directory", "dir", dir, "err", err)
		}
	}
	for _, dir := range followed {
		if !slices.Contains(wanted, dir) {
			_ = w.Remove(dir) // it may be gone by itself
		}
	}
}

// directories returns the directories of every file that cfg depends on and of every pattern, which may match a file
// some day. Directories, not files: a file that is replaced is another file. Where a file is a link, the directory of
// what it leads to is among them, too.
func directories(cfg *config.Config) []string {
	files := cfg.Files()
	patterns := slices.Concat(cfg.Prometheus.RuleFiles, cfg.ScrapeConfigFiles)
	if cfg.Alertmanager != nil {
		patterns = append(patterns, cfg.Alertmanager.Templates...)
	}
	for _, pattern := range patterns {
		matches, _ := filepath.Glob(pattern)
		files = append(files, matches...)
		if !strings.ContainsAny(filepath.Dir(pattern), `*?[\`) {
			files = append(files, pattern)
		}
	}
	var dirs []string
	for _, f := range files {
		dirs = append(dirs, filepath.Dir(f))
		if led, err := filepath.EvalSymlinks(f); err == nil {
			dirs = append(dirs, filepath.Dir(led))
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}
