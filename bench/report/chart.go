package report

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// palette is safe for the colour-blind (Okabe and Ito).
var palette = []color.RGBA{
	{0xd5, 0x5e, 0x00, 0xff}, {0x00, 0x72, 0xb2, 0xff}, {0x00, 0x9e, 0x73, 0xff}, {0xcc, 0x79, 0xa7, 0xff}, {0x56, 0xb4, 0xe9, 0xff}, {0xe6, 0x9f, 0x00, 0xff},
}

// ErrNoChart says that nothing was measured natively, so that there is nothing
// to draw.
var ErrNoChart = errors.New("a chart needs native times to compare with")

// Chart draws, as SVG, how many times native each class of work takes on each
// target: a dot is a workload, a bar the geometric mean of the class. The scale
// is logarithmic.
func (r *Report) Chart(w io.Writer) error {
	draws := r.plot
	if r.Compare != "" {
		draws = r.plotSweep
	}
	p, width, height, err := draws()
	if err != nil {
		return err
	}
	canvas := vgsvg.New(width, height)
	p.Draw(draw.New(canvas))
	_, err = canvas.WriteTo(w)
	return err
}

func (r *Report) plot() (p *plot.Plot, width, height vg.Length, err error) {
	natives := r.byKind(Native)
	if len(natives) == 0 {
		return nil, 0, 0, ErrNoChart
	}
	native := natives[0]
	cols := r.columns()
	p = plot.New()
	p.Title.Text = "Times native, by class of work (lower is better)"
	p.Title.Padding = vg.Points(8)
	p.X.Label.Text = "times native"
	p.X.Scale = plot.LogScale{}
	p.X.Tick.Marker = ticks{}
	p.Legend.Top = true
	p.Legend.Left = false

	var names []string
	lo, hi := 0.8, 2.0
	type series struct {
		dots  plotter.XYs
		means []struct{ x, y float64 }
	}
	data := make([]series, len(cols))
	for k := len(Classes) - 1; k >= 0; k-- { // upwards
		class := Classes[k]
		used := false
		y := float64(len(names))
		for ci, c := range cols {
			at := y + (float64(len(cols)-1)/2-float64(ci))*0.22
			for i := range r.Workloads {
				wl := &r.Workloads[i]
				if wl.Class != class.Name {
					continue
				}
				s := r.Ratio(wl.Name, r.resolve(wl.Name, c.target), native)
				if s.N == 0 {
					continue
				}
				used = true
				lo, hi = min(lo, s.Median), max(hi, s.Median)
				data[ci].dots = append(data[ci].dots, plotter.XY{X: s.Median, Y: at})
			}
			if m := r.GeomeanRatio(func(w *Workload) bool { return w.Class == class.Name }, c.target, native); m.N > 0 {
				data[ci].means = append(data[ci].means, struct{ x, y float64 }{m.Mean, at})
			}
		}
		if used {
			names = append(names, class.Name)
		}
	}
	if len(names) == 0 {
		return nil, 0, 0, ErrNoChart
	}
	one, err := plotter.NewLine(plotter.XYs{{X: 1, Y: -0.5}, {X: 1, Y: float64(len(names)) - 0.5}})
	if err != nil {
		return nil, 0, 0, err
	}
	one.Color = color.Gray{0x80}
	p.Add(plotter.NewGrid(), one)
	for ci, c := range cols {
		if len(data[ci].dots) == 0 {
			continue
		}
		dots, err := plotter.NewScatter(data[ci].dots)
		if err != nil {
			return nil, 0, 0, err
		}
		col := palette[ci%len(palette)]
		dots.GlyphStyle = draw.GlyphStyle{Color: col, Radius: vg.Points(2), Shape: draw.CircleGlyph{}}
		p.Add(dots)
		p.Legend.Add(c.title, dots)
		for _, m := range data[ci].means {
			bar, err := plotter.NewLine(plotter.XYs{{X: m.x, Y: m.y - 0.1}, {X: m.x, Y: m.y + 0.1}})
			if err != nil {
				return nil, 0, 0, err
			}
			bar.Color, bar.Width = col, vg.Points(3)
			p.Add(bar)
		}
	}
	p.NominalY(names...)
	p.X.Min, p.X.Max = lo*0.9, hi*1.15
	p.Y.Min, p.Y.Max = -0.5, float64(len(names))-0.5
	return p, 20 * vg.Centimeter, vg.Length(3+1.1*float64(len(names))) * vg.Centimeter, nil
}

// ticks are 1, 2 and 5 times powers of ten.
type ticks struct{}

func (ticks) Ticks(lo, hi float64) (t []plot.Tick) {
	for e := math.Floor(math.Log10(lo)); e <= math.Ceil(math.Log10(hi)); e++ {
		for _, f := range []float64{1, 2, 5} {
			if v := f * math.Pow(10, e); v >= lo && v <= hi {
				t = append(t, plot.Tick{Value: v, Label: fmt.Sprintf("%g", v)})
			}
		}
	}
	return t
}
