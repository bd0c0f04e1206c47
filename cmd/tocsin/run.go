package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tocsin/tocsin"
)

type runCmd struct {
	Config    string `help:"Configuration file: a prometheus.yml, with a 'tocsin:' section if you like. Without one, this host is watched." placeholder:"FILE"`
	Listen    string `help:"Address to serve on (default 127.0.0.1:9909). Beyond loopback it needs authentication: see 'tocsin reference', web.config_file." placeholder:"ADDR"`
	Data      string `help:"Directory for everything that must survive (default ./tocsin-data)." placeholder:"DIR"`
	LogLevel  string `name:"log.level" help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info"`
	LogFormat string `name:"log.format" help:"logfmt or json." enum:"logfmt,json" default:"logfmt"`
	Quiet     bool   `help:"Do not print alert transitions on standard output."`
}

func (c *runCmd) Help() string {
	return `Alert transitions are printed on standard output, one readable line each; the log goes to standard error.

SIGHUP and POST /-/reload read the configuration and the rule files again; so does changing them.
SIGTERM and SIGINT stop taking, finish what is in flight and exit 0, within tocsin.shutdown_timeout. A second SIGINT,
a second or more later, leaves at once.`
}

func (c *runCmd) Run(ctx context.Context, s streams) error {
	// Before anything else: a SIGHUP that comes while tocsin starts must not end it. Nor must a reader of the console or of
	// the log that goes away, as in `tocsin run | head`.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	signal.Ignore(syscall.SIGPIPE)
	logger, err := newLogger(s, c.LogLevel, c.LogFormat)
	if err != nil {
		return err
	}
	o := tocsin.Options{
		ConfigFile: c.Config,
		Listen:     c.Listen,
		DataDir:    c.Data,
		Logger:     logger,
	}
	if !c.Quiet {
		o.Console = s.out
	}
	srv, err := tocsin.New(o)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	defer close(ended)
	go reloadOn(hup, ended, srv)
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Run(ctx) }()
	return attend(ctx, stopped)
}

// reloadOn reloads at each SIGHUP until ended. Those that come during a reload count as one.
func reloadOn(hup <-chan os.Signal, ended <-chan struct{}, srv *tocsin.Server) {
	for {
		select {
		case <-hup:
			// Reload logs and counts its own outcome; there is nobody to return it to.
			_ = srv.Reload()
		case <-ended:
			return
		}
	}
}

// impatience is how long after the first SIGINT a second one counts: a terminal and a wrapper may each send the first.
const impatience = time.Second

// attend waits for the server's end, or for a second SIGINT, whichever comes first.
func attend(ctx context.Context, stopped <-chan error) error {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, syscall.SIGINT)
	defer signal.Stop(interrupts)
	ending := ctx.Done()
	var since time.Time // when stopping began
	for {
		select {
		case err := <-stopped:
			return err
		case <-ending:
			ending, since = nil, time.Now()
		case <-interrupts:
			if !since.IsZero() && time.Since(since) >= impatience {
				return errors.New("run: left at once, as a second interrupt asked; what was accepted is in the write-ahead log")
			}
		}
	}
}

func newLogger(s streams, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log.level: %w", err)
	}
	ho := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(s.err, ho)), nil
	}
	return slog.New(slog.NewTextHandler(s.err, ho)), nil
}
