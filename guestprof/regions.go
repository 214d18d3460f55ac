package guestprof

import (
	"fmt"
	"io"
	"time"

	"github.com/google/pprof/profile"

	"hotblock/jit"
)

// Follow keeps records of what a CPU's translator does, for TranslationProfile and
// WriteHot. It must be called before the CPU runs.
func (p *Profiler) Follow(e *jit.Engine) {
	p.jit = e
	p.regions = map[*jit.Record]frame{}
	e.Record(func(r *jit.Record) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.look()
		t := p.currentTask()
		p.regions[r] = p.here(&t)
	})
}

// TranslationProfile returns what the translator did: a sample for each piece of
// code that was translated, and one for each reason for which that was left for the
// engine, with the reason as label exit. It is to be called when the CPU does not
// run any more.
func (p *Profiler) TranslationProfile() *profile.Profile {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.builder()
	b.prof.SampleType = []*profile.ValueType{
		{Type: "translations", Unit: "count"}, {Type: "translation", Unit: "nanoseconds"}, {Type: "instructions", Unit: "count"},
		{Type: "guest", Unit: "bytes"}, {Type: "host", Unit: "bytes"}, {Type: "exits", Unit: "count"}, {Type: "running", Unit: "nanoseconds"}}
	b.prof.DefaultSampleType = "translation"
	b.prof.PeriodType = &profile.ValueType{Type: "translations", Unit: "count"}
	b.prof.Period = 1
	period := int64(time.Second) / int64(p.opt.Hz)
	if p.jit == nil {
		return b.prof
	}
	for _, r := range p.jit.Records() {
		loc := []*profile.Location{b.location(p.regions[r])}
		ring := []string{"ring0"}
		if r.User {
			ring[0] = "ring3"
		}
		b.prof.Sample = append(b.prof.Sample, &profile.Sample{
			Location: loc,
			Value:    []int64{int64(r.Translations), int64(r.Time), int64(r.Instructions), int64(r.GuestBytes), int64(r.HostBytes), 0, int64(r.Samples) * period},
			Label:    map[string][]string{"ring": ring},
		})
		for i, n := range r.Exits {
			if n != 0 {
				b.prof.Sample = append(b.prof.Sample, &profile.Sample{
					Location: loc,
					Value:    []int64{0, 0, 0, 0, 0, int64(n), 0},
					Label:    map[string][]string{"ring": ring, "exit": {jit.ExitNames[i]}},
				})
			}
		}
	}
	b.prof.Comments = []string{"translation profile; instructions and bytes are those of the last translation of each region"}
	return b.prof
}

// WriteTranslation writes the translation profile in pprof's format, compressed.
func (p *Profiler) WriteTranslation(w io.Writer) error { return p.TranslationProfile().Write(w) }

// WriteHot writes the n regions that most samples fell into, as text, with the code
// of guest and host side by side. It is to be called when the CPU does not run any
// more, before the translator is closed.
func (p *Profiler) WriteHot(w io.Writer, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.jit == nil {
		return
	}
	p.jit.FprintHot(w, n, func(r *jit.Record) string {
		f := p.regions[r]
		if f.img == nil {
			return "?"
		}
		name, addr := f.resolve()
		if _, start, ok := f.img.syms.lookup(addr); ok && addr != start {
			name += fmt.Sprintf("+%#x", addr-start)
		}
		return name
	})
}
