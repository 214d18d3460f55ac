package fetch

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

var (
	errNoApt          = errors.New("no apt-get on this host")
	errUnknownPackage = errors.New("no such package in apt's lists")
)

// apt is the host's package client.
type apt interface {
	// run runs one of its programs in dir and returns what it printed. With
	// percent set, the download's progress is reported, 0 to 100.
	run(ctx context.Context, dir string, percent func(float64), name string, args ...string) (string, error)
	haveLists() bool
	isRoot() bool
	// qualify adds the architecture to a package's name, where it is not the
	// host's own.
	qualify(pkg string) string
}

type hostApt struct{}

func (*hostApt) isRoot() bool { return os.Geteuid() == 0 }

func (*hostApt) haveLists() bool {
	found, _ := filepath.Glob("/var/lib/apt/lists/*_Packages*")
	return len(found) > 0
}

func (*hostApt) qualify(pkg string) string {
	if runtime.GOARCH == "amd64" {
		return pkg
	}
	return pkg + ":amd64"
}

func (h *hostApt) run(ctx context.Context, dir string, percent func(float64), name string, args ...string) (string, error) {
	bin, err := exec.LookPath(name)
	if err != nil {
		return "", errNoApt
	}
	if name == "apt-get" {
		// What is installed does not matter: a version that no archive has would
		// stand in the way of one that can be downloaded.
		opts := []string{"-q", "-y", "-o", "Dir::State::status=/dev/null"}
		if h.isRoot() {
			// Without it apt warns that its sandbox user cannot write here.
			opts = append(opts, "-o", "APT::Sandbox::User=root")
		}
		if percent != nil {
			opts = append(opts, "-o", "APT::Status-Fd=3")
		}
		args = append(opts, args...)
	}
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "LANGUAGE=C")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	read := make(chan struct{})
	if percent != nil {
		r, w, err := os.Pipe()
		if err != nil {
			return "", err
		}
		cmd.ExtraFiles = []*os.File{w}
		go func() {
			defer close(read)
			defer r.Close()
			readStatus(r, percent)
		}()
		defer func() { <-read }()
		defer w.Close()
	}
	err = cmd.Run()
	if err == nil {
		return out.String(), nil
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if msg := aptError(errs.String() + "\n" + out.String()); msg != "" {
		if strings.Contains(msg, "Unable to locate package") || strings.Contains(msg, "No packages found") ||
			strings.Contains(msg, "Can't select candidate version") {
			return "", fmt.Errorf("%w (%s)", errUnknownPackage, msg)
		}
		return "", errors.New(msg)
	}
	return "", fmt.Errorf("%s: %w", name, err)
}

// aptError is the first error in apt's output, without its "E: ".
func aptError(out string) string {
	for _, line := range strings.Split(out, "\n") {
		if msg, ok := strings.CutPrefix(strings.TrimSpace(line), "E: "); ok {
			return strings.Join(strings.Fields(msg), " ")
		}
	}
	return ""
}

// readStatus reads lines like "dlstatus:1:42.5000:Retrieving file 1 of 1".
func readStatus(r io.Reader, percent func(float64)) {
	s := bufio.NewScanner(r)
	for s.Scan() {
		f := strings.SplitN(s.Text(), ":", 4)
		if len(f) >= 3 && f[0] == "dlstatus" {
			if v, err := strconv.ParseFloat(f[2], 64); err == nil {
				percent(v)
			}
		}
	}
}
