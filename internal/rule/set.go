package rule

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin/tocsin/internal/plan"
)

// builtinPrefix begins the paths of files that are held in memory.
const builtinPrefix = "builtin:"

// SetOptions configures a Set. The zero value works, and forgets everything at the end of the process.
type SetOptions struct {
	// Compiler plans the rules' expressions; nil means one without options.
	Compiler *plan.Compiler
	// Logger is told what became of each file that changed; nil means nobody is.
	Logger *slog.Logger
	// Registerer takes the metrics; nil keeps them private.
	Registerer prometheus.Registerer
	// CacheDir is a directory of the Set's own, made if need be, in which the last good version of each file outlives the
	// process. Empty means that it does not.
	CacheDir string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

func (o SetOptions) withDefaults() SetOptions {
	if o.Compiler == nil {
		o.Compiler = plan.NewCompiler(plan.Options{})
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Set holds the rule files in force. For each it keeps the last good version while the newer one is broken. All methods
// may be called at the same time.
type Set struct {
	opts    SetOptions
	cache   *cache
	metrics *metrics

	// loading is held for a whole Load, and taken before mu.
	loading sync.Mutex
	// missing are the literal paths that were told of already. Guarded by loading.
	missing map[string]bool

	// mu guards files; the entries themselves never change.
	mu    sync.RWMutex
	files []*fileState
}

// fileState is one file as a Load found it. It is immutable.
type fileState struct {
	path    string
	dialect Dialect
	// hash is that of the content last seen, "" when it could not be read.
	hash string
	// errs is what is wrong with the content last seen.
	errs []error
	// good is the version in force, nil where there never was a good one.
	good *File
	// cached tells that the cache holds good.
	cached bool
}

// NewSet returns an empty Set. It fails where the cache directory cannot be made or a metric is registered already.
func NewSet(o SetOptions) (*Set, error) {
	o = o.withDefaults()
	c, err := openCache(o.CacheDir)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("rule file metrics: %w", err)
	}
	return &Set{opts: o, cache: c, metrics: m, missing: map[string]bool{}}, nil
}

// Groups returns the groups in force, in the order of the files.
func (s *Set) Groups() []*Group {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []*Group
	for _, e := range s.files {
		if e.good != nil {
			out = append(out, e.good.Groups...)
		}
	}
	return out
}

// FileStatus is what a person wants to know of one rule file.
type FileStatus struct {
	Path    string  `json:"path"`
	Dialect Dialect `json:"dialect,omitempty"`
	// Side is the path of the side file of the version in force, empty where there is none.
	Side string `json:"side,omitempty"`
	// OK tells that the file is good as it was last seen; Errors why it is not.
	OK     bool     `json:"ok"`
	Errors []string `json:"errors,omitempty"`
	// Warnings are those of the version in force.
	Warnings []string `json:"warnings,omitempty"`
	// Hash, LoadedAt, Groups and Rules are those of the version in force; zero where there is none.
	Hash     string    `json:"hash,omitempty"`
	LoadedAt time.Time `json:"loadedAt,omitzero"`
	Groups   int       `json:"groups"`
	Rules    int       `json:"rules"`
	// UsingLastGood tells that an older version is in force because the file is broken.
	UsingLastGood bool `json:"usingLastGood"`
}

// Files returns every file's status, in the order in which the patterns name them.
func (s *Set) Files() []FileStatus {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]FileStatus, 0, len(s.files))
	for _, e := range s.files {
		st := FileStatus{Path: e.path, Dialect: e.dialect, OK: len(e.errs) == 0, Errors: texts(e.errs)}
		if f := e.good; f != nil {
			st.Hash, st.LoadedAt, st.Groups, st.Rules = f.Hash, f.LoadedAt, len(f.Groups), f.RuleCount()
			st.Side = f.Side
			st.Warnings = slices.Clone(f.Warnings)
			st.UsingLastGood = !st.OK
		}
		out = append(out, st)
	}
	return out
}

// Result is what a Load did.
type Result struct {
	// Changed are the files whose rules in force are others than before: new, newer or gone.
	Changed []string
	// Broken are the files that are not good as they are now, whether or not an older version of them is in force.
	Broken []string
	errs   []error
}

// Err returns what is wrong with the broken files, nil when all are good.
func (r Result) Err() error { return errors.Join(r.errs...) }

// Load brings the Set up to date with the files that patterns name (as Prometheus's rule_files: filepath.Glob each) and
// with builtin, which maps names to the contents of files in memory; their paths are "builtin:" and the name. Side files
// belong to their rule files, whether or not patterns name them (see SidePath): a change of either is one of the rule file,
// and so is a fault. Only files whose content changed are parsed. A broken file keeps its last good version, or has no rules where there is none; a
// file that is gone takes its rules with it. Load always does as much as it can.
func (s *Set) Load(patterns []string, builtin map[string][]byte) Result {
	s.loading.Lock()
	defer s.loading.Unlock()
	paths, missing, errs := expand(patterns)
	s.warnMissing(missing)

	s.mu.RLock()
	before := make(map[string]*fileState, len(s.files))
	for _, e := range s.files {
		before[e.path] = e
	}
	s.mu.RUnlock()

	var files []*fileState
	for _, path := range paths {
		if base, ok := ruleFileOf(path); ok {
			if !slices.Contains(paths, base) {
				err := fmt.Errorf("is the side file of %s, which is not among the rule files", base)
				files = append(files, s.load(path, version{}, &Error{File: path, Err: err}, before[path], nil))
			}
			continue // It is read with its rule file.
		}
		v, err := readVersion(path, false)
		if errors.Is(err, errVanished) {
			continue
		}
		files = append(files, s.load(path, v, err, before[path], s.cache))
	}
	for _, name := range slices.Sorted(maps.Keys(builtin)) {
		path := builtinPrefix + name
		files = append(files, s.load(path, version{content: builtin[name]}, nil, before[path], nil))
	}
	s.mu.Lock()
	s.files = files
	s.mu.Unlock()
	return s.report(before, files, errs)
}

// report compares, counts and cleans up.
func (s *Set) report(before map[string]*fileState, files []*fileState, errs []error) Result {
	r := Result{errs: errs}
	paths := make([]string, 0, len(files))
	for _, e := range files {
		paths = append(paths, e.path)
		old := before[e.path]
		delete(before, e.path)
		if hashInForce(old) != hashInForce(e) {
			r.Changed = append(r.Changed, e.path)
		}
		if len(e.errs) > 0 {
			r.Broken = append(r.Broken, e.path)
			r.errs = append(r.errs, few(e)...)
		}
		s.metrics.show(e)
	}
	for _, gone := range slices.Sorted(maps.Keys(before)) {
		r.Changed = append(r.Changed, gone)
		s.metrics.forget(gone)
		s.opts.Logger.Info("Rule file is gone, and its rules with it", "file", gone)
	}
	s.metrics.files.Set(float64(len(files)))
	s.metrics.count(len(r.errs) == 0)
	if err := s.cache.keep(paths); err != nil {
		s.opts.Logger.Warn("The cache of last good rule files could not be cleaned up", "err", err)
	}
	return r
}

func hashInForce(e *fileState) string {
	if e == nil || e.good == nil {
		return ""
	}
	return e.good.Hash
}
