//go:build !linux

package suite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"hotblock/bench/report"
	"hotblock/boot/fetch"
)

// Config is an emulator's configuration.
type Config struct {
	Name string
	Args []string
}

// ParseConfig fails: see Run.
func ParseConfig(s string) (Config, error) { return Config{}, fmt.Errorf("%q: %w", s, errLinux) }

// QEMUConfigs are the configurations of QEMU that hotblock is compared with.
var QEMUConfigs []Config

// Options of a run.
type Options struct {
	Workloads            []Workload
	Rounds               int
	Scale                float64
	Timeout, BootTimeout time.Duration
	Memory, Metric       string
	Command              string
	Native               bool
	Hotblock             string
	Configs              []Config
	QEMU                 string
	QEMUConfigs          []Config
	Counters             bool
	Compare              string
	Kernel               string
	Cache                *fetch.Cache
	Out                  *os.File
}

var errLinux = errors.New("hotblock bench needs Linux on amd64, whose programs it runs")

// Run fails: the suite runs Linux programs natively.
func Run(context.Context, Options) (*report.Report, error) { return nil, errLinux }
