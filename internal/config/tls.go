package config

import (
	"os"

	"go.yaml.in/yaml/v3"
)

// TLS reports whether the web configuration file asks for TLS, and so whether URLs of this server begin with https. A
// file that cannot be read asks for nothing here; serving will say what is wrong with it.
func (c *Config) TLS() bool {
	if c.Tocsin.Web.ConfigFile == "" {
		return false
	}
	content, err := os.ReadFile(c.Tocsin.Web.ConfigFile)
	if err != nil {
		return false
	}
	var w struct {
		TLS map[string]any `yaml:"tls_server_config"`
	}
	return yaml.Unmarshal(content, &w) == nil && len(w.TLS) > 0
}
