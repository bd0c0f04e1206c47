package chart

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sample is two profiles of five scenarios each.
func sample() []Profile {
	out := []Profile{{Name: "simple", Title: "3 rules"}, {Name: "many", Title: "1,000 rules"}}
	for i := range out {
		for n, name := range []string{"warm", "nojit", "cold", "adaptive", "upstream"} {
			s := Scenario{Name: name, Words: "what " + name + " is"}
			for batch := range 40 {
				took := time.Duration(1+n*n*(i+1)) * time.Millisecond
				took += time.Duration((batch*7919)%13) * 50 * time.Microsecond
				s.Points = append(s.Points, Point{Batch: batch, Latency: took, CPU: took / 2, RSS: int64(batch) << 20})
			}
			out[i].Scenarios = append(out[i].Scenarios, s)
		}
	}
	return out
}

func TestCSV(t *testing.T) {
	var b strings.Builder
	require.NoError(t, WriteCSV(&b, []Profile{{Name: "many", Scenarios: []Scenario{
		{Name: "warm", Points: []Point{
			{Batch: 0, Latency: 1500 * time.Microsecond, CPU: 12 * time.Nanosecond, RSS: 3 << 19},
			{Batch: 7, Latency: 2 * time.Second},
		}},
		{Name: `co"ld,`, Points: []Point{{Batch: 1}}},
	}}}))
	require.Equal(t, `scenario,batch,latency_ms,cpu_ms,rss_mib,profile
warm,0,1.500000,0.000012,1.50,many
warm,7,2000.000000,0.000000,0.00,many
"co""ld,",1,0.000000,0.000000,0.00,many
`, b.String())
}

func TestCSVHasEveryBatch(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, WriteCSV(&b, sample()))
	lines, err := csv.NewReader(&b).ReadAll()
	require.NoError(t, err)
	require.Len(t, lines, 1+2*5*40)
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk is full") }

func TestErrorsOfTheWriterAreTold(t *testing.T) {
	for name, write := range map[string]func(io.Writer, []Profile) error{"csv": WriteCSV, "svg": WriteSVG, "png": WritePNG} {
		require.ErrorContains(t, write(brokenWriter{}, sample()), "disk is full", name)
	}
}

func TestPNGShowsEveryScenario(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, WritePNG(&b, sample()))
	img, err := png.Decode(&b)
	require.NoError(t, err)
	require.Equal(t, image.Rect(0, 0, 13*dpi, int(height(sample()).Dots(dpi))), img.Bounds())
	seen := colours(img)
	white := seen[color.NRGBA{R: 0xff, G: 0xff, B: 0xff, A: 0xff}]
	require.Greater(t, white, img.Bounds().Dx()*img.Bounds().Dy()/2, "a light background")
	for name, l := range looksOf(sample()) {
		c := color.NRGBAModel.Convert(l.line.Color).(color.NRGBA)
		require.Greater(t, seen[c], 500, "pixels of %s, %v", name, c)
	}
}

func colours(img image.Image) map[color.NRGBA]int {
	seen := map[color.NRGBA]int{}
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			seen[color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)]++
		}
	}
	return seen
}

func TestSVGSaysWhatIsDrawn(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, WriteSVG(&b, sample()))
	texts, paths := parseSVG(t, b.Bytes())
	for _, want := range []string{
		"warm", "what warm is", "nojit", "cold", "adaptive", "upstream", "3 rules: distribution", "3 rules: time line",
		"1,000 rules: distribution", "latency of a batch (log scale)", "batches that took no longer (%)",
		"batch (dot at 0: first evaluation)", "1 ms", "95",
	} {
		require.Contains(t, texts, want)
	}
	require.Greater(t, paths, 40, "lines, bands, axes and ticks")
	require.NotContains(t, b.String(), "NaN")
}

// parseSVG returns the texts of a picture and how many paths it has.
func parseSVG(t *testing.T, content []byte) (texts []string, paths int) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(content))
	within := ""
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return texts, paths
		}
		require.NoError(t, err)
		switch x := token.(type) {
		case xml.StartElement:
			if within = x.Name.Local; within == "path" {
				paths++
			}
		case xml.CharData:
			if within == "text" && strings.TrimSpace(string(x)) != "" {
				texts = append(texts, string(x))
			}
		}
	}
}

func TestOddDataIsDrawn(t *testing.T) {
	for name, p := range map[string][]Profile{
		"nothing":      nil,
		"no scenarios": {{Name: "a", Title: "a"}},
		"no points":    {{Name: "a", Scenarios: []Scenario{{Name: "warm"}}}},
		"one point":    {{Name: "a", Scenarios: []Scenario{{Name: "warm", Points: []Point{{Batch: 1, Latency: time.Millisecond}}}}}},
		"only a first": {{Name: "a", Scenarios: []Scenario{{Name: "warm", Points: []Point{{Batch: 0, Latency: time.Millisecond}}}}}},
		"no time":      {{Name: "a", Scenarios: []Scenario{{Name: "warm", Points: []Point{{Batch: 1}, {Batch: 2}}}}}},
		"far apart": {{Name: "a", Scenarios: []Scenario{{Name: "warm", Points: []Point{
			{Batch: 1, Latency: 1}, {Batch: 2, Latency: time.Hour},
		}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			require.NoError(t, WritePNG(&b, p))
			_, err := png.Decode(&b)
			require.NoError(t, err)
			b.Reset()
			require.NoError(t, WriteSVG(&b, p))
			require.NotContains(t, b.String(), "NaN")
		})
	}
}

func TestDistribution(t *testing.T) {
	s := Scenario{Points: []Point{
		{Batch: 0, Latency: time.Hour}, {Batch: 1, Latency: time.Second}, {Batch: 2, Latency: 10 * time.Millisecond},
	}}
	require.Equal(t, []xy{{-2, 0}, {-2, 50}, {0, 50}, {0, 100}}, s.distribution())
}

func TestTimeline(t *testing.T) {
	var s Scenario
	for i := range 3*maxBuckets + 1 {
		s.Points = append(s.Points, Point{Batch: i, Latency: time.Millisecond})
	}
	s.Points[2].Latency = time.Second
	s.Points[3].Latency = time.Microsecond
	median, low, high := s.timeline()
	require.Len(t, median, maxBuckets)
	require.InDelta(t, 2, median[0].x, 1e-9)
	require.InDelta(t, -3, median[0].y, 1e-9, "one of three is no reason to move")
	require.InDelta(t, -6, low[0].y, 1e-9)
	require.InDelta(t, 0, high[0].y, 1e-9)
	require.Equal(t, median[1], low[1])
	require.Equal(t, median[1], high[1])
}

func TestLatencyTicks(t *testing.T) {
	labels := func(low, high float64) string {
		var out []string
		for _, x := range (latencyTicks{}).Ticks(low, high) {
			if x.Label != "" {
				out = append(out, fmt.Sprintf("%.3f=%s", x.Value, x.Label))
			}
		}
		return strings.Join(out, " ")
	}
	require.Equal(t, "-9.000=1 ns -8.000=10 ns -7.000=100 ns -6.000=1 µs -5.000=10 µs", labels(-9, -5))
	require.Equal(t, "-4.000=100 µs -3.699=200 µs -3.301=500 µs -3.000=1 ms -2.699=2 ms -2.301=5 ms", labels(-4, -2.1))
	require.Equal(t, "-1.000=100 ms 0.000=1 s 1.000=10 s 2.000=100 s 3.000=1000 s", labels(-1.3, 3.2))
}

func TestBoundsHaveRoomForAll(t *testing.T) {
	for _, c := range []struct{ least, most, low, high float64 }{
		{0.0011, 0.9, 0.001, 1}, {0.001, 0.001, 0.001, 0.002}, {0.0049, 0.0051, 0.002, 0.01}, {3, 70, 2, 100},
	} {
		low, high := bounds([]float64{logOf(c.most), logOf(c.least)})
		require.InDelta(t, logOf(c.low), low, 1e-9, "%+v", c)
		require.InDelta(t, logOf(c.high), high, 1e-9, "%+v", c)
	}
}

func logOf(seconds float64) float64 { return logarithm(time.Duration(seconds * float64(time.Second))) }

func TestCountTicks(t *testing.T) {
	for high, want := range map[float64]string{3: "0 1 2 3", 40: "0 10 20 30 40", 300: "0 50 100 150 200 250 300", 1: "0 1"} {
		var got []string
		for _, x := range (countTicks{}).Ticks(-1, high) {
			got = append(got, x.Label)
		}
		require.Equal(t, want, strings.Join(got, " "), "%v", high)
	}
}

func TestNoTwoScenariosLookTheSame(t *testing.T) {
	seen := map[string]string{}
	for name, l := range looksOf(sample()) {
		look := fmt.Sprint(l.line.Dashes)
		require.Empty(t, seen[look], "%s and %s have the same dashes", name, seen[look])
		seen[look] = name
	}
}
