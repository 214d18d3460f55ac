package suite

import (
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"hotblock/bench/report"
)

// progress shows how far the run is and estimates what is left: from what each
// target took for each workload in earlier rounds, and in the first round from
// what is usual for its kind.
type progress struct {
	r     *runner
	out   *os.File
	bar   *progressbar.ProgressBar // nil where Out is no terminal
	start time.Time
	took  map[string]float64 // seconds, by target and workload
	spent float64            // estimated seconds of what is done
	count int
	total int
	last  string
}

// usual seconds for a workload by kind of target.
var usual = map[string]float64{report.Native: 0.3, report.QEMU: 3, report.Hotblock: 5}

func newProgress(r *runner) *progress {
	p := &progress{r: r, out: r.Out, start: time.Now(), took: map[string]float64{}}
	for _, t := range r.targets {
		p.total += len(r.jobs) * r.Rounds
		if t.Kind != report.Native && len(r.boots) > 0 {
			p.total += r.Rounds
		}
	}
	if p.out != nil && term.IsTerminal(int(p.out.Fd())) {
		p.bar = progressbar.NewOptions(p.total, progressbar.OptionSetWriter(p.out), progressbar.OptionSetPredictTime(false),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(20), progressbar.OptionShowCount())
	}
	return p
}

func (p *progress) estimate(t *target, workload string) float64 {
	if s, ok := p.took[t.Name+" "+workload]; ok && s > 0 {
		return s
	}
	return usual[t.Kind]
}

// left is the estimated time until the end.
func (p *progress) left() time.Duration {
	all := 0.0
	for _, t := range p.r.targets {
		if t.dead {
			continue
		}
		for i := range p.r.jobs {
			all += p.estimate(t, p.r.jobs[i].Name) * float64(p.r.Rounds)
		}
		if len(p.r.boots) > 0 && t.Kind != report.Native {
			all += p.estimate(t, "boot") * float64(p.r.Rounds)
		}
	}
	share := p.spent / all
	if share <= 0.005 {
		return time.Duration(all * float64(time.Second))
	}
	elapsed := time.Since(p.start).Seconds()
	return time.Duration(max(elapsed/share-elapsed, 0) * float64(time.Second))
}

// describe says what runs now.
func (p *progress) describe(target string, round int, workload string) {
	if p.out == nil {
		return
	}
	left := p.left().Round(time.Second)
	if p.bar != nil {
		p.bar.Describe(fmt.Sprintf("round %d/%d %s %-24s %v left", round+1, p.r.Rounds, target, workload, left))
		return
	}
	if line := fmt.Sprintf("round %d of %d, %s", round+1, p.r.Rounds, target); line != p.last {
		p.last = line
		p.r.message("%s: %d of %d done, about %v left", line, p.count, p.total, left)
	}
}

// advance counts a workload that is done.
func (p *progress) advance(t *target, workload string, seconds float64) {
	p.took[t.Name+" "+workload] = seconds
	p.spent += p.estimate(t, workload)
	p.count++
	if p.bar != nil {
		p.bar.Add(1)
	}
}

func (p *progress) done() {
	if p != nil && p.bar != nil {
		p.bar.Finish()
	}
}
