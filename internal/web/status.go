package web

import (
	"net/http"
	"time"

	"github.com/tocsin/tocsin/internal/rule"
	"github.com/tocsin/tocsin/internal/tenant"
)

// status is the answer of GET /api/v1/status.
type status struct {
	Version version     `json:"version"`
	Ready   bool        `json:"ready"`
	Config  ConfigState `json:"config"`
	// StartTime is the server's, UptimeSeconds since then.
	StartTime     time.Time         `json:"start_time"`
	UptimeSeconds float64           `json:"uptime_seconds"`
	Tenant        tenant.ID         `json:"tenant"`
	Tenants       []tenant.ID       `json:"tenants"`
	Rules         ruleCounts        `json:"rules"`
	RuleFiles     []rule.FileStatus `json:"rule_files"`
	Targets       targetCounts      `json:"targets"`
	Ingest        ingestStatus      `json:"ingest"`
	History       historyStatus     `json:"history"`
	Ledger        ledgerStatus      `json:"ledger"`
}

// historyStatus says whether samples are stored.
type historyStatus struct {
	Healthy bool `json:"healthy"`
	// Trouble is why it is not healthy, and what to do.
	Trouble string `json:"trouble,omitempty"`
}

func (t *Tenant) historyStatus() historyStatus {
	ok, why := t.History.Healthy()
	return historyStatus{ok, why}
}

// ledgerStatus says whether what happens is recorded.
type ledgerStatus struct {
	Open    bool `json:"open"`
	Healthy bool `json:"healthy"`
	// Trouble is why it is not healthy, and what to do.
	Trouble string `json:"trouble,omitempty"`
}

func (t *Tenant) ledgerStatus() ledgerStatus {
	if t.Ledger == nil {
		return ledgerStatus{}
	}
	ok, why := t.Ledger.Healthy()
	return ledgerStatus{Open: true, Healthy: ok, Trouble: why}
}

type ruleCounts struct {
	Groups   int `json:"groups"`
	Rules    int `json:"rules"`
	Failing  int `json:"failing"`
	Firing   int `json:"firing_alerts"`
	Pending  int `json:"pending_alerts"`
	BadFiles int `json:"broken_files"`
}

type targetCounts struct {
	Up      int `json:"up"`
	Down    int `json:"down"`
	Unknown int `json:"unknown"`
}

type ingestStatus struct {
	// SamplesPerSecond is over the last minute: all samples, rules' results included, and by protocol; the latter is
	// empty until two readings were taken.
	SamplesPerSecond float64            `json:"samples_per_second"`
	ByProtocol       map[string]float64 `json:"samples_per_second_by_protocol"`
	SamplesTotal     map[string]float64 `json:"samples_total_by_protocol"`
	// HeadSeries is how many series are in memory.
	HeadSeries uint64 `json:"head_series"`
	// Blocks and DiskBytes are history's on disk, Oldest its oldest sample's time.
	Blocks    int       `json:"blocks"`
	DiskBytes int64     `json:"disk_bytes"`
	Oldest    time.Time `json:"oldest_sample"`
}

func (s *Server) serveStatus(m *mounted) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		t, groups, files := m.tenant, m.tenant.groups(), m.tenant.ruleFiles()
		out := status{
			Version:       s.version(),
			Ready:         phase(s.phase.Load()) == ready,
			Config:        s.configState(),
			StartTime:     s.started,
			UptimeSeconds: s.uptime().Seconds(),
			Tenant:        m.id,
			Tenants:       []tenant.ID{m.id}, // no tenant is told of another
			Rules:         countRules(groups, files),
			RuleFiles:     files,
			Targets:       countTargets(t),
			Ingest:        m.ingestStatus(),
			History:       t.historyStatus(),
			Ledger:        t.ledgerStatus(),
		}
		answer(w, out)
	}
}

// serveRuleFiles is GET /api/v1/rule_files: each file's version, and why a newer one does not run.
func (t *Tenant) serveRuleFiles(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string][]rule.FileStatus{"files": t.ruleFiles()})
}
