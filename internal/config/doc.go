// Package config reads the configuration file: it parses, fills defaults, validates and warns.
//
// The file is a plain Prometheus configuration file plus one extra top-level key, `tocsin:`, that holds every setting
// of ours (type Tocsin; Reference prints it whole). A plain prometheus.yml is therefore a valid file, and Prometheus's
// sections mean what they mean there: they are decoded by Prometheus's own code. What is added on the way:
//
//   - `${NAME}` and `${NAME:-default}` are replaced in values (see expand.go for where they are not);
//   - `*_sd_configs` of discovery kinds that this binary does not link are taken out and named in a warning;
//   - files named by scrape_config_files are read once, here, so that a reload is one consistent picture;
//   - every error says file, line, column and field.
//
// It must not know who uses the settings: it opens no listener, no database and no connection, and keeps nothing
// between two loads. It knows the configuration types of Prometheus and Alertmanager and no other room of the house
// but the limits of package series.
package config
