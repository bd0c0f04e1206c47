package tocsin

import (
	"context"
	"fmt"
	"time"

	"github.com/tocsin/tocsin/internal/config"
	"github.com/tocsin/tocsin/internal/jit"
)

// openKernels makes the compiler of rules' arithmetic, which all tenants share.
func (s *Server) openKernels(cfg *config.Config) {
	s.kernels = jit.New(s.jitOptions(cfg))
	s.registry.MustRegister(jit.NewCollector(s.kernels))
}

// jitOptions are what the configuration says of the compiler.
func (s *Server) jitOptions(cfg *config.Config) jit.Options {
	j := cfg.Tocsin.JIT
	mode, err := jit.ParseMode(string(j.Mode))
	if err != nil {
		panic("BUG: a configuration that was not validated: " + err.Error())
	}
	return jit.Options{
		Mode:         mode,
		CompileCPUs:  j.CompileCPUs,
		CompileNice:  j.CompileNice,
		MaxCodeBytes: int64(j.MaxSize),
		HotAfter:     time.Duration(j.HotAfter),
		ColdAfter:    time.Duration(j.ColdAfter),
		PerfMap:      j.PerfMap,
		Logger:       s.logger.With("part", "jit"),
	}
}

// applyKernels lets the compiler follow a reload.
func (s *Server) applyKernels(cfg *config.Config) error { return s.kernels.Apply(s.jitOptions(cfg)) }

// warmUp waits until all arithmetic of the rules that were loaded is compiled and has run once. When ctx ends first, it
// goes on without: rules are evaluated all the same.
func (s *Server) warmUp(ctx context.Context, cfg *config.Config) {
	if !cfg.Tocsin.JIT.Warmup {
		return
	}
	if err := s.kernels.WarmUp(ctx); err != nil {
		s.logger.Warn("Not everything is warm yet", "part", "jit", "err", err)
	}
}

// closeKernels gives the memory of machine code back, once nobody evaluates any more.
func (s *Server) closeKernels() error {
	if s.kernels == nil {
		return nil
	}
	if err := s.kernels.Close(); err != nil {
		return fmt.Errorf("machine code of rules: %w", err)
	}
	return nil
}
