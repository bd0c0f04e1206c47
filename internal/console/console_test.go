package console_test

import (
	"strings"
	"testing"
	"time"

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
	require.Contains(t, console.Line(tr), "RESOLVED")
	tr.From, tr.To = alert.Pending, alert.Inactive
	require.Contains(t, console.Line(tr), "inactive")
}

func TestPrinterWritesWholeLines(t *testing.T) {
	var b strings.Builder
	p := console.New(&b)
	p.Transition(alert.Transition{Rule: "A", To: alert.Pending})
	p.Println("x")
	require.Equal(t, 2, strings.Count(b.String(), "\n"))
}
