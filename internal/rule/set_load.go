package rule

import "fmt"

// shownErrors is how many errors of one file Result.Err holds; FileStatus has all of them.
const shownErrors = 10

// load returns a file's new entry: v or readErr is what was found, old the entry so far (nil when the file is new), kept
// the cache of last good versions (nil for files in memory).
func (s *Set) load(path string, v version, readErr error, old *fileState, kept *cache) *fileState {
	e := &fileState{path: path}
	if old != nil {
		e.dialect, e.good, e.cached = old.dialect, old.good, old.cached
	}
	if readErr != nil {
		e.errs = []error{readErr}
		s.recall(e, kept)
		return e
	}
	e.hash = v.hash()
	if old != nil && old.hash == e.hash {
		e.errs = old.errs
		s.remember(e, v, kept)
		return e
	}
	dialect, f, errs := parseVersion(path, v, s.opts.Compiler)
	e.dialect, e.errs = dialect, errs
	switch {
	case len(errs) > 0:
		s.recall(e, kept)
	case e.good == nil || e.good.Hash != f.Hash:
		f.LoadedAt = s.opts.Now()
		e.good, e.cached = f, false
		s.opts.Logger.Info("Rule file loaded", "file", path, "dialect", string(dialect), "groups", len(f.Groups), "rules", f.RuleCount())
		for _, w := range f.Warnings {
			s.opts.Logger.Warn("Rule file: " + w)
		}
	default:
		s.opts.Logger.Info("Rule file is what it was before it broke", "file", path)
	}
	s.remember(e, v, kept)
	return e
}

// recall gives a broken file that has no version in force the last good one of an earlier process.
func (s *Set) recall(e *fileState, kept *cache) {
	if e.good != nil {
		return
	}
	v, ok, err := kept.get(e.path)
	if err != nil {
		s.opts.Logger.Warn("The last good version of a broken rule file could not be read", "file", e.path, "err", err)
	}
	if !ok {
		return
	}
	f, errs := ParseBoth(e.path, v.content, v.side, s.opts.Compiler)
	if len(errs) > 0 {
		s.opts.Logger.Warn("What was the last good version of a broken rule file is not good any more", "file", e.path, "err", errs[0])
		return
	}
	f.LoadedAt = s.opts.Now()
	e.good, e.cached = f, true
	s.opts.Logger.Warn("Rule file is broken; its last good version from before the restart is in force", "file", e.path,
		"groups", len(f.Groups), "rules", f.RuleCount())
}

// remember caches v where it is the version in force and is not cached yet.
func (s *Set) remember(e *fileState, v version, kept *cache) {
	if kept == nil || e.cached || len(e.errs) > 0 {
		return
	}
	if err := kept.put(e.path, v); err != nil {
		s.opts.Logger.Warn("A good rule file could not be cached; should it break before a restart, its rules are lost with it",
			"file", e.path, "err", err)
		return
	}
	e.cached = true
}

// warnMissing tells once of each literal path without a file. Prometheus says nothing of them, and does not fail.
func (s *Set) warnMissing(missing []string) {
	now := make(map[string]bool, len(missing))
	for _, path := range missing {
		now[path] = true
		if !s.missing[path] {
			s.opts.Logger.Warn("There is no such rule file; its rules are loaded as soon as there is", "file", path)
		}
	}
	s.missing = now
}

// few returns the first of a file's errors, and how many more there are.
func few(e *fileState) []error {
	if len(e.errs) <= shownErrors {
		return e.errs
	}
	more := fmt.Errorf("%s: and %d more errors", e.path, len(e.errs)-shownErrors)
	return append(e.errs[:shownErrors:shownErrors], more)
}

func texts(errs []error) []string {
	out := make([]string, 0, len(errs))
	for _, err := range errs {
		out = append(out, err.Error())
	}
	return out
}
