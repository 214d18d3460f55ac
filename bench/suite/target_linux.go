package suite

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"hotblock/bench/agent"
	"hotblock/bench/report"
	"hotblock/boot/fetch"
)

// bootParameters are the kernel's parameters in all guests: no messages but
// errors, no self-tests of the kernel's cryptography, and nothing against
// branch predictors, which neither emulator has.
const bootParameters = "console=ttyS0 quiet panic=-1 cryptomgr.notests spectre_bhi=off"

// agentParameters make the agent init. The kernel hands it what follows "--".
const agentParameters = bootParameters + " rdinit=/" + agent.Program + " -- " + agent.Command

// Config is an emulator's configuration.
type Config struct {
	Name string
	Args []string
}

// ParseConfig reads NAME=ARGUMENTS.
func ParseConfig(s string) (Config, error) {
	name, args, ok := strings.Cut(s, "=")
	if !ok || name == "" || strings.ContainsAny(name, " /") || name == report.Native {
		return Config{}, fmt.Errorf("%q is not NAME=ARGUMENTS", s)
	}
	return Config{name, strings.Fields(args)}, nil
}

// QEMUConfigs are the configurations of QEMU that hotblock is compared with. Of
// a PC's CPU models these are the fastest: "max" has REP MOVSB shown as fast,
// which TCG runs byte by byte, and checks of supervisor access that cost it
// time; "tuned" leaves these out; "qemu64" lacks what TCG is slow at.
var QEMUConfigs = []Config{
	{"qemu-tuned", strings.Fields("-M q35 -cpu max,-erms,-fsrm,-smap,-smep,-umip,-pku,-la57")},
	{"qemu-max", strings.Fields("-M q35 -cpu max")},
	{"qemu-qemu64", strings.Fields("-M q35 -cpu qemu64")},
}

// target is a report.Target that can be started.
type target struct {
	report.Target
	bin  string
	pre  []string // arguments that go before all others
	args []string // the configuration
	env  []string
	dead bool
}

// files of a run.
type runFiles struct {
	kernel, initrd, bootInitrd, serial, tree, agentDir, counters string
	memory                                                       string
}

// command is the process that does the jobs but for those to skip.
func (t *target) command(ctx context.Context, f *runFiles, skip string) *exec.Cmd {
	if t.Kind == report.Native {
		return t.native(ctx, f, skip)
	}
	params := agentParameters
	if skip != "" {
		params += " -skip " + skip
	}
	return t.emulator(ctx, f, f.initrd, params, "-serial", "file:"+f.serial, "-debugcon", "stdio")
}

// bootCommand is the process of a boot, whose serial line is its output.
func (t *target) bootCommand(ctx context.Context, f *runFiles) *exec.Cmd {
	return t.emulator(ctx, f, f.bootInitrd, bootParameters, "-serial", "stdio")
}

func (t *target) emulator(ctx context.Context, f *runFiles, initrd, params string, more ...string) *exec.Cmd {
	args := append(append(append([]string(nil), t.pre...), t.args...), "-m", f.memory, "-nodefaults", "-display", "none", "-no-reboot",
		"-kernel", f.kernel, "-initrd", initrd, "-append", params)
	if t.Kind == report.Hotblock {
		args = append(args, "-append-raw")
		if f.counters != "" {
			args = append(args, "-jit", "counters="+f.counters)
		}
	}
	c := exec.CommandContext(ctx, t.bin, append(args, more...)...)
	c.Env = append(os.Environ(), t.env...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return c
}

// native starts the agent in a mount namespace of its own; where this process is
// not root, in a user namespace too, in which it is.
func (t *target) native(ctx context.Context, f *runFiles, skip string) *exec.Cmd {
	c := exec.CommandContext(ctx, filepath.Join(f.agentDir, "hotblock"), agent.Command, "-root", f.tree, "-dir", f.agentDir, "-skip", skip)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: unix.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		c.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return c
}

// describe fills in what the report says of the target.
func (t *target) describe(ctx context.Context) error {
	switch t.Kind {
	case report.Native:
		t.Version = "the host, one CPU"
		return nil
	case report.QEMU:
		out, err := t.run(ctx, "--version")
		if err != nil {
			return err
		}
		t.Version, _, _ = strings.Cut(out, "\n")
		t.Command = "qemu-system-x86_64 " + strings.Join(t.args, " ")
	case report.Hotblock:
		out, err := t.run(ctx, "-version")
		if err != nil {
			return err
		}
		t.Version = strings.TrimSpace(out)
		t.Command = "hotblock " + strings.Join(t.args, " ")
	}
	return nil
}

func (t *target) run(ctx context.Context, args ...string) (string, error) {
	c := exec.CommandContext(ctx, t.bin, append(append([]string(nil), t.pre...), args...)...)
	c.Env = append(os.Environ(), t.env...)
	out, err := c.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", t.bin, strings.Join(args, " "), err, firstLine(string(out)))
	}
	return string(out), nil
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}

// fetchQEMU unpacks Debian's qemu-system-x86 with its libraries into the cache
// and returns how to start it there: with the loader and the libraries of the
// tree, and its firmware.
func fetchQEMU(ctx context.Context, cache *fetch.Cache) (bin string, pre, env []string, err error) {
	debs, err := closure(ctx, cache, []string{"qemu-system-x86"})
	if err != nil {
		return "", nil, nil, err
	}
	tree, err := unpack(cache, debs, []string{"usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/icons"})
	if err != nil {
		return "", nil, nil, err
	}
	lib := func(p string) string { return filepath.Join(tree, p) }
	const multiarch = "x86_64-linux-gnu"
	var paths []string
	for _, d := range []string{"lib/" + multiarch, "usr/lib/" + multiarch, "usr/lib/" + multiarch + "/pulseaudio", "lib", "usr/lib"} {
		paths = append(paths, lib(d))
	}
	loader, err := filepath.Glob(lib("lib/" + multiarch + "/ld-linux-x86-64.so.2"))
	if err != nil || len(loader) == 0 {
		return "", nil, nil, fmt.Errorf("the fetched QEMU has no loader in %s", tree)
	}
	pre = []string{"--library-path", strings.Join(paths, ":"), lib("usr/bin/qemu-system-x86_64"),
		"-L", lib("usr/share/qemu"), "-L", lib("usr/share/seabios"), "-L", lib("usr/lib/ipxe/qemu")}
	return loader[0], pre, []string{"QEMU_MODULE_DIR=" + lib("usr/lib/"+multiarch+"/qemu")}, nil
}
