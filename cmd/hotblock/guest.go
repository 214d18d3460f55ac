package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"hotblock/boot"
	"hotblock/boot/fetch"
	"hotblock/boot/initramfs"
)

// The guest that is booted where nothing was asked for: Debian's cloud kernel
// with busybox, on the serial console.

const guestCmdline = "console=ttyS0"

const guestBanner = `
This is Linux in hotblock. "poweroff" ends it; so does Ctrl-a x at any time.

`

// defaultGuest fills in what is missing to boot something.
func (c *command) defaultGuest(ctx context.Context) error {
	cfg := c.cfg
	if cfg.Kernel != "" {
		return nil
	}
	if len(cfg.Drives) > 0 && cfg.Firmware == "" {
		fw, err := findFirmware(ctx)
		if err != nil {
			return err
		}
		cfg.Firmware = fw
	}
	if cfg.Firmware != "" {
		if cfg.VGA {
			cfg.VGABIOS = findVGABIOS(ctx, cfg.Firmware)
		}
		return nil
	}
	kernel, err := fetch.Kernel(ctx, "cloud")
	if err != nil {
		return err
	}
	cfg.Kernel = kernel
	if !c.appendRaw {
		cfg.Cmdline = boot.AddParameters(guestCmdline, cfg.Cmdline)
	}
	if cfg.Initrd != "" {
		return nil
	}
	path, err := fetch.File(ctx, "busybox-static", "bin/busybox")
	if err != nil {
		return err
	}
	busybox, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	cfg.InitrdData, err = initramfs.Build(initramfs.Options{Busybox: busybox, Banner: guestBanner})
	return err
}

// seabios is where distributions put SeaBIOS.
var seabios = []string{"/usr/share/seabios/bios-256k.bin", "/usr/share/qemu/bios-256k.bin", "/usr/share/qemu/bios.bin"}

func findFirmware(ctx context.Context) (string, error) {
	for _, p := range seabios {
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	p, err := fetch.File(ctx, "seabios", "usr/share/seabios/bios-256k.bin")
	if err != nil {
		return "", fmt.Errorf("disks are booted by SeaBIOS, which is not installed: %w; or give it with -bios", err)
	}
	return p, nil
}

// findVGABIOS looks for the VGA's option ROM beside the firmware and where
// distributions put it. A machine without one has no text screen until a system
// sets a mode itself, so that it is missing is no error.
func findVGABIOS(ctx context.Context, firmware string) string {
	const name = "vgabios-stdvga.bin"
	for _, p := range []string{filepath.Join(filepath.Dir(firmware), name), "/usr/share/seabios/" + name} {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	p, err := fetch.File(ctx, "seabios", "usr/share/seabios/"+name)
	if err != nil {
		return ""
	}
	return p
}
