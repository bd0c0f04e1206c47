package notify

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/tocsin/tocsin/internal/ledger"
)

// Why a message was not put into the outbox.
const (
	failureNotDurable = "not_durable" // the ledger cannot write
	failureFull       = "full"        // Settings.MaxWaiting
	failureOther      = "other"
)

// Why a message became a dead letter.
const (
	deadRefused = "refused"
	deadTooOld  = "too_old"
	deadGone    = "no_receiver"
	deadDamaged = "unreadable"
)

// outboxMetrics are those of the outbox.
type outboxMetrics struct {
	waiting   prometheus.Gauge
	attempts  *prometheus.CounterVec
	failures  *prometheus.CounterVec
	dead      *prometheus.CounterVec
	fallbacks *prometheus.CounterVec
	circuits  *prometheus.GaugeVec
	forgotten *prometheus.CounterVec
	unwritten prometheus.Gauge
}

func newOutboxMetrics(reg prometheus.Registerer) *outboxMetrics {
	f := promauto.With(reg)
	m := &outboxMetrics{
		waiting: f.NewGauge(prometheus.GaugeOpts{
			Name: "tocsin_notify_outbox_waiting", Help: "Messages that are not delivered yet, or whose delivery is just being noted.",
		}),
		attempts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_notify_outbox_attempts_total",
			Help: "Attempts to deliver a message, by outcome (delivered, failed: another follows, gave_up: refused, and something else of its group waits).",
		}, []string{"outcome"}),
		failures: f.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_notify_outbox_enqueue_failures_total",
			Help: "Messages that could not be kept and were delivered without, by reason (not_durable: the ledger cannot write, full, other).",
		}, []string{"reason"}),
		dead: f.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_notify_outbox_dead_total",
			Help: "Messages that became dead letters, by reason (refused, too_old, no_receiver: not in the configuration, unreadable).",
		}, []string{"reason"}),
		fallbacks: f.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_notify_outbox_fallbacks_total",
			Help: "Messages for the fallback receiver, by status (sent: put into the outbox, failed: could not be).",
		}, []string{"status"}),
		circuits: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tocsin_notify_outbox_circuit_state",
			Help: "What an integration's circuit is (0 closed, 1 open: it is not asked at the moment, 2 half open: one attempt finds out).",
		}, []string{"receiver", "integration", "index"}),
		forgotten: f.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_notify_forgotten_total",
			Help: "What was forgotten because too much was to be remembered, by kind (muted: an alert's being muted may be recorded again, " +
				"dead_letter: one may be kept beside an older one that says the same, told: a crash may tell a group again, or lose a " +
				"\"resolved\", receiver_data: an integration may send new messages where it would update old ones).",
		}, []string{"kind"}),
		unwritten: f.NewGauge(prometheus.GaugeOpts{
			Name: "tocsin_notify_outbox_told_unwritten",
			Help: "Groups and integrations of which the ledger does not know what they were told last: it could not write that, and will.",
		}),
	}
	for _, o := range []ledger.Outcome{ledger.Delivered, ledger.Failed, ledger.GaveUp} {
		m.attempts.WithLabelValues(string(o))
	}
	for _, r := range []string{failureNotDurable, failureFull, failureOther} {
		m.failures.WithLabelValues(r)
	}
	for _, r := range []string{deadRefused, deadTooOld, deadGone, deadDamaged} {
		m.dead.WithLabelValues(r)
	}
	for _, s := range []string{"sent", "failed"} {
		m.fallbacks.WithLabelValues(s)
	}
	return m
}

func (m *outboxMetrics) circuit(t target, s circuitState) {
	m.circuits.WithLabelValues(t.Receiver, t.Integration, strconv.Itoa(t.Index)).Set(float64(s))
}

func (m *outboxMetrics) forget(t target) {
	m.circuits.DeleteLabelValues(t.Receiver, t.Integration, strconv.Itoa(t.Index))
}
