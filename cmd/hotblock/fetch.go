package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"

	"hotblock/boot/fetch"
)

var subcommands = map[string]func(args []string, stdout, stderr io.Writer) error{
	"fetch": runFetch,
}

const fetchHelp = `usage: hotblock fetch [-refresh] [cloud|generic|PACKAGE [PATH]]

Gets a guest from Debian's archive through apt into the cache and prints where
it is:
  hotblock fetch                    the default guest: cloud kernel and busybox
  hotblock fetch generic            linux-image-amd64's kernel
  hotblock fetch nasm               a package
  hotblock fetch nasm usr/bin/nasm  a file out of a package; the path may be a
                                    pattern such as boot/vmlinuz-*
  -refresh                          look for a newer version at once, and not
                                    only once a day
`

func runFetch(args []string, stdout, stderr io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	cache, err := fetch.Default()
	if err != nil {
		return err
	}
	cache.Out = stderr
	var words []string
	for _, a := range args {
		switch a {
		case "-refresh", "--refresh":
			cache.Refresh = true
		case "-h", "-help", "--help":
			fmt.Fprint(stdout, fetchHelp)
			return errDone
		default:
			if len(a) == 0 || a[0] == '-' {
				return fmt.Errorf("fetch: unknown option %s%s; fetch -help lists them", a, nearest(a, []string{"-refresh", "-help"}, ""))
			}
			words = append(words, a)
		}
	}
	show := func(path string, err error) error {
		if err == nil {
			fmt.Fprintln(stdout, path)
		}
		return err
	}
	switch {
	case len(words) == 0:
		if err := show(cache.Kernel(ctx, "cloud")); err != nil {
			return err
		}
		return show(cache.File(ctx, "busybox-static", "bin/busybox"))
	case len(words) == 1 && (words[0] == "cloud" || words[0] == "generic"):
		return show(cache.Kernel(ctx, words[0]))
	case len(words) == 1:
		return show(cache.Package(ctx, words[0]))
	case len(words) == 2:
		return show(cache.File(ctx, words[0], words[1]))
	}
	return fmt.Errorf("fetch: %q is one word too many; fetch -help tells the usage", words[2])
}
