package tocsin_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tocsin/tocsin"

// floors lists every room, lowest floor first. A package may use rooms of lower floors, and of its own floor where
// sameFloor says so. A package that stands in no floor fails the test: a new room is entered here on purpose.
var floors = []struct {
	name  string
	rooms []string
}{
	{"ground", []string{
		"internal/column", "internal/kernel", "internal/pace", "internal/rangefunc", "internal/series", "internal/tenant", "internal/threshold",
		"internal/wheel",
	}},
	{"lower", []string{
		"internal/plan", "internal/window", "internal/exec", "internal/history",
		"internal/jit", "internal/jit/amd64", "internal/jit/arm64", "internal/jit/native",
	}},
	{"middle", []string{"internal/rule", "internal/alert", "internal/engine", "internal/explain", "internal/ledger", "internal/notify", "internal/notify/clients"}},
	{"upper", []string{
		"internal/bench", "internal/bench/chart", "internal/bench/cold", "internal/bench/loops", "internal/config", "internal/console", "internal/drill", "internal/ruletest", "internal/web",
		"internal/ingest/body", "internal/ingest/host", "internal/ingest/otlp", "internal/ingest/push",
		"internal/ingest/remotewrite", "internal/ingest/scrape",
	}},
	{"door", []string{".", "cmd/tocsin"}},
}

// sameFloor lists the uses between rooms of one floor; each is a deliberate, acyclic exception.
var sameFloor = map[string][]string{
	"internal/history":            {"internal/plan"},                    // tier 0 runs plans
	"internal/window":             {"internal/plan"},                    // keeps what plans select
	"internal/exec":               {"internal/plan", "internal/window"}, // runs plans over windows
	"internal/threshold":          {"internal/column", "internal/kernel"},
	"internal/jit":                {"internal/jit/amd64", "internal/jit/arm64", "internal/jit/native"},
	"internal/bench/cold":         {"internal/bench", "internal/bench/chart"},
	"internal/engine":             {"internal/rule", "internal/alert", "internal/ledger"},                    // evaluates rules into recorded alert states
	"internal/explain":            {"internal/alert", "internal/engine", "internal/ledger", "internal/rule"}, // reads them all
	"internal/rule":               {"internal/alert"},                                                        // says what becomes of alerts
	"internal/ledger":             {"internal/alert"},                                                        // records transitions
	"internal/notify":             {"internal/alert", "internal/ledger", "internal/notify/clients"},          // is told about alerts, keeps and records messages
	"internal/ingest/push":        {"internal/ingest/body"},
	"internal/ingest/otlp":        {"internal/ingest/body"},
	"internal/ingest/remotewrite": {"internal/ingest/body"},
	"cmd/tocsin":                  {"."},
}

// testRooms hold what only tests use; no other room may import them outside of tests.
var testRooms = []string{"internal/sim", "internal/sim/baddisk", "internal/sim/chain", "internal/e2e", "internal/kernel/kerneltest"}

// onlyIn maps an upstream package to the rooms that may import it directly, with the reason.
var onlyIn = []struct {
	path, why string
	rooms     []string
}{
	{"github.com/prometheus/prometheus/promql/parser", "PromQL is parsed in one place", []string{"internal/plan"}},
	// web names the database's types only where upstream's API wants them in its administration interface.
	{"github.com/prometheus/prometheus/tsdb", "one room keeps samples", []string{"internal/history", "internal/web"}},
	{"github.com/prometheus/prometheus/web/api/v1", "the 43-argument constructor stays in one room", []string{"internal/web"}},
	{"github.com/alecthomas/kong", "flags are the door's business", []string{"cmd/tocsin"}},
	// native calls machine code; clients reads a field of upstream's integrations that is not exported.
	{"unsafe", "machine-level code lives in named rooms only", []string{"internal/jit/native", "internal/notify/clients"}},
	{"syscall", "raw system calls live in named rooms only; use golang.org/x/sys or os where possible", []string{"cmd/tocsin", "internal/web", "internal/history"}},
	// Without this package tocsin is slower, and otherwise the same: only the wiring and the benchmarks know of it.
	{module + "/internal/jit", "machine code is optional", []string{".", "internal/bench", "internal/bench/cold", "internal/bench/loops"}},
	{"golang.org/x/sys/unix", "raw system calls live in named rooms only", []string{"internal/jit", "internal/jit/native", "internal/bench/loops"}},
	{"github.com/edsrzf/mmap-go", "mmap lives in named rooms only", nil},
}

type listedPackage struct {
	ImportPath string
	Imports    []string
	Dir        string
	SFiles     []string
	CgoFiles   []string
}

func TestRoomsImportDownwardsOnly(t *testing.T) {
	floorOf := map[string]int{}
	for i, f := range floors {
		for _, r := range f.rooms {
			floorOf[r] = i
		}
	}
	seen := map[string]bool{}
	for _, p := range listPackages(t) {
		room := roomOf(p.ImportPath)
		seen[room] = true
		if slices.Contains(testRooms, room) {
			continue
		}
		mine, ok := floorOf[room]
		if !ok {
			t.Errorf("%s stands on no floor: enter it in floors", room)
			continue
		}
		for _, imp := range p.Imports {
			if imp != module && !strings.HasPrefix(imp, module+"/") {
				continue
			}
			other := roomOf(imp)
			if slices.Contains(testRooms, other) {
				t.Errorf("%s imports %s, which is for tests only", room, other)
				continue
			}
			theirs, ok := floorOf[other]
			if ok && (theirs < mine || slices.Contains(sameFloor[room], other)) {
				continue
			}
			t.Errorf("%s (%s floor) imports %s (%s floor): upper floors may use lower ones, never the other way",
				room, floors[mine].name, other, floors[theirs].name)
		}
	}
	for room := range floorOf {
		if !seen[room] {
			t.Errorf("floors names %s, which is not there", room)
		}
	}
}

func TestUpstreamPackagesStayInTheirRooms(t *testing.T) {
	for _, p := range listPackages(t) {
		room := roomOf(p.ImportPath)
		if slices.Contains(testRooms, room) {
			continue
		}
		for _, rule := range onlyIn {
			if slices.Contains(p.Imports, rule.path) && !slices.Contains(rule.rooms, room) {
				t.Errorf("%s imports %s: %s", room, rule.path, rule.why)
			}
		}
		if len(p.SFiles) > 0 && room != "internal/jit/native" || len(p.CgoFiles) > 0 {
			t.Errorf("%s holds assembly or cgo files: %v %v", room, p.SFiles, p.CgoFiles)
		}
	}
}

// roomOf maps an import path to the room's path; folders below a room belong to it unless they are rooms themselves.
func roomOf(importPath string) string {
	rel := strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
	if rel == "" {
		return "."
	}
	best := rel
	for dir := rel; dir != "."; dir = filepath.Dir(dir) {
		if slices.Contains(testRooms, dir) {
			return dir
		}
		for _, f := range floors {
			if slices.Contains(f.rooms, dir) {
				return dir
			}
		}
	}
	return best
}

func listPackages(t *testing.T) []listedPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Dir,SFiles,CgoFiles", "./...")
	cmd.Stderr = io.Discard
	out, err := cmd.Output()
	if err != nil {
		var ee *exec.ExitError
		if errors.As(err, &ee) {
			t.Fatalf("go list ./...: %v", ee)
		}
		t.Skipf("LOUD SKIP: the go command is needed to read the import graph: %v", err)
	}
	var ps []listedPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listedPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return ps
		} else if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
}
