//go:build !(linux && amd64)

package agent

import "fmt"

// Main fails: the agent is a Linux program for amd64.
func Main(args []string) error {
	return fmt.Errorf("%s runs on linux/amd64 only", Command)
}
