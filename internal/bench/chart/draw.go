package chart

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"strings"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	width     = 13 * vg.Inch
	rowHeight = 4.6 * vg.Inch
	legend    = 0.95 * vg.Inch
	dpi       = 110
)

// WriteSVG draws the profiles, one below the other: the distribution of latencies and their time line.
func WriteSVG(w io.Writer, profiles []Profile) error {
	c := vgsvg.NewWith(vgsvg.UseWH(width, height(profiles)))
	if err := render(draw.New(c), profiles); err != nil {
		return err
	}
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return fmt.Errorf("write SVG: %w", err)
	}
	// The others are as wide, for those who do not have the font; within the file it would be a megabyte.
	svg := strings.ReplaceAll(b.String(), "font-family:Liberation Sans;", "font-family:'Liberation Sans',Arial,Helvetica,sans-serif;")
	if _, err := io.WriteString(w, svg); err != nil {
		return fmt.Errorf("write SVG: %w", err)
	}
	return nil
}

// WritePNG draws the same as pixels.
func WritePNG(w io.Writer, profiles []Profile) error {
	c := vgimg.NewWith(vgimg.UseWH(width, height(profiles)), vgimg.UseDPI(dpi))
	if err := render(draw.New(c), profiles); err != nil {
		return err
	}
	if _, err := (vgimg.PngCanvas{Canvas: c}).WriteTo(w); err != nil {
		return fmt.Errorf("write PNG: %w", err)
	}
	return nil
}

func height(profiles []Profile) vg.Length { return legend + rowHeight*vg.Length(len(profiles)) }

// render draws everything on c.
func render(c draw.Canvas, profiles []Profile) error {
	c.SetColor(color.White)
	c.Fill(c.Rectangle.Path())
	looks := looksOf(profiles)
	drawLegend(draw.Crop(c, 0.3*vg.Inch, -0.3*vg.Inch, c.Max.Y-c.Min.Y-legend, 0), looks)
	var rows [][]*plot.Plot
	for _, p := range profiles {
		left, err := distributionPlot(p, looks)
		if err != nil {
			return err
		}
		right, err := timelinePlot(p, looks)
		if err != nil {
			return err
		}
		rows = append(rows, []*plot.Plot{left, right})
	}
	if len(rows) == 0 {
		return nil
	}
	tiles := draw.Tiles{
		Rows: len(rows), Cols: 2, PadX: 0.35 * vg.Inch, PadY: 0.35 * vg.Inch,
		PadLeft: 0.2 * vg.Inch, PadRight: 0.35 * vg.Inch, PadTop: 0.1 * vg.Inch, PadBottom: 0.2 * vg.Inch,
	}
	below := draw.Crop(c, 0, 0, 0, -legend)
	for i, row := range rows {
		for j, p := range row {
			p.Draw(tiles.At(below, j, i))
		}
	}
	return nil
}

// sans is the font of all text.
func sans(size vg.Length, weight xfont.Weight) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Weight: weight, Size: size}
}

// style is text of that size, from its left end.
func style(size vg.Length, weight xfont.Weight) text.Style {
	return text.Style{Color: color.Gray{Y: 0x20}, Font: sans(size, weight), Handler: plot.DefaultTextHandler}
}

// newPlot has readable fonts and a grid.
func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.TextStyle.Font = sans(13, xfont.WeightBold)
	p.Title.Padding = vg.Points(6)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font = sans(12, xfont.WeightNormal)
		a.Tick.Label.Font = sans(11, xfont.WeightNormal)
		a.Label.Padding = vg.Points(4)
		a.Padding = 0
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{Y: 0xd0}, color.Gray{Y: 0xd0}
	p.Add(grid)
	return p
}

// latencies makes a an axis of those given as logarithms.
func latencies(a *plot.Axis, logs []float64) {
	a.Tick.Marker = latencyTicks{}
	a.Min, a.Max = bounds(logs)
}

func distributionPlot(p Profile, looks map[string]look) (*plot.Plot, error) {
	out := newPlot(p.Title+": distribution", "latency of a batch (log scale)", "batches that took no longer (%)")
	var all []float64
	for _, s := range p.Scenarios {
		line := s.distribution()
		for _, q := range line {
			all = append(all, q.x)
		}
		if err := addLine(out, line, looks[s.Name].line); err != nil {
			return nil, err
		}
	}
	latencies(&out.X, all)
	out.Y.Min, out.Y.Max = 0, 100
	out.Y.Tick.Marker = shareTicks()
	return out, nil
}

func timelinePlot(p Profile, looks map[string]look) (*plot.Plot, error) {
	out := newPlot(p.Title+": time line", "batch (dot at 0: first evaluation)", "latency of a batch (log scale)")
	var all []float64
	last := 1.0
	for _, s := range p.Scenarios {
		median, low, high := s.timeline()
		for i := range median {
			all = append(all, low[i].y, high[i].y)
			last = max(last, median[i].x)
		}
		l := looks[s.Name]
		if err := addBand(out, low, high, l.band()); err != nil {
			return nil, err
		}
		if err := addLine(out, median, l.line); err != nil {
			return nil, err
		}
		if first, ok := s.first(); ok {
			all = append(all, first.y)
			out.Add(dot{first, l.line.Color})
		}
	}
	latencies(&out.Y, all)
	out.X.Min, out.X.Max = -last/50, last
	out.X.Tick.Marker = countTicks{}
	return out, nil
}

func points(line []xy) plotter.XYs {
	out := make(plotter.XYs, len(line))
	for i, q := range line {
		out[i] = plotter.XY{X: q.x, Y: q.y}
	}
	return out
}

func addLine(p *plot.Plot, line []xy, s draw.LineStyle) error {
	if len(line) == 0 {
		return nil
	}
	l, err := plotter.NewLine(points(line))
	if err != nil {
		return fmt.Errorf("draw a line: %w", err)
	}
	l.LineStyle = s
	p.Add(l)
	return nil
}

// addBand fills what is between low and high.
func addBand(p *plot.Plot, low, high []xy, c color.Color) error {
	if len(low) < 2 {
		return nil
	}
	ring := points(low)
	for i := len(high) - 1; i >= 0; i-- {
		ring = append(ring, plotter.XY{X: high[i].x, Y: high[i].y})
	}
	band, err := plotter.NewPolygon(ring)
	if err != nil {
		return fmt.Errorf("draw a band: %w", err)
	}
	band.Color, band.LineStyle.Width = c, 0
	p.Add(band)
	return nil
}

// dot is a point that the axes need not make room for.
type dot struct {
	at    xy
	color color.Color
}

// Plot implements plot.Plotter.
func (d dot) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	c.DrawGlyphNoClip(
		draw.GlyphStyle{Color: d.color, Radius: vg.Points(4), Shape: draw.CircleGlyph{}}, vg.Point{X: x(d.at.x), Y: y(d.at.y)},
	)
}
