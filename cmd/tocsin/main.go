// Command tocsin watches metrics and rings the moment a sample crosses a line.
//
// This package is the door: flags, signals and exit codes. What happens behind it is package tocsin's business.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// The exit codes, the same for every command, so that scripts can rely on them.
const (
	exitOK     = 0
	exitFailed = 1 // what was asked about is not well: a check, a test or a query failed, nothing was delivered, run stopped with an error
	exitUsage  = 2 // the command line itself is wrong
)

// errReported ends a command with exitFailed after it has printed its own verdict.
var errReported = errors.New("reported")

type cli struct {
	Run           runCmd           `cmd:"" help:"Take metrics in, evaluate rules, tell people. Needs no configuration."`
	Check         checkCmd         `cmd:"" help:"Check files without running them."`
	Test          testCmd          `cmd:"" help:"Run rule unit tests in promtool's format."`
	Query         queryCmd         `cmd:"" help:"Ask a running tocsin (or Prometheus) a PromQL question."`
	Explain       explainCmd       `cmd:"" help:"Why an alert fired, why it does not, who was told."`
	History       historyCmd       `cmd:"" help:"What became of alerts, and who was told."`
	Ack           ackCmd           `cmd:"" help:"Say that you look after an alert: it is not repeated to people meanwhile."`
	Notifications notificationsCmd `cmd:"" help:"What people still have to be told, and what they could not be told."`
	Silence       silenceCmd       `cmd:"" help:"Silences that come back."`
	Drill         drillCmd         `cmd:"" help:"Ring the bell on purpose: one breach through the front door, timed to its delivery."`
	Bench         benchCmd         `cmd:"" help:"Measure tocsin on this machine: evaluation on every tier, latency to the webhook."`
	Reference     referenceCmd     `cmd:"" help:"Print every setting of the configuration file with its default."`
	Completion    completionCmd    `cmd:"" help:"Print a shell completion script."`
	Version       versionCmd       `cmd:"" help:"Say which tocsin this is."`
}

const description = `tocsin is a monitoring and alerting engine that speaks Prometheus.

First steps:
  tocsin run                            watch this host; then open http://127.0.0.1:9909
  tocsin drill                          prove that an alert gets through, leg by leg
  tocsin run --config prometheus.yml    run what you already have
  tocsin check rules rules/*.yml        is every rule valid, and what did it become
  tocsin query 'up == 0'                ask a question
  tocsin history --since 24h            what fired, and who was told
  tocsin explain TargetDown             why an alert fired, or why it does not

Exit codes: 0 all is well, 1 what was asked about is not, 2 the command line is wrong.`

// streams is where a command writes; tests put buffers here.
type streams struct {
	out, err io.Writer
}

func main() {
	os.Exit(realMain(os.Args[1:], streams{out: os.Stdout, err: os.Stderr}))
}

func realMain(args []string, s streams) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var c cli
	exit := -1
	parser, err := newParser(&c, s, func(code int) { exit = code })
	if err != nil {
		panic("BUG: command line model: " + err.Error())
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	kctx, err := parse(parser, args, &exit)
	switch {
	case exit >= 0: // --help printed and asked to leave
		return exit
	case err != nil:
		fmt.Fprintf(s.err, "tocsin: %v\nTry 'tocsin --help'.\n", err)
		return exitUsage
	}
	kctx.BindTo(ctx, (*context.Context)(nil))
	kctx.Bind(s, kctx.Model)
	switch err := kctx.Run(); {
	case err == nil:
		return exitOK
	case errors.Is(err, errReported):
		return exitFailed
	default:
		fmt.Fprintf(s.err, "tocsin: %v\n", err)
		return exitFailed
	}
}

func newParser(c *cli, s streams, exit func(int)) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("tocsin"),
		kong.Description(description),
		kong.Writers(s.out, s.err),
		kong.Exit(func(code int) { exit(code); panic(leave{}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}),
	)
}

// leave unwinds kong after --help: its Exit hook must not return.
type leave struct{}

func parse(k *kong.Kong, args []string, exit *int) (kctx *kong.Context, err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(leave); !ok {
				panic(r)
			}
		}
	}()
	return k.Parse(args)
}
