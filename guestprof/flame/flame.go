// Package flame draws profiles in pprof's format as flame graphs in SVG.
//
// # How it works
//
// Samples are merged into a tree, from the root of their stacks: children of a node
// with the same function are one node, and a node's value is the sum of the samples
// below. The drawing is the tree from the bottom up, every node a box as wide as its
// share of all samples, over its caller, siblings by name. So width is time and
// height is depth of calls; from left to right there is no time. Boxes too narrow to
// be seen are left out. Each box has a title, which a browser shows for the mouse.
package flame

import (
	"bufio"
	"errors"
	"fmt"
	"hash/fnv"
	"html"
	"io"
	"slices"
	"sort"
	"strings"

	"github.com/google/pprof/profile"
)

// Options are how a profile is drawn.
type Options struct {
	Title  string
	Roots  []string // labels whose values are roots of the stacks, outermost first
	Sample string   // the type of value to draw; empty: the profile's default
	Width  int      // in pixels; 0: 1200
}

// node is a function in the tree, below its callers.
type node struct {
	name     string
	class    class
	value    int64
	children map[string]*node
}

func (n *node) child(name string, c class) *node {
	k := n.children[name]
	if k == nil {
		if n.children == nil {
			n.children = map[string]*node{}
		}
		k = &node{name: name, class: c}
		n.children[name] = k
	}
	return k
}

// class is what a box is of, for its colour.
type class uint8

const (
	label class = iota
	kernel
	program
	other
)

const (
	row      = 17  // height of a box in pixels, with the gap
	margin   = 10  // around the drawing
	head     = 46  // of the title and the legend
	minWidth = 0.7 // of a box in pixels
	letter   = 6.6 // width of a letter of the font
)

// Write draws a profile. It fails where there is no such type of value or nothing to
// draw.
func Write(w io.Writer, p *profile.Profile, o Options) error {
	if o.Width == 0 {
		o.Width = 1200
	}
	if o.Sample == "" {
		o.Sample = p.DefaultSampleType
	}
	index := len(p.SampleType) - 1
	if o.Sample != "" {
		var names []string
		for _, t := range p.SampleType {
			names = append(names, t.Type)
		}
		if index = slices.Index(names, o.Sample); index < 0 {
			return fmt.Errorf("the profile has no values of type %q; it has %s", o.Sample, strings.Join(names, ", "))
		}
	}
	if index < 0 {
		return errors.New("the profile has no values")
	}
	root := &node{name: "all", class: label}
	for _, s := range p.Sample {
		if v := s.Value[index]; v > 0 {
			root.add(s, v, o.Roots)
		}
	}
	if root.value == 0 {
		return errors.New("the profile has no samples to draw")
	}
	d := &drawing{w: bufio.NewWriter(w), unit: p.SampleType[index].Unit, total: root.value}
	d.scale = float64(o.Width-2*margin) / float64(root.value)
	depth := d.depth(root)
	height := head + depth*row + margin
	d.bottom = height - margin
	fmt.Fprintf(d.w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="monospace" font-size="11">
<rect width="100%%" height="100%%" fill="#fdfdfb"/>
`, o.Width, height, o.Width, height)
	if o.Title == "" {
		o.Title = "Flame graph"
	}
	fmt.Fprintf(d.w, "<text x=\"%d\" y=\"20\" font-size=\"15\" font-family=\"sans-serif\">%s</text>\n", margin, html.EscapeString(o.Title))
	fmt.Fprintf(d.w, "<text x=\"%d\" y=\"38\" fill=\"#555\" font-family=\"sans-serif\">%s of %s; width is %s, boxes stand on their callers</text>\n", margin, d.amount(root.value), html.EscapeString(p.SampleType[index].Type), d.what())
	x := float64(o.Width - margin)
	for _, l := range []struct {
		name string
		c    class
	}{{"other code", other}, {"program", program}, {"kernel", kernel}} {
		x -= float64(len(l.name))*letter + 8
		fmt.Fprintf(d.w, "<text x=\"%.0f\" y=\"38\" fill=\"#555\">%s</text>\n", x, l.name)
		x -= 16
		fmt.Fprintf(d.w, "<rect x=\"%.0f\" y=\"28\" width=\"12\" height=\"12\" rx=\"2\" fill=\"%s\"/>\n", x, colour(l.c, ""))
		x -= 8
	}
	d.draw(root, margin, 0)
	fmt.Fprintln(d.w, "</svg>")
	return d.w.Flush()
}

// add adds a sample to the tree.
func (n *node) add(s *profile.Sample, v int64, roots []string) {
	n.value += v
	for _, key := range roots {
		name := "?"
		if l := s.Label[key]; len(l) > 0 {
			name = l[0]
		} else if l := s.NumLabel[key]; len(l) > 0 {
			name = fmt.Sprintf("%s %d", key, l[0])
		}
		n = n.child(name, label)
		n.value += v
	}
	for i := len(s.Location) - 1; i >= 0; i-- {
		l := s.Location[i]
		// Functions that were inlined stand before those that they are in.
		for k := len(l.Line) - 1; k >= 0; k-- {
			if f := l.Line[k].Function; f != nil {
				n = n.child(f.Name, classOf(l))
				n.value += v
			}
		}
	}
}

func classOf(l *profile.Location) class {
	switch m := l.Mapping; {
	case l.Address>>63 != 0:
		return kernel
	case m != nil && strings.HasPrefix(m.File, "/"), m != nil && (m.File == "[vdso]" || m.File == "[anon]" || m.File == "[user]"):
		return program
	}
	return other
}

// drawing is where a flame graph is written to.
type drawing struct {
	w      *bufio.Writer
	unit   string
	total  int64
	scale  float64 // pixels for a unit of value
	bottom int
}

func (d *drawing) visible(n *node) bool { return float64(n.value)*d.scale >= minWidth }

// depth is the height of the visible tree in boxes.
func (d *drawing) depth(n *node) int {
	most := 0
	for _, c := range n.children {
		if d.visible(c) {
			most = max(most, d.depth(c))
		}
	}
	return most + 1
}

func (d *drawing) draw(n *node, x float64, level int) {
	width := float64(n.value) * d.scale
	y := d.bottom - (level+1)*row
	name := html.EscapeString(n.name)
	fmt.Fprintf(d.w, "<g><title>%s: %s, %.2f%%</title><rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>",
		name, d.amount(n.value), 100*float64(n.value)/float64(d.total), x, y, max(width-0.5, 0.2), row-1, colour(n.class, n.name))
	if room := int((width - 6) / letter); room >= 3 {
		text := n.name
		if len(text) > room {
			text = text[:room-2] + ".."
		}
		fmt.Fprintf(d.w, "<text x=\"%.1f\" y=\"%d\" pointer-events=\"none\">%s</text>", x+3, y+12, html.EscapeString(text))
	}
	fmt.Fprintln(d.w, "</g>")
	children := make([]*node, 0, len(n.children))
	for _, c := range n.children {
		children = append(children, c)
	}
	sort.Slice(children, func(i, j int) bool { return children[i].name < children[j].name })
	for _, c := range children {
		if d.visible(c) {
			d.draw(c, x, level+1)
		}
		x += float64(c.value) * d.scale
	}
}

// amount is a value for people.
func (d *drawing) amount(v int64) string {
	if d.unit == "nanoseconds" {
		if v < 1e9 {
			return fmt.Sprintf("%.1f ms", float64(v)/1e6)
		}
		return fmt.Sprintf("%.3f s", float64(v)/1e9)
	}
	if d.unit == "count" {
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%d %s", v, html.EscapeString(d.unit))
}

func (d *drawing) what() string {
	if d.unit == "nanoseconds" {
		return "time"
	}
	return html.EscapeString(d.unit)
}

// colour is the colour of a box: a hue for the class, a shade for the name.
func colour(c class, name string) string {
	h := fnv.New32a()
	h.Write([]byte(name))
	shade := int(h.Sum32() % 24)
	if name == "" {
		shade = 12
	}
	switch c {
	case label:
		return "#d5d8dc"
	case kernel:
		return fmt.Sprintf("#%02x%02x%02x", 236+shade/2, 140+2*shade, 80+shade)
	case program:
		return fmt.Sprintf("#%02x%02x%02x", 130+2*shade, 200+shade, 120+shade)
	}
	return fmt.Sprintf("#%02x%02x%02x", 150+2*shade, 175+2*shade, 225+shade)
}
