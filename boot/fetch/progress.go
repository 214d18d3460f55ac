package fetch

import (
	"fmt"
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows one download: a bar on a terminal, a line elsewhere.
type progress struct {
	out  io.Writer
	bar  *progressbar.ProgressBar
	size int64
}

func newProgress(out io.Writer, name string, size int64) *progress {
	p := &progress{out: out, size: size}
	if out == nil {
		return p
	}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions64(size, progressbar.OptionSetWriter(out), progressbar.OptionShowBytes(true),
			progressbar.OptionSetDescription(name), progressbar.OptionFullWidth(), progressbar.OptionClearOnFinish())
		p.bar.RenderBlank()
	} else {
		fmt.Fprintf(out, "hotblock: downloading %s (%.1f MB)\n", name, float64(size)/1e6)
	}
	return p
}

func (p *progress) percent(v float64) {
	if p.bar != nil {
		p.bar.Set64(min(int64(v/100*float64(p.size)), p.size))
	}
}

func (p *progress) done(ok bool) {
	if p.bar == nil {
		return
	}
	if ok {
		p.bar.Finish()
	} else {
		p.bar.Clear()
	}
}
