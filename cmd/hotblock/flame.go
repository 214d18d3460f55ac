package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/google/pprof/profile"

	"hotblock/guestprof/flame"
)

func init() { subcommands["flame"] = runFlame }

const flameHelp = `usage: hotblock flame [options] PROFILE > FLAME.svg

Draws a profile, such as -profile writes, as a flame graph.
  -by LABELS     labels that stacks are grouped by, separated by commas, such as
                 comm (the default), pid, ring, tier, vcpu; none: no groups
  -title TEXT    what stands above it
  -sample NAME   the type of value, such as samples or cpu
  -width N       pixels (1200)
`

func runFlame(args []string, stdout, stderr io.Writer) error {
	set := flag.NewFlagSet("flame", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	var o flame.Options
	by := set.String("by", "comm", "")
	set.StringVar(&o.Title, "title", "", "")
	set.StringVar(&o.Sample, "sample", "", "")
	set.IntVar(&o.Width, "width", 1200, "")
	if err := set.Parse(args); err == flag.ErrHelp {
		fmt.Fprint(stdout, flameHelp)
		return errDone
	} else if err != nil {
		return fmt.Errorf("flame: %w; flame -help lists the options", err)
	}
	if set.NArg() != 1 {
		return fmt.Errorf("flame: give one profile; flame -help tells the usage")
	}
	if o.Width < 200 || o.Width > 20000 {
		return fmt.Errorf("flame: -width %d: give 200 to 20000 pixels", o.Width)
	}
	if *by != "none" && *by != "" {
		o.Roots = strings.Split(*by, ",")
	}
	name := set.Arg(0)
	f, err := os.Open(name)
	if err != nil {
		return cause("flame: "+name, "cannot be read", err)
	}
	defer f.Close()
	p, err := profile.Parse(f)
	if err != nil {
		return fmt.Errorf("flame: %s is not a profile of pprof's: %w", name, err)
	}
	if o.Title == "" {
		o.Title = name
	}
	if err := flame.Write(stdout, p, o); err != nil {
		return fmt.Errorf("flame: %s: %w", name, err)
	}
	return nil
}
