package main

import (
	"fmt"
	"os"

	"github.com/tocsin/tocsin/internal/config"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

type checkCmd struct {
	Config checkConfigCmd `cmd:"" help:"Check configuration files: tocsin's, Prometheus's or Alertmanager's."`
	Rules  checkRulesCmd  `cmd:"" help:"Check rule files: Prometheus's groups or simple rules."`
}

type checkConfigCmd struct {
	Files []string `arg:"" name:"file" help:"Files to check."`
	JSON  bool     `name:"json" help:"Print as JSON."`
}
