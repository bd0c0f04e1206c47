package e2e_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/stretchr/testify/require"
)

// acknowledged is what a client was told was taken: series and pushed groups with their value, each written once.
type acknowledged struct {
	mu               sync.Mutex
	samples, pushes  map[string]float64
	refused, unknown int // answered with an error; not answered at all
}

func (a *acknowledged) note(to map[string]float64, id string, v float64, code int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case code/100 == 2:
		to[id] = v
	case code != 0:
		a.refused++
	default:
		a.unknown++
	}
}

// load writes and pushes at base until stop is closed. What is not answered is not written again: it may be there or not.
func (a *acknowledged) load(base string, round int, stop <-chan struct{}) *sync.WaitGroup {
	client := &http.Client{Timeout: 20 * time.Second}
	send := func(method, path string, header http.Header, body []byte) int {
		req, err := http.NewRequest(method, base+path, bytes.NewReader(body))
		if err != nil {
			panic(err)
		}
		req.Header = header
		resp, err := client.Do(req)
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	each := func(work *sync.WaitGroup, do func(i int)) {
		work.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					do(i)
				}
			}
		})
	}
	var work sync.WaitGroup
	for w := range 3 {
		each(&work, func(i int) {
			id, v := fmt.Sprintf("%d-%d-%d", round, w, i), float64(i)
			req := prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
				Labels:  prompb.FromLabels(labels.FromStrings("__name__", "crash_sample", "id", id), nil),
				Samples: []prompb.Sample{{Value: v, Timestamp: time.Now().UnixMilli()}},
			}}}
			raw, err := req.Marshal()
			if err != nil {
				panic(err)
			}
			code := send(http.MethodPost, "/api/v1/write", http.Header{"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {"snappy"}}, snappy.Encode(nil, raw))
			a.note(a.samples, id, v, code)
		})
	}
	each(&work, func(i int) {
		id, v := fmt.Sprintf("%d-%d", round, i), float64(i)
		a.note(a.pushes, id, v, send(http.MethodPut, "/metrics/job/crash/id/"+id, http.Header{}, fmt.Appendf(nil, "crash_push %d\n", i)))
	})
	return &work
}

// check expects s to have everything that was acknowledged, however long ago within the test.
func (a *acknowledged) check(t *testing.T, s *server) {
	t.Helper()
	for name, want := range map[string]map[string]float64{"crash_sample": a.samples, "crash_push": a.pushes} {
		got := map[string]float64{}
		v, err := s.query("last_over_time(" + name + "[1h])")
		require.NoError(t, err)
		for i := range v {
			var f float64
			_, err := fmt.Sscan(v.value(i), &f)
			require.NoError(t, err)
			got[v[i].Metric["id"]] = f
		}
		for id, value := range want {
			have, ok := got[id]
			require.True(t, ok, "%s %s was acknowledged and is lost; %d of %d are there", name, id, len(got), len(want))
			require.Equal(t, value, have, "%s %s", name, id)
		}
	}
}

// TestKill9UnderLoad kills tocsin again and again while clients write and push, at random moments, restarts included.
// Whatever a client was told was taken must be there after each restart.
func TestKill9UnderLoad(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	rounds, limit := 30, 25*time.Second
	if testing.Short() {
		rounds = 4
	}
	dir := t.TempDir()
	write(t, dir, "tocsin.yml", "tocsin: {self_scrape: {enabled: false}}\n")
	all := &acknowledged{samples: map[string]float64{}, pushes: map[string]float64{}}
	began, killed := time.Now(), 0
	for round := 0; round < rounds && time.Since(began) < limit; round++ {
		if chance.IntN(4) == 0 { // a death while starting
			s := launch(t, dir, "--config", "tocsin.yml")
			time.Sleep(time.Duration(chance.IntN(150)) * time.Millisecond)
			s.kill()
			killed++
		}
		s := start(t, dir, "--config", "tocsin.yml")
		all.check(t, s)
		stop := make(chan struct{})
		work := all.load(s.url, round, stop)
		time.Sleep(time.Duration(20+chance.IntN(400)) * time.Millisecond)
		s.kill()
		killed++
		close(stop)
		work.Wait()
	}
	s := start(t, dir, "--config", "tocsin.yml")
	all.check(t, s)
	t.Logf("seed %d: killed %d times; acknowledged %d samples and %d pushes, %d refused, %d unanswered",
		seed, killed, len(all.samples), len(all.pushes), all.refused, all.unknown)
	require.NotEmpty(t, all.samples)
	require.NotEmpty(t, all.pushes)
	s.stop()
}
