package explain

import (
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Answer is the answer to a Question. The names of the fields in JSON are stable; docs/why.md describes them. Times are RFC
// 3339 in UTC, values are strings as in Prometheus's API.
type Answer struct {
	// Answer is the answer in one sentence.
	Answer string `json:"answer"`
	Alert  string `json:"alert"`
	// Time is the moment that the answer is about.
	Time time.Time `json:"time"`
	// Instances are alerts: those that are active at Time or, where none is, the last that was.
	Instances []*Instance `json:"instances"`
	// WhyNot says for each rule of the name why it does not fire, where none of its alerts is active.
	WhyNot []*WhyNot `json:"whyNot"`
	// Cuts say what was left out.
	Cuts []string `json:"cuts,omitempty"`
}

// RuleRef says which rule, in which version.
type RuleRef struct {
	File  string `json:"file"`
	Group string `json:"group"`
	Name  string `json:"name"`
	Line  int    `json:"line,omitempty"`
	// ID names the version: it is another when anything is that decides what the rule's alerts are.
	ID string `json:"id"`
	// LoadedAt is when the file's version that is in force was loaded, FileHash that version.
	LoadedAt *time.Time `json:"loadedAt,omitempty"`
	FileHash string     `json:"fileHash,omitempty"`
	// Query is the expression, Condition the text of a simple rule that it was made of.
	Query                string     `json:"query"`
	Condition            string     `json:"condition,omitempty"`
	ForSeconds           float64    `json:"forSeconds"`
	KeepFiringForSeconds float64    `json:"keepFiringForSeconds,omitempty"`
	Clear                string     `json:"clear,omitempty"`
	OnMissing            string     `json:"onMissing,omitempty"`
	Health               string     `json:"health,omitempty"`
	LastError            string     `json:"lastError,omitempty"`
	LastEvaluation       *time.Time `json:"lastEvaluation,omitempty"`
	EvaluationSeconds    float64    `json:"evaluationSeconds,omitempty"`
}

// Instance is one alert.
type Instance struct {
	Rule        RuleRef       `json:"rule"`
	Labels      labels.Labels `json:"labels"`
	Annotations labels.Labels `json:"annotations"`
	// State is the alert's at Answer.Time: inactive, pending or firing. Basis is what an active one stands on.
	State string `json:"state"`
	Basis string `json:"basis,omitempty"`
	// Reason is why the state is what it is, in the ledger's word, ReasonText in a sentence.
	Reason     string `json:"reason,omitempty"`
	ReasonText string `json:"reasonText,omitempty"`
	// ActiveAt is since when the condition has held, FiredAt since when it has fired, FiresAt when a pending one will,
	// ResolvedAt when it ended.
	ActiveAt        *time.Time `json:"activeAt,omitempty"`
	FiredAt         *time.Time `json:"firedAt,omitempty"`
	FiresAt         *time.Time `json:"firesAt,omitempty"`
	ResolvedAt      *time.Time `json:"resolvedAt,omitempty"`
	KeepFiringSince *time.Time `json:"keepFiringSince,omitempty"`
	MissingSince    *time.Time `json:"missingSince,omitempty"`
	Flapping        bool       `json:"flapping,omitempty"`
	NoData          bool       `json:"noData,omitempty"`
	// Value is the expression's at the last evaluation that returned it, FiredValue that when it began to fire, Clearing
	// what it was in the end.
	Value      string `json:"value,omitempty"`
	FiredValue string `json:"firedValue,omitempty"`
	Clearing   string `json:"clearingValue,omitempty"`
	// Thresholds are what its values were compared with at EvaluatedAt.
	Thresholds []Threshold `json:"thresholds"`
	// LatencySeconds is from the sample's arrival, or the time of the tick, to the end of the evaluation that made it fire.
	LatencySeconds float64 `json:"latencySeconds,omitempty"`
	// EvaluatedAt is the moment of which Expression, and Clear, show the values.
	EvaluatedAt *time.Time `json:"evaluatedAt,omitempty"`
	Expression  *Node      `json:"expression,omitempty"`
	Clear       *Node      `json:"clear,omitempty"`
	// Transitions are the last ones, newest first.
	Transitions []Transition `json:"transitions"`
	Told        *Told        `json:"told,omitempty"`
	Notes       []string     `json:"notes,omitempty"`
}

// Threshold is one comparison that decided.
type Threshold struct {
	// Expr is the comparison, Value what stood on its left, Threshold on its right.
	Expr      string `json:"expr"`
	Op        string `json:"op"`
	Value     string `json:"value"`
	Threshold string `json:"threshold"`
	Holds     bool   `json:"holds"`
}

// Transition is one change of state.
type Transition struct {
	At         time.Time  `json:"at"`
	From       string     `json:"from"`
	To         string     `json:"to"`
	Reason     string     `json:"reason,omitempty"`
	Value      string     `json:"value"`
	Threshold  string     `json:"threshold,omitempty"`
	RuleID     string     `json:"ruleID,omitempty"`
	Latency    float64    `json:"latencySeconds"`
	Deliveries []Delivery `json:"deliveries"`
}

// Delivery is one attempt to tell somebody of a transition.
type Delivery struct {
	At          time.Time `json:"at"`
	Receiver    string    `json:"receiver"`
	Integration string    `json:"integration"`
	Attempt     int       `json:"attempt"`
	Outcome     string    `json:"outcome"`
	Answer      string    `json:"answer,omitempty"`
	Latency     float64   `json:"latencySeconds"`
	GroupKey    string    `json:"groupKey,omitempty"`
}

// Node is a sub-expression and what it was worth.
type Node struct {
	// Expr is its text, Kind what it is: selector, range selector, subquery, function, aggregation, operator, sign.
	Expr string `json:"expr"`
	Kind string `json:"kind"`
	// At is the moment of its evaluation where it is another than the whole expression's: within subqueries.
	At *time.Time `json:"at,omitempty"`
	// Scalar is its value if it is a scalar.
	Scalar string `json:"scalar,omitempty"`
	// Elements are those of its value that belong to the alert, as many as fit; Belonging is how many do, Total how many
	// elements there are of all alerts.
	Elements  []Element `json:"elements,omitempty"`
	Belonging int       `json:"belonging"`
	Total     int       `json:"total"`
	// Window is what a selector reads.
	Window *Window `json:"window,omitempty"`
	// Error is why it could not be evaluated; Warnings are the query engine's.
	Error    string   `json:"error,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	Children []*Node  `json:"children,omitempty"`
}

// Element is one element of a vector. A native histogram is in Histogram, as text.
type Element struct {
	Labels    labels.Labels `json:"labels"`
	Value     string        `json:"value,omitempty"`
	Histogram string        `json:"histogram,omitempty"`
}

// Window is the samples that a selector takes in, of the series that belong to the alert.
type Window struct {
	// From and To enclose the samples, From left out.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Series are as many as fit of SeriesCount.
	Series      []WindowSeries `json:"series"`
	SeriesCount int            `json:"seriesCount"`
}

// WindowSeries is one series in a Window: its newest samples, and how many there are.
type WindowSeries struct {
	Labels      labels.Labels `json:"labels"`
	Samples     []Sample      `json:"samples"`
	SampleCount int           `json:"sampleCount"`
}

// Sample is one sample. Stale marks the end of a series.
type Sample struct {
	At        time.Time `json:"at"`
	Value     string    `json:"value,omitempty"`
	Histogram string    `json:"histogram,omitempty"`
	Stale     bool      `json:"stale,omitempty"`
}

// WhyNot is why a rule does not fire.
type WhyNot struct {
	Rule RuleRef `json:"rule"`
	// Labels are those that were asked about.
	Labels []string `json:"matchers"`
	// Text is the answer in a sentence; Cause is the first sub-expression that is empty or false.
	Text  string `json:"text"`
	Cause *Cause `json:"cause"`
	// EvaluatedAt is the moment of which Expression shows the values.
	EvaluatedAt *time.Time `json:"evaluatedAt,omitempty"`
	Expression  *Node      `json:"expression,omitempty"`
	Notes       []string   `json:"notes,omitempty"`
}

// Code says what kind a Cause is of.
type Code string

// The codes.
const (
	// Firing, Waiting: it is active after all: it fires, or it is pending.
	Firing  Code = "firing"
	Waiting Code = "pending"
	// Holds: the expression returns it; the next evaluation will see it.
	Holds Code = "holds"
	// Failing: the rule's evaluation fails. NotEvaluated: there has been none yet.
	Failing      Code = "error"
	NotEvaluated Code = "not_evaluated"
	// RuleLabel: the rule gives its alerts another value of a label. LabelDropped: its result does not have the label.
	RuleLabel    Code = "rule_label"
	LabelDropped Code = "label_dropped"
	// NeverSeen: there is no series of the metric. NoSuchSeries: there are, and none that the matchers take.
	// Stale: there was, and it ended. TooFewSamples: the function needs more of them.
	NeverSeen     Code = "never_seen"
	NoSuchSeries  Code = "no_such_series"
	Stale         Code = "stale"
	TooFewSamples Code = "too_few_samples"
	// ComparisonFalse, NoMatch (the other side has no element for it), Excluded (unless), Exists (absent),
	// NotSelected (topk and the like): what the operation makes of what there is.
	ComparisonFalse Code = "comparison_false"
	NoMatch         Code = "no_match"
	Excluded        Code = "excluded"
	Exists          Code = "exists"
	NotSelected     Code = "not_selected"
	// NothingReturned: the operation returns nothing for elements that are there, and this package does not know why.
	NothingReturned Code = "nothing_returned"
	// Unclear: it cannot be told, as Text says why.
	Unclear Code = "unclear"
)

// Cause is a sub-expression that is empty or false, and why.
type Cause struct {
	Code Code `json:"code"`
	// Expr is the sub-expression.
	Expr string `json:"expr,omitempty"`
	Text string `json:"text"`
	// Elements are what there is.
	Elements []Element `json:"elements,omitempty"`
	// Further are the causes of this one, and those of the other alternatives of an `or`.
	Further []*Cause `json:"further,omitempty"`
}

// Told is what the notification pipeline makes of an alert.
type Told struct {
	Routes       []Route   `json:"routes"`
	InhibitedBy  []string  `json:"inhibitedBy"`
	SilencedBy   []Silence `json:"silencedBy"`
	MutedBy      []string  `json:"mutedBy"`
	Acknowledged *Ack      `json:"acknowledged,omitempty"`
	Flapping     bool      `json:"flapping"`
	// Dropped says that relabelling drops the alert on its way to the receivers.
	Dropped bool `json:"dropped"`
	// Waiting are messages about it that are not delivered yet, Dead those that were given up.
	Waiting []Queued `json:"waiting"`
	Dead    []Queued `json:"dead"`
}

// Route is one route that takes the alert.
type Route struct {
	// Path names the route from the root on.
	Path     string   `json:"path"`
	Receiver string   `json:"receiver"`
	GroupBy  []string `json:"groupBy"`
	GroupKey string   `json:"groupKey"`

	GroupWaitSeconds      float64 `json:"groupWaitSeconds"`
	GroupIntervalSeconds  float64 `json:"groupIntervalSeconds"`
	RepeatIntervalSeconds float64 `json:"repeatIntervalSeconds"`
}

// Silence is one that holds the alert back.
type Silence struct {
	ID        string     `json:"id"`
	CreatedBy string     `json:"createdBy,omitempty"`
	Comment   string     `json:"comment,omitempty"`
	EndsAt    *time.Time `json:"endsAt,omitempty"`
}

// Ack is somebody's word that they see to it.
type Ack struct {
	Owner   string     `json:"owner"`
	Comment string     `json:"comment,omitempty"`
	EndsAt  *time.Time `json:"endsAt,omitempty"`
}

// Queued is a message that has not been delivered yet.
type Queued struct {
	Receiver    string     `json:"receiver"`
	Integration string     `json:"integration,omitempty"`
	Attempts    int        `json:"attempts"`
	NextAttempt *time.Time `json:"nextAttempt,omitempty"`
	LastError   string     `json:"lastError,omitempty"`
}
