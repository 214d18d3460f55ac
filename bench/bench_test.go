package bench

import "testing"

// TestWorkloads checks that every workload runs to its end and does work in
// proportion to its rounds.
func TestWorkloads(t *testing.T) {
	for _, w := range Workloads {
		t.Run(w.Name, func(t *testing.T) {
			few, err := w.Run(100)
			if err != nil {
				t.Fatal(err)
			}
			many, err := w.Run(1100)
			if err != nil {
				t.Fatal(err)
			}
			if d := many.Instructions - few.Instructions; d < 3*1000 {
				t.Errorf("1000 more rounds took %d more instructions", d)
			}
		})
	}
}

// BenchmarkInterp reports the interpreter's speed by class of work, in millions
// of guest instructions a second.
func BenchmarkInterp(b *testing.B) {
	for _, w := range Workloads {
		b.Run(w.Name, func(b *testing.B) {
			r, err := w.Run(b.N)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(r.MIPS(), "MIPS")
		})
	}
}
