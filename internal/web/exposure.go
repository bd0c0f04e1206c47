package web

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v2"
)

// ErrExposed is what CheckExposure's error wraps when the address would be open to strangers.
var ErrExposed = errors.New("listening beyond loopback needs authentication")

// CheckExposure says whether listenAddr may be listened on: a loopback address always; any other only with a web
// configuration that asks for basic authentication or for verified client certificates. It also says what is wrong with
// the web configuration itself, loopback or not.
func CheckExposure(listenAddr, webConfigFile string) error {
	host, _, err := net.SplitHostPort(listenAddr)
	if err != nil {
		return fmt.Errorf("listen address %q: %w; write it as HOST:PORT", listenAddr, err)
	}
	authenticates := false
	if webConfigFile != "" {
		if authenticates, err = authentication(webConfigFile); err != nil {
			return err
		}
	}
	if isLoopback(host) || authenticates {
		return nil
	}
	if webConfigFile == "" {
		return fmt.Errorf("%s: %w: name a web configuration file (tocsin.web.config_file) that has basic_auth_users or client_auth_type: "+
			"RequireAndVerifyClientCert, or listen on 127.0.0.1", listenAddr, ErrExposed)
	}
	return fmt.Errorf("%s: %w: add basic_auth_users, or tls_server_config with client_ca_file and client_auth_type: "+
		"RequireAndVerifyClientCert, to %s, or listen on 127.0.0.1", listenAddr, ErrExposed, webConfigFile)
}

// authentication reports whether the web configuration keeps strangers out. Certificates that are asked for but not
// verified do not.
func authentication(webConfigFile string) (bool, error) {
	if err := toolkit.Validate(webConfigFile); err != nil {
		return false, fmt.Errorf("web configuration %s: %w", webConfigFile, err)
	}
	content, err := os.ReadFile(webConfigFile)
	if err != nil {
		return false, fmt.Errorf("web configuration: %w", err)
	}
	var c toolkit.Config
	if err := yaml.Unmarshal(content, &c); err != nil {
		return false, fmt.Errorf("web configuration %s: %w", webConfigFile, err)
	}
	certificates := c.TLSConfig.ClientAuth == "RequireAndVerifyClientCert" &&
		(c.TLSConfig.ClientCAs != "" || c.TLSConfig.ClientCAsText != "")
	return len(c.Users) > 0 || certificates, nil
}

// isLoopback reports whether host can be reached from this machine only.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	if at := strings.IndexByte(host, '%'); at >= 0 {
		host = host[:at]
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// exposureWatch looks at the web configuration again whenever the file changes. The toolkit reads it anew for every
// request, so that users can be added while it runs; without this, an edit that removes the last one would open a server
// that was refused the right to start so.
type exposureWatch struct {
	file string

	mu            sync.Mutex
	modified      time.Time
	size          int64
	authenticates bool
}

// allows reports whether the file, as it is now, asks for authentication.
func (e *exposureWatch) allows() bool {
	info, err := os.Stat(e.file)
	if err != nil {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !info.ModTime().Equal(e.modified) || info.Size() != e.size {
		ok, err := authentication(e.file)
		e.modified, e.size, e.authenticates = info.ModTime(), info.Size(), ok && err == nil
	}
	return e.authenticates
}
