package console_test

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/console"
)

func TestLine(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	tr := alert.Transition{
		Rule: "DiskFull", From: alert.Pending, To: alert.Firing, At: at, ActiveAt: at.Add(-5 * time.Minute), Value: 97.25,
		Labels:      labels.FromStrings("alertname", "DiskFull", "instance", "a", "mountpoint", "/"),
		Annotations: labels.FromStrings("summary", "Disk on a\nis \x1b[31mfull"),
	}
	require.Equal(t, `03:04:05  FIRING    DiskFull {instance="a", mountpoint="/"}  value 97.25  after 5m0s  Disk on a is  [31mfull`, console.Line(tr))
	tr.From, tr.To = alert.Firing, alert.Inactive
	tr.Clearing, tr.Reason = alert.Reading{Value: 12, Known: true}, alert.RuleGone
	require.Contains(t, console.Line(tr), "RESOLVED")
	require.Contains(t, console.Line(tr), "value 97.25, now 12  the rule is not there any more  after")
	tr.From, tr.To = alert.Firing, alert.Firing
	for reason, want := range map[alert.Reason]string{
		alert.BeganFlapping: "flapping  DiskFull", alert.Calm: "calm      DiskFull", alert.NoData: "no data   DiskFull", alert.DataBack: "data back  DiskFull",
	} {
		tr.Reason = reason
		require.Contains(t, console.Line(tr), want)
	}
	tr.From, tr.To, tr.Reason = alert.Pending, alert.Inactive, alert.Cleared
	require.Contains(t, console.Line(tr), "inactive")
}

func TestLineControlsNoTerminal(t *testing.T) {
	tr := alert.Transition{Rule: "a\x1b[2Jb", To: alert.Pending, Labels: labels.FromStrings("x\ny", "1")}
	require.NotContains(t, console.Line(tr), "\x1b")
	require.NotContains(t, console.Line(tr), "\n")
}

func TestPrinterWritesWholeLines(t *testing.T) {
	var b strings.Builder
	p := console.New(console.Options{Writer: &b})
	p.Start()
	p.Transition(alert.Transition{Rule: "A", To: alert.Pending})
	p.Println("x")
	p.Stop()
	p.Stop()
	p.Println("too late")
	require.Equal(t, 2, strings.Count(b.String(), "\n"))
	require.True(t, strings.HasSuffix(b.String(), "x\n"), b.String())
}

func TestPrinterStoppedBeforeItStarted(t *testing.T) {
	p := console.New(console.Options{Writer: io.Discard})
	p.Stop()
	p.Start()
	p.Println("x")
}

// gate is a reader that reads nothing until it is opened. Each Write says on entered that it has begun.
type gate struct {
	entered chan struct{}
	open    chan struct{}
	lines   chan string
}

func (g *gate) Write(b []byte) (int, error) {
	g.entered <- struct{}{}
	<-g.open
	g.lines <- string(b)
	return len(b), nil
}

// TestReaderThatDoesNotRead shows that nobody waits for the console: lines are lost, counted, and the loss is told.
func TestReaderThatDoesNotRead(t *testing.T) {
	const printed = 2000 // more than the queue holds; this would hang if printing blocked
	g := &gate{entered: make(chan struct{}, printed), open: make(chan struct{}), lines: make(chan string, printed)}
	reg := prometheus.NewRegistry()
	p := console.New(console.Options{Writer: g, Registerer: reg})
	p.Start()
	p.Println("line")
	<-g.entered // the printer is stuck in its first Write from here on, so what is lost is lost at the end
	for range printed - 1 {
		p.Println("line")
	}
	lost := int(dropped(t, reg, "slow"))
	require.Positive(t, lost)
	close(g.open)
	for range printed - lost {
		require.Equal(t, "line\n", <-g.lines)
	}
	p.Println("after")
	require.Equal(t, fmt.Sprintf("… %d lines were left out: they were not read in time\nafter\n", lost), <-g.lines)
	p.Stop()
}

func TestReaderThatIsGone(t *testing.T) {
	r, w := io.Pipe()
	require.NoError(t, r.Close())
	reg := prometheus.NewRegistry()
	var log strings.Builder
	p := console.New(console.Options{Writer: w, Registerer: reg, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	p.Start()
	for range 3 {
		p.Println("line")
	}
	p.Stop()
	require.Equal(t, 3.0, dropped(t, reg, "gone"))
	require.Equal(t, 1, strings.Count(log.String(), "The console is gone"), log.String())
}

func dropped(t *testing.T, reg *prometheus.Registry, reason string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "tocsin_console_dropped_total" && m.GetLabel()[0].GetValue() == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no count of lines dropped as %s", reason)
	return 0
}
