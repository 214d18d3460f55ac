package flame

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
)

func sampleProfile() *profile.Profile {
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}, DefaultSampleType: "cpu"}
	loc := func(name string, addr uint64) *profile.Location {
		f := &profile.Function{ID: uint64(len(p.Function)) + 1, Name: name}
		p.Function = append(p.Function, f)
		l := &profile.Location{ID: f.ID, Address: addr, Line: []profile.Line{{Function: f}}}
		p.Location = append(p.Location, l)
		return l
	}
	leaf, mid, top := loc("operator<<", 1), loc("middle", 1<<63), loc("main", 3)
	add := func(comm string, n int64, stack ...*profile.Location) {
		p.Sample = append(p.Sample, &profile.Sample{Location: stack, Value: []int64{n, n * 1e6}, Label: map[string][]string{"comm": {comm}}})
	}
	add("sh", 3, leaf, mid, top)
	add("sh", 1, mid, top)
	add("<init>", 4, top)
	return p
}

// TestWrite draws a profile and reads the drawing.
func TestWrite(t *testing.T) {
	var b strings.Builder
	if err := Write(&b, sampleProfile(), Options{Title: "A & B", Roots: []string{"comm"}}); err != nil {
		t.Fatal(err)
	}
	var titles []string
	for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "title" {
			var s string
			if err := d.DecodeElement(&s, &e); err != nil {
				t.Fatal(err)
			}
			titles = append(titles, s)
		}
	}
	want := []string{"all: 8.0 ms, 100.00%", "<init>: 4.0 ms, 50.00%", "main: 4.0 ms, 50.00%", "sh: 4.0 ms, 50.00%", "main: 4.0 ms, 50.00%", "middle: 4.0 ms, 50.00%", "operator<<: 3.0 ms, 37.50%"}
	if strings.Join(titles, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(titles, "\n"), strings.Join(want, "\n"))
	}
}

func TestWriteRefuses(t *testing.T) {
	p := sampleProfile()
	if err := Write(io.Discard, p, Options{Sample: "heap"}); err == nil || !strings.Contains(err.Error(), "samples, cpu") {
		t.Errorf("unknown type: %v", err)
	}
	p.Sample = nil
	if err := Write(io.Discard, p, Options{}); err == nil || !strings.Contains(err.Error(), "no samples") {
		t.Errorf("no samples: %v", err)
	}
	if err := Write(io.Discard, &profile.Profile{}, Options{}); err == nil {
		t.Error("a profile of nothing was drawn")
	}
}
