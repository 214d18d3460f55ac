package suite

import (
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"hotblock/bench/report"
)

// progress shows how far the run is, and estimates what is left: each target
// goes on as fast as it went so far, and one that had no turn yet as is usual
// for its kind.
type progress struct {
	r     *runner
	out   *os.File
	bar   *progressbar.ProgressBar // nil where Out is no terminal
	last  time.Time                // something was done
	per   map[*target]*pace
	count int
	total int
	line  string
}

// pace is what a target did.
type pace struct {
	done int
	took time.Duration
}

// usual seconds for a workload by kind of target.
var usual = map[string]float64{report.Native: 0.3, report.QEMU: 3, report.Hotblock: 5}

func newProgress(r *runner) *progress {
	p := &progress{r: r, out: r.Out, last: time.Now(), per: map[*target]*pace{}}
	for _, t := range r.targets {
		p.total += p.units(t)
		p.per[t] = &pace{}
	}
	if p.out != nil && term.IsTerminal(int(p.out.Fd())) {
		p.bar = progressbar.NewOptions(p.total, progressbar.OptionSetWriter(p.out), progressbar.OptionSetPredictTime(false),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(20), progressbar.OptionShowCount())
	}
	return p
}

// units is how many workloads and boots a target has to do in all.
func (p *progress) units(t *target) int {
	n := len(p.r.jobs)
	if t.Kind != report.Native && len(p.r.boots) > 0 {
		n++
	}
	return n * p.r.Rounds
}

// left is the estimated time until the end.
func (p *progress) left() time.Duration {
	left := 0.0
	for _, t := range p.r.targets {
		if t.dead {
			continue
		}
		each, per := usual[t.Kind], p.per[t]
		if per.done > 0 {
			each = per.took.Seconds() / float64(per.done)
		}
		left += each * float64(p.units(t)-per.done)
	}
	return time.Duration(left * float64(time.Second))
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
	if line := fmt.Sprintf("round %d of %d, %s", round+1, p.r.Rounds, target); line != p.line {
		p.line = line
		p.r.message("%s: %d of %d done, about %v left", line, p.count, p.total, left)
	}
}

// advance counts a workload, or a boot, that is done.
func (p *progress) advance(t *target) {
	now := time.Now()
	per := p.per[t]
	per.done++
	per.took += now.Sub(p.last)
	p.last = now
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
