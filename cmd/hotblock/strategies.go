package main

import (
	"encoding/json"
	"fmt"
	"io"

	"hotblock/jit"
)

func init() { subcommands["strategies"] = listStrategies }

const strategiesHelp = `usage: hotblock strategies [-json]

Lists the choices of the translator: axes and, of each, the strategies that
-jit AXIS=STRATEGY chooses, the default first. hotblock bench -strategies
measures what each is worth. -json lists them for programs.
`

// listStrategies prints what package jit has registered.
func listStrategies(args []string, stdout, _ io.Writer) error {
	axes := jit.Axes()
	switch {
	case len(args) == 0:
	case len(args) == 1 && (args[0] == "-json" || args[0] == "--json"):
		e := json.NewEncoder(stdout)
		e.SetIndent("", " ")
		return e.Encode(axes)
	case args[0] == "-h" || args[0] == "-help" || args[0] == "--help":
		fmt.Fprint(stdout, strategiesHelp)
		return nil
	default:
		return fmt.Errorf("strategies: %q is one word too many; strategies -help tells the usage", args[0])
	}
	for _, x := range axes {
		fmt.Fprintf(stdout, "%s: %s\n", x.Name, x.Text)
		for i, c := range x.Choices {
			mark := ""
			if i == 0 {
				mark = " (default)"
			}
			fmt.Fprintf(stdout, "  %-12s %s%s\n", c.Name, c.Text, mark)
		}
	}
	fmt.Fprintf(stdout, "threshold: how often a block is entered before it is translated\n  %-12s a number (default %d)\n", "N", jit.DefaultConfig.Threshold)
	return nil
}
