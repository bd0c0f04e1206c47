package scrape

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/scrape"
)

// InnerJob returns the configuration of a job that scrapes a handler of Options.Inner at address, to be appended to a
// configuration before Apply. The target's instance label is instance, or address where that is empty. Upstream's
// validation has filled in its defaults; an error is a BUG of the caller's constants and panics.
func InnerJob(job, address, path, instance string, interval, timeout time.Duration) *promconfig.ScrapeConfig {
	sc := promconfig.DefaultScrapeConfig
	sc.JobName = job
	sc.MetricsPath = path
	sc.ScrapeInterval = model.Duration(interval)
	sc.ScrapeTimeout = model.Duration(timeout)
	ls := model.LabelSet{}
	if instance != "" {
		ls[model.InstanceLabel] = model.LabelValue(instance)
	}
	sc.ServiceDiscoveryConfigs = discovery.Configs{discovery.StaticConfig{&targetgroup.Group{
		Targets: []model.LabelSet{{model.AddressLabel: model.LabelValue(address)}},
		Labels:  ls,
		Source:  "0",
	}}}
	if err := sc.Validate(promconfig.DefaultGlobalConfig); err != nil {
		panic(fmt.Sprintf("BUG: inner job %q: %s", job, err))
	}
	return &sc
}

// inner serves handlers of this process to the scraper's HTTP client through memory: no port, no TLS, no password, and
// still targets like any other.
type inner struct {
	listeners map[string]*pipeListener
	servers   []*http.Server
	work      sync.WaitGroup
	outside   net.Dialer
}

func newInner(handlers map[string]http.Handler) *inner {
	in := &inner{listeners: map[string]*pipeListener{}}
	for address, h := range handlers {
		in.listeners[address] = newPipeListener(address)
		in.servers = append(in.servers, &http.Server{Addr: address, Handler: h, ReadHeaderTimeout: 10 * time.Second})
	}
	return in
}

func (in *inner) start() {
	for _, srv := range in.servers {
		in.work.Go(func() {
			// It ends with ErrServerClosed; a listener in memory has nothing else to say.
			_ = srv.Serve(in.listeners[srv.Addr])
		})
	}
}

func (in *inner) stop() {
	for _, srv := range in.servers {
		_ = srv.Close()
		_ = in.listeners[srv.Addr].Close()
	}
	in.work.Wait()
}

// dial connects to an inner address, or to the network for any other.
func (in *inner) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if l, ok := in.listeners[address]; ok {
		return l.dial(ctx)
	}
	return in.outside.DialContext(ctx, network, address)
}

// usesUnixSocket reports whether a job says that it wants its targets dialled through Unix sockets. Upstream's client for
// those is built with a dialler that the one above replaces: there is one such option for all jobs.
func usesUnixSocket(job *promconfig.ScrapeConfig) bool {
	for _, rc := range job.RelabelConfigs {
		if rc.TargetLabel == scrape.UnixSocketLabel {
			return true
		}
	}
	for _, sd := range job.ServiceDiscoveryConfigs {
		groups, ok := sd.(discovery.StaticConfig)
		if !ok {
			continue
		}
		for _, g := range groups {
			for _, ls := range append([]model.LabelSet{g.Labels}, g.Targets...) {
				if _, ok := ls[scrape.UnixSocketLabel]; ok {
					return true
				}
			}
		}
	}
	return false
}

// pipeListener is a net.Listener whose connections are pipes.
type pipeListener struct {
	address pipeAddress
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newPipeListener(address string) *pipeListener {
	return &pipeListener{address: pipeAddress(address), conns: make(chan net.Conn), closed: make(chan struct{})}
}

var errPipeClosed = errors.New("the in-memory target is closed")

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, errPipeClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, errPipeClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return l.address }

type pipeAddress string

func (pipeAddress) Network() string  { return "memory" }
func (a pipeAddress) String() string { return string(a) }
