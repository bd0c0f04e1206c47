package tocsin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tocsin/tocsin/internal/config"
	"github.com/tocsin/tocsin/internal/drill"
	"github.com/tocsin/tocsin/internal/tenant"
	"github.com/tocsin/tocsin/internal/web"
)

// closingHistory is the last part of stopping.
const closingHistory = "history"

// errLeft says that the end came while history was still replaying its log.
var errLeft = errors.New("stopped while opening")

// Run opens the data directory, serves until ctx ends, then stops within the configured time. It returns nil after an
// orderly stop. Health checks are answered from its first moment on, the rest once history has replayed its log.
//
// A replay cannot be interrupted. When ctx ends during one, Run returns at once, since nothing was taken in yet; the
// replay then ends in the background, and only then is the data directory free.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var work sync.WaitGroup
	work.Go(func() {
		if err := s.web.Serve(s.listener); err != nil {
			cancel(err)
		}
	})
	err := s.open(ctx, s.initial)
	switch {
	case err == nil:
		s.web.SetReady(true)
		s.announce()
		work.Go(func() { s.watch(ctx, s.seen) })
		<-ctx.Done()
		err = served(ctx)
	case errors.Is(err, errLeft):
		s.logger.Info("Stopping before the data directory is open; nothing was taken in")
		err = served(ctx)
	}
	cancel(nil)
	return errors.Join(err, s.stop(&work))
}

// open opens the house and sets it going.
func (s *Server) open(ctx context.Context, cfg *config.Config) error {
	s.reloadMu.Lock() // a reload that comes meanwhile waits
	defer s.reloadMu.Unlock()
	if err := makeDataDir(cfg.Tocsin.Data); err != nil {
		return err
	}
	external, err := s.externalURL(cfg)
	if err != nil {
		return err
	}
	desk, err := drill.NewDesk(s.logger.With("part", "drill"))
	if err != nil {
		return err
	}
	desk.Start()
	s.desk.Store(desk)
	if s.console != nil {
		s.console.Start()
	}
	s.openKernels(cfg)
	h, err := s.openHouseUntil(ctx, cfg, external)
	if err != nil {
		return err
	}
	s.house = h
	if err := s.applyAll(nil, cfg); err != nil {
		return err
	}
	if err := h.start(); err != nil {
		return err
	}
	s.warmUp(ctx, cfg)
	return s.web.SetTenants(map[tenant.ID]*web.Tenant{h.id: h.view()})
}

// served returns why serving ended by itself, nil when it was asked to.
func served(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// budget splits shutdown_timeout, so that no part's trouble takes the time that another needs: a third for requests in
// flight, a sixth each for evaluations, for notifications and for remote write's last samples. The rest is slack.
type budget time.Duration

func (b budget) requests() time.Duration      { return max(time.Duration(b)/3, time.Millisecond) }
func (b budget) evaluations() time.Duration   { return max(time.Duration(b)/6, time.Millisecond) }
func (b budget) notifications() time.Duration { return max(time.Duration(b)/6, time.Millisecond) }

func (s *Server) budget() budget { return budget(s.initial.Tocsin.ShutdownTimeout) }

// stop ends everything that runs, from the doors inwards, within shutdown_timeout.
func (s *Server) stop(work *sync.WaitGroup) error {
	timeout := time.Duration(s.initial.Tocsin.ShutdownTimeout)
	s.logger.Info("Stopping", "timeout", timeout.String())
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	var at atomic.Value // what is being ended
	at.Store("requests")
	ended := make(chan error, 1)
	go func() { ended <- s.stopAll(work, func(what string) { at.Store(what) }) }()
	select {
	case err := <-ended:
		if err == nil {
			s.logger.Info("Stopped")
		}
		return err
	case <-limit.C:
		if at.Load() == closingHistory {
			// Samples that another server did not take in time are no reason to report a failure: they are kept here.
			s.logger.Warn("Stopped without waiting any longer for remote write or the data directory; what was accepted is in the write-ahead log",
				"timeout", timeout.String())
			return nil
		}
		return fmt.Errorf("stop: %s had not ended after %s (tocsin.shutdown_timeout); what was accepted is in the write-ahead log", at.Load(), timeout)
	}
}

// stopAll ends everything, however long it takes, and tells before each part which it is.
func (s *Server) stopAll(work *sync.WaitGroup, at func(string)) error {
	if desk := s.desk.Load(); desk != nil {
		desk.EndWaits() // a request that waits for a drill would hold up the others' end
	}
	ctx, done := context.WithTimeout(context.Background(), s.budget().requests())
	defer done()
	if err := s.web.Shutdown(ctx); err != nil {
		s.logger.Warn("Requests were cut off", "err", err)
	}
	at("a reload")
	s.reloadMu.Lock()
	s.stopping = true
	s.reloadMu.Unlock()
	work.Wait()
	var err error
	if s.house != nil {
		err = s.house.stop(at)
	}
	err = errors.Join(err, s.closeKernels())
	if desk := s.desk.Load(); desk != nil {
		desk.Stop()
	}
	if s.console != nil {
		s.console.Stop()
	}
	return err
}
