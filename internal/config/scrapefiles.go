package config

import (
	"fmt"
	"path/filepath"
	"reflect"

	promconfig "github.com/prometheus/prometheus/config"
	yamlv2 "go.yaml.in/yaml/v2"
)

// scrapeConfigFiles reads the files that scrape_config_files names and adds their jobs to the configuration, checked as
// Prometheus's GetScrapeConfigs does it when it is first asked. It is done here, once, so that the files take part in
// expansion and warnings, and so that a file that changes later is taken up by a reload and not in the middle of things.
func (l *load) scrapeConfigFiles(doc *document) {
	cfg := l.c.Prometheus
	l.c.ScrapeConfigFiles, cfg.ScrapeConfigFiles = cfg.ScrapeConfigFiles, nil
	l.unmatched(doc, "scrape_config_files", l.c.ScrapeConfigFiles)
	jobs := map[string]string{}
	for _, job := range cfg.ScrapeConfigs {
		jobs[job.JobName] = l.c.Path
	}
	for _, pattern := range l.c.ScrapeConfigFiles {
		files, err := filepath.Glob(pattern)
		if err != nil {
			l.errs = append(l.errs, &Error{File: l.c.Path, Path: "scrape_config_files", Message: fmt.Sprintf("scrape_config_files: %q: %s", pattern, err)})
		}
		for _, file := range files {
			l.scrapeConfigFile(file, jobs)
		}
	}
}

// scrapeConfigFile adds the jobs of one file; jobs holds the names that are taken, and by which file.
func (l *load) scrapeConfigFile(file string, jobs map[string]string) {
	content, err := readFile(file)
	if err != nil {
		l.errs = append(l.errs, asErrors(err)...)
		return
	}
	doc, next, err := parseDocument(file, content)
	if err != nil {
		l.errs = append(l.errs, asErrors(err)...)
		return
	}
	if next != nil {
		l.warn(doc.warningAt(next, nil, "a second YAML document begins here; only the first is used"))
	}
	if errs := doc.expand(l.o.LookupEnv); len(errs) > 0 {
		l.errs = append(l.errs, errs...)
		return
	}
	list, _ := lookup(doc.root, "scrape_configs")
	l.warn(doc.dropDiscovery(list)...)
	parse := func(text string) ([]*promconfig.ScrapeConfig, error) {
		var in promconfig.ScrapeConfigs
		if err := yamlv2.UnmarshalStrict([]byte(text), &in); err != nil {
			return nil, err
		}
		taken := map[string]string{}
		for name, by := range jobs {
			taken[name] = by
		}
		for _, job := range in.ScrapeConfigs {
			if err := job.Validate(l.c.Prometheus.GlobalConfig); err != nil {
				return nil, err
			}
			if by, ok := taken[job.JobName]; ok {
				return nil, fmt.Errorf("found multiple scrape configs with job name %q, first found in %s", job.JobName, by)
			}
			taken[job.JobName] = file
		}
		return in.ScrapeConfigs, nil
	}
	add, err := parse(doc.text())
	if err != nil {
		l.errs = append(l.errs, doc.upstreamErrors(err, reflect.TypeFor[promconfig.ScrapeConfigs](), func(text string) error {
			_, err := parse(text)
			return err
		})...)
		return
	}
	for _, job := range add {
		jobs[job.JobName] = file
		job.SetDirectory(filepath.Dir(file))
		l.c.Prometheus.ScrapeConfigs = append(l.c.Prometheus.ScrapeConfigs, job)
	}
}

// asErrors returns err, made by this package, as a list.
func asErrors(err error) Errors {
	switch e := err.(type) {
	case nil:
		return nil
	case Errors:
		return e
	case *Error:
		return Errors{e}
	}
	return Errors{{Message: err.Error()}}
}
