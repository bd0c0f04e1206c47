package config

import (
	"os"
	"testing"

	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/matcher/compat"
)

// TestMain sets Alertmanager's process-wide way to read matchers as a process of ours does: UTF-8, falling back to the
// classic syntax.
func TestMain(m *testing.M) {
	compat.InitFromFlags(quietLogger(), featurecontrol.NoopFlags{})
	os.Exit(m.Run())
}
