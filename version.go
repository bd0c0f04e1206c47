package tocsin

import (
	"runtime/debug"
	"strings"
)

// Version says which tocsin a binary is and whose engines it carries.
type Version struct {
	// Version is the module's version, "devel" when built from a checkout.
	Version string
	// Revision is the commit, empty when the build did not record one.
	Revision string
	// Prometheus and Alertmanager are the releases whose code is embedded.
	Prometheus, Alertmanager string
}

// String returns the version with a short revision.
func (v Version) String() string {
	if v.Revision == "" {
		return v.Version
	}
	return v.Version + "+" + v.Revision[:min(12, len(v.Revision))]
}

// BuildVersion reads the version from the running binary.
func BuildVersion() Version {
	v := Version{Version: "devel"}
	bi, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if mv := bi.Main.Version; mv != "" && mv != "(devel)" {
		v.Version = mv
	}
	for _, s := range bi.Settings {
		if s.Key == "vcs.revision" {
			v.Revision = s.Value
		}
	}
	for _, d := range bi.Deps {
		switch d.Path {
		case "github.com/prometheus/prometheus":
			v.Prometheus = prometheusRelease(d.Version)
		case "github.com/prometheus/alertmanager":
			v.Alertmanager = strings.TrimPrefix(d.Version, "v")
		}
	}
	return v
}

// prometheusRelease turns the library's version into the server's: v0.315.0 is 3.15.0.
func prometheusRelease(lib string) string {
	parts := strings.Split(strings.TrimPrefix(lib, "v"), ".")
	if len(parts) != 3 || len(parts[1]) < 3 {
		return lib
	}
	major, minor := parts[1][:len(parts[1])-2], strings.TrimPrefix(parts[1][len(parts[1])-2:], "0")
	if minor == "" {
		minor = "0"
	}
	return major + "." + minor + "." + parts[2]
}
