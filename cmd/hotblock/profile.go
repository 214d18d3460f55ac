package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"hotblock/guestprof"
	"hotblock/machine"
)

// profileArg is a -profile option.
type profileArg struct {
	file        string
	translation bool
	opt         guestprof.Options
}

const profileUsage = `FILE[,KEY=VALUE,...]: write a profile for pprof at the end, of
kind=guest        what the guest ran, sampled (the default)
kind=translation  what the translator made of it
hz=N              samples a second (1000)
symbols=FILE      vmlinux or System.map, where the kernel has no kallsyms
binaries=DIR      files of the guest, for symbols that are not in its memory`

var profileKeys = []string{"kind", "hz", "symbols", "binaries"}

func applyProfile(c *command, v string) error {
	var a profileArg
	for _, kv := range keyVals(v, "file") {
		if kv.val == "" && kv.key != "" {
			return fmt.Errorf("%s needs a value", kv.key)
		}
		switch kv.key {
		case "file":
			a.file = kv.val
		case "kind":
			switch kv.val {
			case "guest":
			case "translation":
				a.translation = true
			default:
				return fmt.Errorf("kind=%s: it is guest or translation", kv.val)
			}
		case "hz":
			n, err := strconv.Atoi(kv.val)
			if err != nil || n < 1 || n > guestprof.MaxHz {
				return fmt.Errorf("hz=%s: give a number of samples a second, 1 to %d", kv.val, guestprof.MaxHz)
			}
			a.opt.Hz = n
		case "symbols":
			if _, err := os.Stat(kv.val); err != nil {
				return cause("symbols="+kv.val, "cannot be read", err)
			}
			a.opt.Symbols = kv.val
		case "binaries":
			st, err := os.Stat(kv.val)
			if err != nil {
				return cause("binaries="+kv.val, "cannot be read", err)
			}
			if !st.IsDir() {
				return fmt.Errorf("binaries=%s is not a directory", kv.val)
			}
			a.opt.Binaries = kv.val
		default:
			return unknownKey(kv.key, profileKeys...)
		}
	}
	if a.file == "" {
		return errors.New("give a file to write: -profile guest.pb.gz")
	}
	for _, o := range c.profiles {
		if o.translation == a.translation {
			return errors.New("there can be one profile of each kind; leave one out")
		}
	}
	if a.translation && (a.opt != guestprof.Options{}) {
		return errors.New("kind=translation is not sampled; give hz, symbols and binaries to a profile of kind=guest beside it")
	}
	c.profiles = append(c.profiles, a)
	return nil
}

// profiling is what profiles a machine, and the files for it.
type profiling struct {
	prof  *guestprof.Profiler
	files []*profileFile
	hot   io.Writer // where -d hot goes, or nil
	once  sync.Once
	err   error
}

type profileFile struct {
	name    string
	tmp     *os.File
	write   func(io.Writer) error
	orderly bool // only where the machine has stopped
}

// openProfiles makes the files for the profiles, under other names until they are
// complete, so that what cannot be written is known before the guest starts.
func (c *command) openProfiles() (*profiling, error) {
	p := &profiling{}
	for _, a := range c.profiles {
		if st, err := os.Stat(a.file); err == nil && st.IsDir() {
			p.discard()
			return nil, fmt.Errorf("-profile %s: it is a directory; give a file to write", a.file)
		}
		f, err := os.CreateTemp(filepath.Dir(a.file), filepath.Base(a.file)+".*.tmp")
		if err != nil {
			p.discard()
			return nil, cause("-profile "+a.file, "cannot be written", err)
		}
		p.files = append(p.files, &profileFile{name: a.file, tmp: f})
	}
	return p, nil
}

// discard removes the files.
func (p *profiling) discard() {
	p.once.Do(func() {
		for _, f := range p.files {
			f.discard()
		}
	})
}

// hotRegions is how many regions -d hot prints.
const hotRegions = 20

// startProfiles begins to profile a machine.
func (c *command) startProfiles(p *profiling, m *machine.Machine) error {
	hot := c.cfg.Trace&machine.TraceHot != 0
	if len(c.profiles) == 0 && !hot {
		return nil
	}
	var opt guestprof.Options
	follow := hot
	for _, a := range c.profiles {
		if a.translation {
			follow = true
		} else {
			opt = a.opt
		}
	}
	if follow && m.JIT == nil {
		return errors.New("-d hot and -profile kind=translation look at the translator; leave -accel interp out")
	}
	prof, err := guestprof.New(m.CPU, opt)
	if err != nil {
		return cause("-profile symbols="+opt.Symbols, "cannot be used", err)
	}
	p.prof = prof
	if follow {
		prof.Follow(m.JIT)
	}
	for i, a := range c.profiles {
		if f := p.files[i]; a.translation {
			f.write, f.orderly = prof.WriteTranslation, true
		} else {
			f.write = prof.Write
		}
	}
	if hot {
		p.hot = c.cfg.Host.Trace
	}
	prof.Start()
	return nil
}

// finish writes the profiles. It may be called from any goroutine, and more than
// once. What the translator did is written where the machine has stopped only.
func (p *profiling) finish(stopped bool) error {
	p.once.Do(func() {
		if p.prof != nil {
			p.prof.Stop()
		}
		for _, f := range p.files {
			if f.write == nil || f.orderly && !stopped {
				f.discard()
				continue
			}
			p.err = errors.Join(p.err, f.finish())
		}
		if p.hot != nil && stopped {
			p.prof.WriteHot(p.hot, hotRegions)
		}
	})
	return p.err
}

func (f *profileFile) discard() {
	f.tmp.Close()
	os.Remove(f.tmp.Name())
}

func (f *profileFile) finish() error {
	err := f.write(f.tmp)
	if e := f.tmp.Chmod(0o644); err == nil {
		err = e
	}
	if e := f.tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.tmp.Name(), f.name)
	}
	if err != nil {
		os.Remove(f.tmp.Name())
		return cause("-profile "+f.name, "cannot be written", err)
	}
	return nil
}
