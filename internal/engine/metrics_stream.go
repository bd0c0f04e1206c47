package engine

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// streamMetrics tell of evaluations that are no ticks.
type streamMetrics struct {
	panics   prometheus.Counter
	triggers [4]prometheus.Counter
	// settled and timedOut count the ends of waits, coalesced what came while a rule was waiting.
	settled, timedOut, coalesced prometheus.Counter
	bails                        *prometheus.CounterVec
	pulses, delay                prometheus.Observer
}

// triggerNames are the values of the metric's label, in the order of the triggers' bits.
var triggerNames = [4]string{"arrival", "time", "deadline", "retry"}

func newStreamMetrics(reg prometheus.Registerer, logger *slog.Logger, m *metrics) *streamMetrics {
	r := registrar{reg: reg, logger: logger}
	waits := r.counter("tocsin_rule_stream_waits_total",
		"Waits of rules for inputs that had not come as far as others, by how they ended.", "end")
	evaluations := r.counter("tocsin_rule_stream_evaluations_total",
		"Evaluations of rules besides the ticks, by what caused them: samples, a series that went out of reach, the end of a for or keep_firing_for.", "trigger")
	s := &streamMetrics{
		panics:   m.panics,
		settled:  waits.WithLabelValues("settled"),
		timedOut: waits.WithLabelValues("timed_out"),
		coalesced: register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_rule_stream_coalesced_total", Help: "Arrivals for rules that were about to be evaluated anyway.",
		})),
		bails: r.counter("tocsin_rule_stream_bails_total",
			"Evaluations besides the ticks for which there was no ready result, by the reason.", "reason"),
		pulses: register(r, histogram("tocsin_rule_pulse_duration_seconds", "How long samples took to run through all rules.")),
		delay: register(r, histogram("tocsin_rule_stream_delay_seconds",
			"Time from when an arrival was seen to the end of the rule's evaluation, waits included.")),
	}
	for i, name := range triggerNames {
		s.triggers[i] = evaluations.WithLabelValues(name)
	}
	return s
}

// evaluated counts an evaluation by the first of its reasons.
func (s *streamMetrics) evaluated(why trigger, delay time.Duration) {
	for i := range s.triggers {
		if why>>i&1 != 0 {
			s.triggers[i].Inc()
			break
		}
	}
	s.delay.Observe(delay.Seconds())
}

func (s *streamMetrics) bail(reason string) { s.bails.WithLabelValues(reason).Inc() }
