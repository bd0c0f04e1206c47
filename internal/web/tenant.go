package web

import (
	"errors"
	"net/http"

	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/scrape"
	v1 "github.com/prometheus/prometheus/web/api/v1"

	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/explain"
	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/notify"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
	"github.com/tocsin/tocsin/internal/tenant"
)

// TenantHeader is the request header that names a tenant; without it a request is Default's.
const TenantHeader = "X-Scope-OrgID"

// Tenant is everything of one tenant that HTTP shows or feeds. History is required; what else is nil is not served:
// its endpoints answer 404 with a line that says so, or an empty list where that is the truth.
type Tenant struct {
	// History answers queries, and says what it knows of metric families besides what scrape targets say.
	History *history.Store
	// Groups are the rule groups as they stand now.
	Groups func() []engine.GroupStatus
	// RuleFiles are the rule files and what is wrong with them.
	RuleFiles func() []rule.FileStatus
	// Fallbacks counts by reason the evaluations of a compiled rule that were left to tier 0; nil or empty where none was.
	Fallbacks func(*plan.Plan) map[string]uint64
	// Kernels are the pieces of a compiled rule's arithmetic, and how they run; nil where nobody knows.
	Kernels func(*plan.Plan) []plan.Kernel
	// Measure says what is known of a compiled rule's node at work, nil where nothing is. /api/v1/rules/explain shows it.
	Measure func(*plan.Node) *plan.Measurement
	// Explainer answers /api/v1/explain.
	Explainer *explain.Explainer
	// Config is the running configuration, for /api/v1/status/config and external labels.
	Config func() promconfig.Config
	// Scrape is the scrape manager behind /api/v1/targets; it may return nil while there is none.
	Scrape func() *scrape.Manager
	// Alertmanagers are the external ones, for /api/v1/alertmanagers.
	Alertmanagers v1.AlertmanagerRetriever

	// RemoteWrite takes POST /api/v1/write, OTLP takes POST /api/v1/otlp/v1/metrics and /v1/metrics, Push takes
	// everything under /metrics/job, Alertmanager everything under /api/v2.
	RemoteWrite, OTLP, Push, Alertmanager http.Handler

	// Ingested are running totals of accepted samples by protocol; the page makes rates of them. It is called every few
	// seconds and should be cheap.
	Ingested func() []Ingested
	// Deliveries are the last attempts to notify, newest first (see DeliveryLog); the page shows a few.
	Deliveries func() []notify.Delivery

	// Ledger is the durable record; while it is nil, history answers 503 and the page says that there is none.
	Ledger *ledger.Ledger
	// Acknowledge, Unacknowledge and Acks are as the ledger's; nil ones answer 503.
	Acknowledge   func(ledger.Ack) (ledger.Ack, error)
	Unacknowledge func(id uint64) error
	Acks          func() ([]ledger.Ack, error)
	// Notifications is the outbox. Resend has an entry tried at once, a dead letter too, and Discard forgets one; both
	// wrap ErrNotFound, or ledger.ErrNoSuchEntry, where there is none. Nil ones answer 503.
	Notifications func() (Notifications, error)
	Resend        func(id uint64) error
	Discard       func(id uint64) error
	// RecurringSilences are those that are kept, AddRecurringSilence keeps one that was checked and returns it with its ID,
	// and RemoveRecurringSilence wraps ErrNotFound where there is none. Nil ones answer 503.
	RecurringSilences      func() ([]RecurringSilence, error)
	AddRecurringSilence    func(RecurringSilence) (RecurringSilence, error)
	RemoveRecurringSilence func(id string) error
}

// Ingested is how many samples came in by one protocol since the process started.
type Ingested struct {
	Protocol string
	Samples  float64
}

func (t *Tenant) validate() error {
	if t == nil || t.History == nil {
		return errors.New("there is no History")
	}
	return nil
}

func (t *Tenant) groups() []engine.GroupStatus {
	if t.Groups == nil {
		return nil
	}
	return sortedGroups(t.Groups())
}

func (t *Tenant) ruleFiles() []rule.FileStatus {
	if t.RuleFiles == nil {
		return []rule.FileStatus{}
	}
	if fs := t.RuleFiles(); fs != nil {
		return fs
	}
	return []rule.FileStatus{}
}

func (t *Tenant) config() promconfig.Config {
	if t.Config == nil {
		return promconfig.DefaultConfig
	}
	return t.Config()
}

func (t *Tenant) scrape() *scrape.Manager {
	if t.Scrape == nil {
		return nil
	}
	return t.Scrape()
}

// mounted is one tenant with its routes.
type mounted struct {
	id      tenant.ID
	tenant  *Tenant
	rates   *rates
	handler http.Handler
}

// TenantFromRequest returns the tenant that r names, or an error when the name is none. Several different names are an
// error too: which of them counts must not depend on who reads the header first, a proxy or this.
func TenantFromRequest(r *http.Request) (tenant.ID, error) {
	names := r.Header.Values(TenantHeader)
	for i, name := range names {
		if i > 0 && name != names[0] {
			return "", errors.New("stands in the request twice, with different values")
		}
	}
	return tenant.Parse(r.Header.Get(TenantHeader))
}

// forTenant hands a request to its tenant's routes, the tenant in its context.
func (s *Server) forTenant(w http.ResponseWriter, r *http.Request) {
	id, err := TenantFromRequest(r)
	if err != nil {
		apiError(w, http.StatusBadRequest, "bad_data", TenantHeader+": "+err.Error())
		return
	}
	all := s.tenants.Load()
	if all == nil {
		w.Header().Set("Retry-After", "1")
		apiError(w, http.StatusServiceUnavailable, "unavailable", "tocsin is starting; try again in a moment")
		return
	}
	m, ok := (*all)[id]
	if !ok {
		apiError(w, http.StatusNotFound, "not_found",
			TenantHeader+": there is no tenant "+string(id)+"; leave the header out for the default one")
		return
	}
	m.handler.ServeHTTP(w, r.WithContext(tenant.NewContext(r.Context(), id)))
}
