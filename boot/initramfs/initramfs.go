// Package initramfs builds a small root file system for a guest Linux: busybox
// with its own init, so that poweroff, reboot and job control are as a user
// expects.
package initramfs

import (
	"bytes"
	"strings"
)

// Options says what goes into the file system.
type Options struct {
	// Busybox is a static busybox with init, sh, mount and cttyhack.
	Busybox []byte
	// Init, where set, stands at /init in place of busybox's init: a script or
	// a program. Nothing is mounted before it then.
	Init []byte
	// Script, where set, is run by the shell once the system is up and before
	// anyone gets a prompt. Its output goes to the console.
	Script string
	// Banner is printed before the first prompt.
	Banner string
	// Extra is added last, over what is there.
	Extra []File
}

// inittab of busybox's init. An empty terminal is the console; cttyhack makes
// the terminal behind it the shell's own, which job control needs.
const inittab = `::sysinit:/etc/rc
::respawn:-/bin/login-shell
::ctrlaltdel:/sbin/reboot
::shutdown:/bin/sync
`

const loginShell = `#!/bin/sh
cd /root
exec cttyhack sh -l
`

const rc = `#!/bin/busybox sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
busybox mount -t devtmpfs none /dev
busybox mkdir -p /dev/pts /dev/shm
busybox mount -t devpts none /dev/pts
busybox mount -t proc none /proc
busybox mount -t sysfs none /sys
busybox mount -t tmpfs none /dev/shm
busybox mount -t tmpfs none /tmp
busybox mount -t tmpfs none /run
busybox --install -s
hostname hotblock
ip link set lo up
[ -x /etc/rc.local ] && /etc/rc.local
cat /etc/motd
`

const profile = `export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root TERM=${TERM:-vt102}
export PS1='hotblock:\w# '
`

// Build returns the archive.
func Build(o Options) ([]byte, error) {
	text := func(name, s string, perm uint32) File { return File{Name: name, Mode: perm, Data: []byte(s)} }
	files := []File{
		{Name: "dev", Mode: TypeDir | 0o755},
		{Name: "dev/console", Mode: TypeChar | 0o600, Major: 5, Minor: 1},
		{Name: "dev/null", Mode: TypeChar | 0o666, Major: 1, Minor: 3},
		{Name: "proc", Mode: TypeDir | 0o555},
		{Name: "sys", Mode: TypeDir | 0o555},
		{Name: "tmp", Mode: TypeDir | 0o1777},
		{Name: "run", Mode: TypeDir | 0o755},
		{Name: "root", Mode: TypeDir | 0o700},
		{Name: "var/log", Mode: TypeDir | 0o755},
		{Name: "sbin", Mode: TypeDir | 0o755},
		{Name: "usr/bin", Mode: TypeDir | 0o755},
		{Name: "usr/sbin", Mode: TypeDir | 0o755},
		text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644),
		text("etc/group", "root:x:0:\ntty:x:5:\n", 0o644),
		text("etc/hosts", "127.0.0.1\tlocalhost hotblock\n", 0o644),
	}
	if o.Busybox != nil {
		files = append(files,
			File{Name: "bin/busybox", Mode: 0o755, Data: o.Busybox},
			File{Name: "bin/sh", Mode: TypeSymlink | 0o777, Data: []byte("busybox")},
			text("etc/inittab", inittab, 0o644),
			text("etc/rc", rc, 0o755),
			text("etc/profile", profile, 0o644),
			text("etc/motd", o.Banner, 0o644),
			text("bin/login-shell", loginShell, 0o755),
		)
	}
	if o.Script != "" {
		s := o.Script
		if !strings.HasPrefix(s, "#!") {
			s = "#!/bin/sh\n" + s
		}
		files = append(files, text("etc/rc.local", s, 0o755))
	}
	if o.Init != nil {
		files = append(files, File{Name: "init", Mode: 0o755, Data: o.Init})
	} else {
		files = append(files, File{Name: "init", Mode: TypeSymlink | 0o777, Data: []byte("bin/busybox")})
	}
	var out bytes.Buffer
	if err := Write(&out, append(files, o.Extra...)); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
