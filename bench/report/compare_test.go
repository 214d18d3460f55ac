package report

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hotblock/jit"
)

// comparison is a report with a baseline, one target that takes twice as long, and one
// that takes half.
func comparison(compare string, names ...string) *Report {
	r := &Report{Metric: "cpu", Rounds: 2, Scale: 1, Command: "hotblock bench -x", Compare: compare}
	for _, w := range []string{"alu/add", "call/fib"} {
		class, _, _ := strings.Cut(w, "/")
		r.Workloads = append(r.Workloads, Workload{Name: w, Class: class})
	}
	for i, name := range names {
		r.Targets = append(r.Targets, Target{Name: name, Kind: Hotblock})
		for round := range 2 {
			for _, w := range r.Workloads {
				t := []float64{1, 2, 0.5}[i] * (1 + float64(round)/10)
				r.Samples = append(r.Samples, Sample{Workload: w.Name, Target: name, Round: round, Status: OK, CPU: t})
				r.Counters = append(r.Counters, Counters{name, w.Class, round, jit.Counters{GuestBytes: 1024, HostBytes: 4096 << i, TranslateTime: 0.25, Exits: 7000, Misses: 3000}})
			}
		}
	}
	return r
}

func TestCompareStrategies(t *testing.T) {
	r := comparison("strategies", "baseline", "memory=slow", "region=fast")
	var b strings.Builder
	r.Text(&b)
	got := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{
		"strategy all alu call baseline 1 1 1 memory=slow 2.00 2.00 2.00 region=fast 0.50 0.50 0.50",
		// By class: time, code, code to guest code, translation, exits and misses.
		"alu time code KiB × guest code translation ms exits k to the interpreter k TLB misses k baseline 1 4 4.00 250 7.0 0.0 3.0 memory=slow 2.00 8 8.00 250 7.0 0.0 3.0",
		// Both classes.
		"region=fast 32 16.0 500 14 0.0 6.0",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if err := r.Chart(&b); !errors.Is(err, ErrNoChart) {
		t.Errorf("chart of strategies: %v", err)
	}
}

func TestCompareUpdate(t *testing.T) {
	p := filepath.Join(t.TempDir(), "B.md")
	r := comparison("sweep threshold", "threshold=4", "threshold=16", "threshold=64")
	for range 2 {
		if err := r.Update(p, "S.svg"); err != nil {
			t.Fatal(err)
		}
		if err := comparison("strategies", "baseline", "a=b").Update(p, ""); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, once := range []string{"## Sweep of threshold", "## Strategies", "![sweep threshold](S.svg)", "| 64 | 0.50 | 0.50 | 0.50 |", "| a=b | 2.00 |"} {
		if n := strings.Count(string(b), once); n != 1 {
			t.Errorf("%d times %q in\n%s", n, once, b)
		}
	}
	var svg strings.Builder
	if err := r.Chart(&svg); err != nil || !strings.Contains(svg.String(), "<svg") || !strings.Contains(svg.String(), "threshold") {
		t.Errorf("chart: %v, %d bytes", err, svg.Len())
	}
}

func TestSweepValue(t *testing.T) {
	for s, want := range map[string]float64{"16": 16, "256K": 256 << 10, "1g": 1 << 30, "all": 0, "": 0, "K": 0} {
		if v, ok := sweepValue(s); ok != (want > 0) || ok && v != want {
			t.Errorf("%q: %v, %v", s, v, ok)
		}
	}
}
