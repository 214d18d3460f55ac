package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/perf/benchfmt"
)

// example is a report of three workloads on four targets in three rounds: "big"
// takes 1 s natively, 10 and 4 s in two configurations of QEMU, and 2 s; "even"
// is about as fast in QEMU and hotblock, "bad" fails there.
func example() *Report {
	r := &Report{Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Metric: "cpu", Scale: 1, Rounds: 3, Command: "hotblock bench",
		Host: Host{CPU: "A CPU", CPUs: 2}, Guest: "6.1", Cmdline: "quiet",
		Targets:   []Target{{Name: "native", Kind: Native}, {Name: "q1", Kind: QEMU}, {Name: "q2", Kind: QEMU}, {Name: "jit", Kind: Hotblock, Command: "hotblock -accel jit"}},
		Workloads: []Workload{{Name: "int/big", Class: "int", Real: true}, {Name: "int/even", Class: "int"}, {Name: "alu/bad|x", Class: "alu"}}}
	add := func(w, t string, round int, cpu float64) {
		r.Samples = append(r.Samples, Sample{Workload: w, Target: t, Round: round, Status: OK, CPU: cpu, Wall: 2 * cpu, Guest: 2.02 * cpu})
	}
	for round := range 3 {
		load := 1 + float64(round) // a round on a busy host
		add("int/big", "native", round, 1*load)
		add("int/big", "q1", round, 10*load)
		add("int/big", "q2", round, 4*load)
		add("int/big", "jit", round, 2*load)
		add("int/even", "native", round, 1)
		add("int/even", "q1", round, 2)
		add("int/even", "jit", round, []float64{1.8, 2.2, 1.9}[round])
		add("alu/bad|x", "native", round, 1)
		r.Samples = append(r.Samples, Sample{Workload: "alu/bad|x", Target: "jit", Round: round, Status: Died, Detail: "no\nguest"},
			Sample{Workload: "int/even", Target: "q2", Round: round, Status: Unsupported})
	}
	return r
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9*math.Abs(b) }

func TestNumbers(t *testing.T) {
	r := example()
	if s := r.Time("int/big", "native"); s.N != 3 || s.Median != 2 || s.Min != 1 || s.Max != 3 || s.Spread() != 1 {
		t.Errorf("time %+v", s)
	}
	// The load of a round does not show in ratios.
	if s := r.Ratio("int/big", "jit", "native"); s.N != 3 || s.Min != 2 || s.Max != 2 || s.Indeterminate {
		t.Errorf("ratio %+v", s)
	}
	if s := r.Ratio("int/even", "jit", "q1"); !near(s.Median, 0.95) || !s.Indeterminate {
		t.Errorf("ratio %+v", s)
	}
	for w, want := range map[string]string{"int/big": "q2", "int/even": "q1", "alu/bad|x": ""} {
		if got := r.BestQEMU(w); got != want {
			t.Errorf("best for %s: %q, want %q", w, got, want)
		}
	}
	all := func(*Workload) bool { return true }
	if m := r.GeomeanRatio(all, BestOfQEMU, "native"); m.N != 2 || !near(m.Mean, math.Sqrt(4*2)) {
		t.Errorf("mean %+v", m)
	}
	if m := r.GeomeanRatio(all, "jit", BestOfQEMU); m.N != 2 || !near(m.Mean, math.Sqrt(0.5*0.95)) {
		t.Errorf("mean %+v", m)
	}
	r.Metric = "wall"
	if s := r.Time("int/big", "native"); s.Median != 4 {
		t.Errorf("wall %+v", s)
	}
	if e, _ := r.ClockError(); !near(math.Round(e*1e6), 10000) {
		t.Errorf("clock error %v", e)
	}
	if n := r.Failed(); n != 3 {
		t.Errorf("%d failed", n)
	}
	if s := statOf([]float64{4, 1, 2, 3}); s.Median != 2.5 {
		t.Errorf("even median %+v", s)
	}
}

func TestText(t *testing.T) {
	var b bytes.Buffer
	example().Text(&b)
	text := b.String()
	for _, want := range []string{"big *", "4.00", "0.95~", "died", "alu/bad|x on jit: died: no guest", "QEMU's best", "A CPU", "1.0% off", "jit takes less than QEMU for 2 of 2 workloads."} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestJSON(t *testing.T) {
	r := example()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	again, err := Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	var x, y bytes.Buffer
	r.Text(&x)
	again.Text(&y)
	if x.String() != y.String() {
		t.Errorf("the report read again differs:\n%s\n%s", x.String(), y.String())
	}
	for _, bad := range []string{"", "{}", "[1]", `{"metric":"x"}`} {
		if _, err := Read(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// TestGoBench reads the output as benchstat does.
func TestGoBench(t *testing.T) {
	var b bytes.Buffer
	example().GoBench(&b)
	rd := benchfmt.NewReader(&b, "x")
	n := 0
	for rd.Scan() {
		switch x := rd.Result().(type) {
		case *benchfmt.Result:
			n++
			if n == 1 {
				if got := string(x.Name); got != "Int/big/on=native" {
					t.Errorf("name %q", got)
				}
				if v, ok := x.Value("cpu-sec/op"); !ok || v != 1 {
					t.Errorf("cpu %v %v", v, ok)
				}
			}
		case *benchfmt.SyntaxError:
			t.Error(x)
		}
	}
	if n != 3*7+3 {
		t.Errorf("%d results", n)
	}
}

func TestChart(t *testing.T) {
	var b bytes.Buffer
	r := example()
	if err := r.Chart(&b); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(&b)
	circles := 0
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := tok.(xml.StartElement); ok && (e.Name.Local == "path" || e.Name.Local == "circle") {
			circles++
		}
	}
	if circles < 4 {
		t.Errorf("%d shapes", circles)
	}
	r.Targets = r.Targets[1:]
	if err := r.Chart(io.Discard); !errors.Is(err, ErrNoChart) {
		t.Errorf("without native: %v", err)
	}
}

func TestUpdate(t *testing.T) {
	p := filepath.Join(t.TempDir(), "B.md")
	r := example()
	read := func() string {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if err := r.Update(p, "B.svg"); err != nil {
		t.Fatal(err)
	}
	first := read()
	for _, want := range []string{"# Benchmarks\n", `hotblock bench -run '^int/big$' -accel jit`, "](B.svg)", `| bad\|x |`} {
		if !strings.Contains(first, want) {
			t.Errorf("no %q in\n%s", want, first)
		}
	}
	if err := os.WriteFile(p, []byte("before\n\n"+strings.TrimPrefix(first, "# Benchmarks\n\n")+"\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := read()
	if err := r.Update(p, "B.svg"); err != nil {
		t.Fatal(err)
	}
	if got := read(); got != before {
		t.Errorf("an update with the same report changed the file:\n%s\n---\n%s", before, got)
	}
	// Every row has as many cells as the head.
	var cells int
	for line := range strings.Lines(first) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if cells == 0 {
			cells = n
		}
		if n != cells {
			t.Errorf("%d cells, not %d: %s", n, cells, line)
		}
	}
	begin, _ := r.markers()
	os.WriteFile(p, []byte(begin), 0o644)
	if err := r.Update(p, ""); err == nil {
		t.Error("a file with half of the markers was changed")
	}
}
