package machine_test

import (
	"testing"
	"time"

	"hotblock/internal/guesttest"
)

// BenchmarkBoot boots Debian's cloud kernel to a shell prompt and reports how
// many millions of guest instructions a second that took, time in which the CPU
// was halted included.
func BenchmarkBoot(b *testing.B) {
	for _, engine := range guesttest.Engines {
		b.Run(engine, func(b *testing.B) {
			var instructions uint64
			for b.Loop() {
				b.StopTimer()
				cfg := guesttest.Debian(b, "cloud", engine, nil)
				b.StartTimer()
				g := guesttest.Start(b, cfg)
				g.Expect(guesttest.Prompt, bootTime)
				b.StopTimer()
				g.Stop()
				instructions += g.M.CPU.Stats().Instructions
				b.StartTimer()
			}
			b.ReportMetric(float64(instructions)/float64(b.Elapsed())*float64(time.Second)/1e6, "MIPS")
		})
	}
}
