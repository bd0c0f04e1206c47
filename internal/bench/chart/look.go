package chart

import (
	"image/color"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// look is how a scenario is drawn: lines differ by colour and by dashes, for those who do not see colours.
type look struct {
	name, words string
	place       int // in the legend
	line        draw.LineStyle
}

// band is the colour of what a line's values lie in.
func (l look) band() color.Color {
	c := color.NRGBAModel.Convert(l.line.Color).(color.NRGBA)
	c.A = 0x28
	return c
}

// looksOf gives each name a look, in the order in which names come.
func looksOf(profiles []Profile) map[string]look {
	// Colours that people with any colour vision tell apart: Okabe and Ito, Color Universal Design, 2008.
	colours := []color.Color{
		color.NRGBA{R: 0xd5, G: 0x5e, A: 0xff},          // vermilion
		color.NRGBA{G: 0x72, B: 0xb2, A: 0xff},          // blue
		color.NRGBA{R: 0xe6, G: 0x9f, A: 0xff},          // orange
		color.NRGBA{G: 0x9e, B: 0x73, A: 0xff},          // bluish green
		color.NRGBA{A: 0xff},                            // black
		color.NRGBA{R: 0xcc, G: 0x79, B: 0xa7, A: 0xff}, // reddish purple
	}
	dashes := [][]vg.Length{
		nil,
		{vg.Points(9), vg.Points(3)},
		{vg.Points(2.5), vg.Points(2.5)},
		{vg.Points(9), vg.Points(3), vg.Points(2), vg.Points(3)},
		{vg.Points(5), vg.Points(2)},
	}
	looks := map[string]look{}
	for _, p := range profiles {
		for _, s := range p.Scenarios {
			if _, ok := looks[s.Name]; ok {
				continue
			}
			n := len(looks)
			looks[s.Name] = look{name: s.Name, words: s.Words, place: n, line: draw.LineStyle{
				Color: colours[n%len(colours)], Width: vg.Points(2), Dashes: dashes[n%len(dashes)],
			}}
		}
	}
	return looks
}

const (
	legendColumns = 3
	legendSample  = 0.55 * vg.Inch
)

// drawLegend draws a sample of every line with its name, in columns, row by row.
func drawLegend(c draw.Canvas, looks map[string]look) {
	name, words := style(12, xfont.WeightBold), style(11, xfont.WeightNormal)
	column := (c.Max.X - c.Min.X) / legendColumns
	for _, l := range looks {
		x := c.Min.X + column*vg.Length(l.place%legendColumns)
		y := c.Max.Y - 0.35*vg.Inch - 0.3*vg.Inch*vg.Length(l.place/legendColumns)
		c.StrokeLine2(l.line, x, y, x+legendSample, y)
		at := vg.Point{X: x + legendSample + vg.Points(8), Y: y - name.FontExtents().Ascent/2 + vg.Points(1)}
		c.FillText(name, at, l.name)
		if l.words != "" {
			at.X += name.Rectangle(l.name).Size().X + vg.Points(6)
			c.FillText(words, at, l.words)
		}
	}
}
