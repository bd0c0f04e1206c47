package tocsin

import (
	"io"
	"log/slog"
	"os"
)

// Options configures a Server. The zero value watches this host on 127.0.0.1:9909 with data in ./tocsin-data.
type Options struct {
	// ConfigFile is the configuration's path; empty runs without one.
	ConfigFile string
	// Listen overrides the configuration's address.
	Listen string
	// DataDir overrides the configuration's data directory.
	DataDir string
	// Logger takes the log; nil discards it.
	Logger *slog.Logger
	// Console takes one readable line for each alert transition; nil prints none.
	Console io.Writer
	// LookupEnv resolves ${NAME} in the configuration; nil means os.LookupEnv.
	LookupEnv func(string) (string, bool)
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	return o
}
