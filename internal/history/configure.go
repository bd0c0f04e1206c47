package history

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/alecthomas/units"
	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage/remote"
	"go.yaml.in/yaml/v2"
)

// Settings are those of Options that may change while the store is open; fields mean what they mean there.
type Settings struct {
	RetentionTime    time.Duration
	RetentionSize    int64
	OutOfOrderWindow time.Duration
	MaxExemplars     int
}

// Apply makes the database follow set.
func (s *Store) Apply(set Settings) error {
	o := Options{Dir: s.dir, RetentionTime: set.RetentionTime, RetentionSize: set.RetentionSize,
		OutOfOrderWindow: set.OutOfOrderWindow, MaxExemplars: set.MaxExemplars}.WithDefaults()
	if err := o.Validate(); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	err := s.db.ApplyConfig(&promconfig.Config{StorageConfig: promconfig.StorageConfig{
		TSDBConfig: &promconfig.TSDBConfig{
			OutOfOrderTimeWindow: o.OutOfOrderWindow.Milliseconds(),
			Retention: &promconfig.TSDBRetentionConfig{
				Time: model.Duration(max(0, o.RetentionTime)),
				Size: units.Base2Bytes(o.RetentionSize),
			},
		},
		ExemplarsConfig: &promconfig.ExemplarsConfig{MaxExemplars: int64(max(0, o.MaxExemplars))},
	}})
	if err != nil {
		return explain("apply the settings to", s.dir, err)
	}
	return nil
}

// SetSubqueryStep changes the resolution of subqueries that name none: the configuration's evaluation interval. Steps
// below a millisecond are ignored.
func (s *Store) SetSubqueryStep(d time.Duration) {
	if d >= time.Millisecond {
		s.subqueryStep.Store(d.Milliseconds())
	}
}

// destinations are what remote write depends on.
type destinations struct {
	configs []*promconfig.RemoteWriteConfig
	labels  labels.Labels
}

// ApplyRemoteWrite makes remote write follow cfg's remote_write section and external labels. Queues whose settings did
// not change run on. On an error nothing changes.
func (s *Store) ApplyRemoteWrite(cfg *promconfig.Config) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	if err := checkRemoteWrite(cfg.RemoteWriteConfigs); err != nil {
		return err
	}
	own := *cfg
	own.RemoteReadConfigs = nil // Queries are answered from this history alone.
	next := destinations{own.RemoteWriteConfigs, own.GlobalConfig.ExternalLabels}
	if s.destinations != nil && reflect.DeepEqual(*s.destinations, next) {
		return nil // upstream would hand its running queues new clients, and races with them
	}
	s.destinations = nil // on an error nobody knows how much of it was taken
	if err := s.remote.ApplyConfig(&own); err != nil {
		return fmt.Errorf("remote_write: %w", err)
	}
	s.destinations = &next
	s.sending.Store(len(cfg.RemoteWriteConfigs) > 0)
	return nil
}

// checkRemoteWrite finds beforehand what upstream finds half-way, when it has let go of queues that still run:
// destinations given twice (upstream compares what YAML shows, which is without secrets) and unusable clients.
func checkRemoteWrite(configs []*promconfig.RemoteWriteConfig) error {
	seen := map[string]int{}
	var errs []error
	for i, c := range configs {
		shown, err := yaml.Marshal(c)
		if err != nil {
			errs = append(errs, fmt.Errorf("remote_write[%d]: %w", i, err))
			continue
		}
		if first, ok := seen[string(shown)]; ok {
			errs = append(errs, fmt.Errorf("remote_write[%d] is the same as remote_write[%d] (%s); remove one of them", i, first, c.URL.Redacted()))
			continue
		}
		seen[string(shown)] = i
		_, err = remote.NewWriteClient(c.Name, &remote.ClientConfig{
			URL:              c.URL,
			WriteProtoMsg:    c.ProtobufMessage,
			Timeout:          c.RemoteTimeout,
			HTTPClientConfig: c.HTTPClientConfig,
			SigV4Config:      c.SigV4Config,
			AzureADConfig:    c.AzureADConfig,
			GoogleIAMConfig:  c.GoogleIAMConfig,
			Headers:          c.Headers,
			RetryOnRateLimit: c.QueueConfig.RetryOnRateLimit,
			RoundRobinDNS:    c.RoundRobinDNS,
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("remote_write[%d] (%s): %w", i, c.URL.Redacted(), err))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return &failure{text: oneLine(errors.Join(errs...)), errs: errs}
}
