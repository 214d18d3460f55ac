package report

// Comparisons of the translator's strategies and settings: of a baseline with one
// change at a time, or of the values of one setting. Times are ratios to the first
// target, taken within rounds as in all tables; counters are the translator's own, of
// whole guests, from the start of the process to its end, so the boot of the guest is
// in them. A guest runs one class of work.

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"hotblock/jit"
)

// Counters are what the translator of one guest counted.
type Counters struct {
	Target string `json:"target"`
	Class  string `json:"class"`
	Round  int    `json:"round"`
	jit.Counters
}

// counted is a mean over the rounds, summed over classes.
type counted struct {
	n                                         int
	guest, host, translate, exits, miss, call float64
}

// count adds up the counters of a target and a class, or of all classes if class is
// "".
func (r *Report) count(target, class string) (c counted) {
	rounds := map[int]bool{}
	for i := range r.Counters {
		k := &r.Counters[i]
		if k.Target != target || class != "" && k.Class != class {
			continue
		}
		rounds[k.Round] = true
		c.n++
		c.guest += float64(k.GuestBytes)
		c.host += float64(k.HostBytes)
		c.translate += k.TranslateTime
		c.exits += float64(k.Exits)
		c.miss += float64(k.Misses)
		c.call += float64(k.Callouts)
	}
	if n := float64(len(rounds)); n > 0 {
		c.host, c.guest, c.translate, c.exits, c.miss, c.call = c.host/n, c.guest/n, c.translate/n, c.exits/n, c.miss/n, c.call/n
	}
	return c
}

func (c counted) cells() []string {
	if c.n == 0 {
		return []string{"", "", "", "", "", ""}
	}
	per := 0.0
	if c.guest > 0 {
		per = c.host / c.guest
	}
	return []string{fmt.Sprintf("%.0f", c.host/1024), ratio(per), fmt.Sprintf("%.0f", c.translate*1e3), thousands(c.exits), thousands(c.call), thousands(c.miss)}
}

var counterHead = []string{"code KiB", "× guest code", "translation ms", "exits k", "to the interpreter k", "TLB misses k"}

func thousands(v float64) string {
	if v < 9950 {
		return fmt.Sprintf("%.1f", v/1e3)
	}
	return fmt.Sprintf("%.0f", v/1e3)
}

// usedClasses are the classes that have workloads, in the order of tables.
func (r *Report) usedClasses() (names []string) {
	for _, c := range Classes {
		if slices.ContainsFunc(r.Workloads, func(w Workload) bool { return w.Class == c.Name }) {
			names = append(names, c.Name)
		}
	}
	return names
}

// ofClass selects a class, or with "" all classes but boot where there are others.
func (r *Report) ofClass(class string) selector {
	only := len(r.usedClasses()) == 1
	return func(w *Workload) bool { return w.Class == class || class == "" && (only || w.Class != "boot") }
}

// mean is a cell: the geometric mean of a target's ratios to the first one; "~" if
// it is smaller than what the noise of its workloads comes to.
func (r *Report) mean(target, base, class string) string {
	if target == base {
		return "1"
	}
	m := r.GeomeanRatio(r.ofClass(class), target, base)
	if m.N == 0 {
		return "-"
	}
	mark := ""
	if r.Rounds > 1 {
		var los, his []float64
		for i := range r.Workloads {
			w := &r.Workloads[i]
			if s := r.Ratio(w.Name, target, base); r.ofClass(class)(w) && s.N > 0 {
				los, his = append(los, s.Min), append(his, s.Max)
			}
		}
		if geomean(los) < 1 && geomean(his) > 1 {
			mark = "~"
		}
	}
	return ratio(m.Mean) + mark
}

// compareTables are the times by class, and the counters of all classes.
func (r *Report) compareTables() (times, counters table) {
	targets := r.byKind(Hotblock)
	classes := r.usedClasses()
	what := "strategy"
	if f := strings.Fields(r.Compare); len(f) == 2 {
		what = f[1]
	}
	times.head = []string{what}
	if len(classes) > 1 {
		times.head = append(times.head, "all")
	}
	times.head = append(times.head, classes...)
	counters.head = append([]string{what}, counterHead...)
	for _, t := range targets {
		name := t
		if len(strings.Fields(r.Compare)) == 2 {
			_, name, _ = strings.Cut(t, "=")
		}
		line := []string{name}
		if len(classes) > 1 {
			line = append(line, r.mean(t, targets[0], ""))
		}
		for _, c := range classes {
			line = append(line, r.mean(t, targets[0], c))
		}
		times.rows = append(times.rows, line)
		counters.rows = append(counters.rows, append([]string{name}, r.count(t, "").cells()...))
	}
	return times, counters
}

func (t *table) text(w io.Writer) {
	width := make([]int, len(t.head))
	rows := append([][]string{t.head}, t.rows...)
	for _, row := range rows {
		for i, c := range row {
			width[i] = max(width[i], len([]rune(c)))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, c := range row {
			if i == 0 {
				fmt.Fprintf(&b, "%-*s", width[0], c)
			} else {
				fmt.Fprintf(&b, "  %*s", width[i], c)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

func (t *table) markdown(w io.Writer) {
	for i, row := range append([][]string{t.head}, t.rows...) {
		cells := slices.Clone(row)
		for j := range cells {
			cells[j] = strings.ReplaceAll(cells[j], "~", `\~`)
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
		if i == 0 {
			fmt.Fprintf(w, "|---|%s\n", strings.Repeat("---:|", len(row)-1))
		}
	}
}

// compareText writes a comparison for a terminal, with the counters of each class.
func (r *Report) compareText(w io.Writer) {
	r.preface(w, "")
	times, counters := r.compareTables()
	fmt.Fprintf(w, "\nTimes as ratios to the first line, by class of work (geometric means; ~: not more than the noise)\n\n")
	times.text(w)
	for _, c := range r.usedClasses() {
		t := table{head: append([]string{c, "time"}, counterHead...)}
		base := r.byKind(Hotblock)[0]
		for i, name := range r.byKind(Hotblock) {
			t.rows = append(t.rows, append([]string{counters.rows[i][0], r.mean(name, base, c)}, r.count(name, c).cells()...))
		}
		fmt.Fprintln(w)
		t.text(w)
	}
	fmt.Fprintf(w, "\nCounters in all\n\n")
	counters.text(w)
	fmt.Fprintln(w)
	r.afterword(w, "~", "")
}

// compareMarkdown writes a comparison as a part of a Markdown file.
func (r *Report) compareMarkdown(w io.Writer, chart string) {
	times, counters := r.compareTables()
	if f := strings.Fields(r.Compare); len(f) == 2 {
		fmt.Fprintf(w, "## Sweep of %s\n\n", f[1])
	} else {
		fmt.Fprintf(w, "## Strategies\n\nWhat each choice of the translator is worth, one change at a time.\n\n")
	}
	fmt.Fprintf(w, "    %s\n\n", r.Command)
	fmt.Fprintf(w, "- Host: %s; load average before %s, after %s\n", r.Host, loads(r.Host.LoadBefore), loads(r.Host.LoadAfter))
	fmt.Fprintf(w, "- %s, %d rounds, %d workloads, work scaled by %.3g\n", r.Started.Format("2006-01-02"), r.Rounds, len(r.Workloads), r.Scale)
	for _, n := range r.Notes {
		fmt.Fprintf(w, "- %s\n", n)
	}
	if chart != "" {
		fmt.Fprintf(w, "\n![%s](%s)\n", r.Compare, chart)
	}
	fmt.Fprintf(w, "\nTimes, as ratios to the first line by class of work: geometric means, lower is better; \\~ is not more than the noise.\n\n")
	times.markdown(w)
	fmt.Fprintf(w, "\nThe translator's counters over all classes, the boots of the guests included.\n\n")
	counters.markdown(w)
	if n := r.Failed(); n > 0 {
		fmt.Fprintln(w)
		r.afterword(w, `\~`, "- ")
	}
}

// plotSweep draws the times by the values of a setting.
func (r *Report) plotSweep() (*plot.Plot, vg.Length, vg.Length, error) {
	f := strings.Fields(r.Compare)
	targets := r.byKind(Hotblock)
	if len(f) != 2 || len(targets) < 2 {
		return nil, 0, 0, ErrNoChart
	}
	p := plot.New()
	p.Title.Text = "Time by " + f[1] + " (first value = 1, lower is better)"
	p.X.Label.Text, p.Y.Label.Text = f[1], "time"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, ticks{}
	p.Legend.Top = true
	p.Add(plotter.NewGrid())
	classes := r.usedClasses()
	if len(classes) > 1 {
		classes = append([]string{""}, classes...)
	}
	lo, hi, drawn := 0.95, 1.05, 0
	for i, c := range classes {
		var line plotter.XYs
		for _, t := range targets {
			m := Mean{1, 1}
			if t != targets[0] {
				m = r.GeomeanRatio(r.ofClass(c), t, targets[0])
			}
			_, text, _ := strings.Cut(t, "=")
			if v, ok := sweepValue(text); ok && m.N > 0 {
				line = append(line, plotter.XY{X: v, Y: m.Mean})
				lo, hi = min(lo, m.Mean), max(hi, m.Mean)
			}
		}
		if len(line) < 2 {
			continue
		}
		l, dots, err := plotter.NewLinePoints(line)
		if err != nil {
			return nil, 0, 0, err
		}
		l.Color = palette[i%len(palette)]
		l.Width = vg.Points(1)
		if i/len(palette) > 0 {
			l.Dashes = []vg.Length{vg.Points(3), vg.Points(2)}
		}
		if c == "" {
			c, l.Width = "all", vg.Points(2.5)
		}
		dots.GlyphStyle = draw.GlyphStyle{Color: l.Color, Radius: vg.Points(2), Shape: draw.CircleGlyph{}}
		p.Add(l, dots)
		p.Legend.Add(c, l)
		drawn++
	}
	if drawn == 0 {
		return nil, 0, 0, ErrNoChart
	}
	p.Y.Min, p.Y.Max = lo-0.02, hi+0.02
	return p, 18 * vg.Centimeter, 11 * vg.Centimeter, nil
}

// sweepValue reads a number, with a suffix K, M or G as sizes have it.
func sweepValue(s string) (float64, bool) {
	unit := 1.0
	if i := strings.IndexAny(strings.ToUpper(s), "KMG"); i > 0 && i == len(s)-1 {
		unit = map[byte]float64{'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30}[strings.ToUpper(s)[i]]
		s = s[:i]
	}
	v, err := strconv.ParseFloat(s, 64)
	return v * unit, err == nil && v > 0
}
