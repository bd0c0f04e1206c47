package tocsin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/ingest/push"
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/notify"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

// DataReport is what CheckData found.
type DataReport struct {
	Dir     string         `json:"dir"`
	OK      bool           `json:"ok"`
	Tenants []TenantReport `json:"tenants"`
}

// TenantReport is what was found of one tenant.
type TenantReport struct {
	Tenant string       `json:"tenant"`
	Parts  []PartReport `json:"parts"`
}

// PartReport is what was found of one part of a tenant's data.
type PartReport struct {
	// Part is its name and Path where it is.
	Part string `json:"part"`
	Path string `json:"path"`
	// Verified says in words what was read and is good.
	Verified string        `json:"verified"`
	Problems []DataProblem `json:"problems"`
	// Ledger is the ledger's own report; nil for other parts.
	Ledger *LedgerReport `json:"ledger,omitempty"`
}

// LedgerReport is what stands in a ledger.
type LedgerReport struct {
	Version     int       `json:"version"`
	Bytes       int64     `json:"bytes"`
	Transitions int       `json:"transitions"`
	Deliveries  int       `json:"deliveries"`
	Instances   int       `json:"instances"`
	Waiting     int       `json:"waiting"`
	DeadLetters int       `json:"deadLetters"`
	Acks        int       `json:"acks"`
	Oldest      time.Time `json:"oldest,omitzero"`
	Newest      time.Time `json:"newest,omitzero"`
}

// DataProblem is one thing that is wrong, and what a repair would do about it, with what would be lost.
type DataProblem struct {
	What   string `json:"what"`
	Repair string `json:"repair"`
}

// tenantsDir is the directory of the tenants' data below the data directory.
const tenantsDir = "tenants"

// CheckData verifies the data directory dir without changing anything; a tocsin may be running on it. It returns an
// error only where dir is none.
func CheckData(dir string) (DataReport, error) {
	r := DataReport{Dir: dir, OK: true, Tenants: []TenantReport{}}
	tenants, err := os.ReadDir(filepath.Join(dir, tenantsDir))
	if err != nil {
		return r, fmt.Errorf("%s is no data directory of tocsin: %w", dir, err)
	}
	for _, t := range tenants {
		if !t.IsDir() {
			continue
		}
		found := TenantReport{Tenant: t.Name(), Parts: checkTenant(filepath.Join(dir, tenantsDir, t.Name()))}
		for _, p := range found.Parts {
			r.OK = r.OK && len(p.Problems) == 0
		}
		r.Tenants = append(r.Tenants, found)
	}
	return r, nil
}

// checkTenant checks the parts of one tenant's data, the ledger first.
func checkTenant(dir string) []PartReport {
	compiler := plan.NewCompiler(plan.Options{ExperimentalFunctions: true})
	out := []PartReport{checkLedger(filepath.Join(dir, "ledger"))}
	for _, part := range []struct {
		name, words, repair string
		check               func(dir string) (int, []error, error)
	}{
		{"tsdb", "%d blocks of samples can be opened; the write-ahead log is left to the database, which checks it at the start",
			"move the block away, or put one from a backup in its place: its samples are lost otherwise", history.CheckDir},
		{"push", "%d pushed groups", "move the file aside, as the next start does: the group is unknown until it is pushed again", push.CheckDir},
		{"notify", "%d files of silences and the notification log",
			"move the file away, which the next start asks for: silences are lost, or notifications are repeated once", notify.CheckDir},
		{"rules", "%d last good versions of rule files",
			"delete the file, as loading the rule file does: should that be broken at the next start, its rules are not there",
			func(dir string) (int, []error, error) { return rule.CheckCache(dir, compiler) }},
	} {
		p := PartReport{Part: part.name, Path: filepath.Join(dir, part.name), Problems: []DataProblem{}}
		good, bad, err := part.check(p.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			p.Verified = "nothing is kept yet"
		case err != nil:
			p.Problems = append(p.Problems, DataProblem{What: err.Error(), Repair: "need the directory to be readable for this user"})
		default:
			p.Verified = fmt.Sprintf(part.words, good)
		}
		for _, b := range bad {
			p.Problems = append(p.Problems, DataProblem{What: b.Error(), Repair: part.repair})
		}
		out = append(out, p)
	}
	return out
}

func checkLedger(dir string) PartReport {
	p := PartReport{Part: "ledger", Path: dir, Problems: []DataProblem{}}
	found, err := ledger.Check(dir)
	if errors.Is(err, fs.ErrNotExist) {
		p.Verified = "nothing is kept yet"
		return p
	}
	if err != nil {
		p.Problems = append(p.Problems, DataProblem{What: err.Error(), Repair: "change nothing: see above what to do"})
		return p
	}
	p.Ledger = &LedgerReport{
		Version: found.Version, Bytes: found.Bytes, Transitions: found.Transitions, Deliveries: found.Deliveries, Instances: found.Instances,
		Waiting: found.Waiting, DeadLetters: found.DeadLetters, Acks: found.Acks, Oldest: found.Oldest, Newest: found.Newest,
	}
	p.Verified = fmt.Sprintf("%d transitions, %d deliveries, %d alerts' state, %d notifications waiting, %d dead letters, %d acknowledgements",
		found.Transitions, found.Deliveries, found.Instances, found.Waiting, found.DeadLetters, found.Acks)
	for _, problem := range found.Problems {
		p.Problems = append(p.Problems, DataProblem{What: problem.Where + ": " + problem.What, Repair: problem.Repair})
	}
	return p
}
