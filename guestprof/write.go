package guestprof

import (
	"encoding/binary"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// resolve returns the name of the function that a frame is in, and its address as
// the symbols have it.
func (f frame) resolve() (name string, addr uint64) {
	m := f.img
	addr = f.addr
	if m.file != nil {
		for _, l := range m.file.loads {
			if f.addr-l.off < l.size {
				addr = l.vaddr + (f.addr - l.off)
				break
			}
		}
	}
	if name, start, ok := m.syms.lookup(addr); ok && addr-start < 1<<24 {
		return name, addr
	}
	base := m.name
	if m.file != nil {
		base = "[" + base[strings.LastIndexByte(base, '/')+1:] + "]"
	}
	return base, addr
}

// builder makes the parts of a profile that samples refer to.
type builder struct {
	p         *Profiler
	prof      *profile.Profile
	locations map[frame]*profile.Location
	functions map[functionKey]*profile.Function
	mappings  map[*image]*profile.Mapping
}

type functionKey struct{ image, name string }

func (p *Profiler) builder() *builder {
	return &builder{p: p, prof: &profile.Profile{TimeNanos: p.start.UnixNano(), DurationNanos: int64(time.Since(p.start))},
		locations: map[frame]*profile.Location{}, functions: map[functionKey]*profile.Function{}, mappings: map[*image]*profile.Mapping{}}
}

func (b *builder) mapping(m *image) *profile.Mapping {
	pm := b.mappings[m]
	if pm == nil {
		pm = &profile.Mapping{ID: uint64(len(b.prof.Mapping)) + 1, Start: m.lo, Limit: m.hi, File: m.name, BuildID: m.id, HasFunctions: true}
		b.mappings[m] = pm
		b.prof.Mapping = append(b.prof.Mapping, pm)
	}
	return pm
}

func (b *builder) location(f frame) *profile.Location {
	l := b.locations[f]
	if l == nil {
		if f.img == nil {
			f.img = b.p.named("[more code]")
		}
		name, addr := f.resolve()
		key := functionKey{f.img.name, name}
		fn := b.functions[key]
		if fn == nil {
			fn = &profile.Function{ID: uint64(len(b.prof.Function)) + 1, Name: name, SystemName: name, Filename: f.img.name}
			b.functions[key] = fn
			b.prof.Function = append(b.prof.Function, fn)
		}
		l = &profile.Location{ID: uint64(len(b.prof.Location)) + 1, Mapping: b.mapping(f.img), Address: addr, Line: []profile.Line{{Function: fn}}}
		b.locations[f] = l
		b.prof.Location = append(b.prof.Location, l)
	}
	return l
}

// Profile returns what has been sampled so far. It may be called while the guest
// runs.
func (p *Profiler) Profile() *profile.Profile {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.builder()
	period := int64(time.Second) / int64(p.opt.Hz)
	b.prof.SampleType = []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}
	b.prof.DefaultSampleType = "cpu"
	b.prof.PeriodType = &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}
	b.prof.Period = period
	keys := make([]string, 0, len(p.samples))
	for k := range p.samples {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	le := binary.LittleEndian
	for _, k := range keys {
		n := int64(p.samples[k])
		s := &profile.Sample{Value: []int64{n, n * period}}
		p.byLabel[le.Uint32([]byte(k))].put(s, p.cpu.ID)
		for i := 4; i+4 <= len(k); i += 4 {
			s.Location = append(s.Location, b.location(p.byID[le.Uint32([]byte(k[i:]))]))
		}
		b.prof.Sample = append(b.prof.Sample, s)
	}
	b.prof.Comments = []string{fmt.Sprintf("guest profile, %d Hz; ticks while the CPU was halted, not in it: %d", p.opt.Hz, p.idle)}
	if p.cut > 0 {
		b.prof.Comments = append(b.prof.Comments, fmt.Sprintf("%d samples have no callers: there were too many different stacks", p.cut))
	}
	return b.prof
}

// put labels a sample.
func (l *labels) put(s *profile.Sample, cpu uint32) {
	s.Label = map[string][]string{"ring": {fmt.Sprintf("ring%d", l.cpl)}, "tier": {"interpreter"}, "vcpu": {fmt.Sprintf("cpu%d", cpu)}}
	if l.native {
		s.Label["tier"] = []string{"translated"}
	}
	switch {
	case l.known:
		// A number that is zero, as that of the idle task is, is not in the file.
		s.Label["comm"] = []string{l.comm}
		s.NumLabel = map[string][]int64{"pid": {int64(l.tgid)}, "tid": {int64(l.pid)}}
	case l.cr3 != 0:
		s.Label["cr3"] = []string{fmt.Sprintf("%#x", l.cr3)}
	}
}

// Write writes the profile in pprof's format, compressed.
func (p *Profiler) Write(w io.Writer) error { return p.Profile().Write(w) }
