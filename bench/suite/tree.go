package suite

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hotblock/boot/fetch"
	"hotblock/boot/initramfs"
)

// The tree of programs. A package's libraries are found by the Depends fields,
// and of these only libraries are followed: what a program needs of a Debian
// system besides them (debconf, dpkg) it does not need here.

// followed says whether a dependency is a library, or else a part of one of the
// programs: gcc's and QEMU's packages, and the scripts that Debian takes out of
// Node.js.
func followed(name string) bool {
	for _, prefix := range []string{"lib", "zlib", "gcc-12", "node-", "qemu-system-", "seabios", "ipxe-qemu"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// closure returns the paths of the packages named and of the libraries that they
// need, each once.
func closure(ctx context.Context, cache *fetch.Cache, names []string) (debs []string, err error) {
	seen := map[string]bool{}
	for todo := slices.Clone(names); len(todo) > 0; todo = todo[1:] {
		name := todo[0]
		if seen[name] {
			continue
		}
		seen[name] = true
		deb, err := cache.Package(ctx, name)
		if err != nil {
			return nil, err
		}
		debs = append(debs, deb)
		deps, err := fetch.Depends(deb)
		if err != nil {
			return nil, err
		}
		for _, d := range deps {
			if followed(d) {
				todo = append(todo, d)
			}
		}
	}
	slices.Sort(debs)
	return debs, nil
}

// Tree returns a directory with the files of Debian packages and of the libraries
// that they need, but for documentation and the like. It is in the cache, where runs
// share it: nothing is to be written there. It has empty directories to mount on, and
// dash, which has to be among the packages, as /bin/sh.
func Tree(ctx context.Context, cache *fetch.Cache, packages []string) (dir string, err error) {
	debs, err := closure(ctx, cache, packages)
	if err != nil {
		return "", err
	}
	return unpack(cache, debs, pruned)
}

// treeVersion is counted up when the making of a tree changes.
const treeVersion = "1"

// left out of trees: what no program reads while it works.
var pruned = []string{"usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian", "usr/share/bug", "usr/share/bash-completion",
	"usr/share/zsh", "usr/share/applications", "usr/share/pixmaps", "usr/share/icons", "usr/share/common-licenses", "usr/share/gcc", "usr/share/perl5/unicore",
	"usr/lib/x86_64-linux-gnu/gconv", "usr/lib/locale", "usr/share/i18n", "usr/share/mysql", "usr/lib/x86_64-linux-gnu/perl-base/unicore/lib", "etc/alternatives"}

// unpack returns a directory with the packages' files, made where it is not in
// the cache yet.
func unpack(cache *fetch.Cache, debs []string, prune []string) (dir string, err error) {
	h := sha256.New()
	fmt.Fprintln(h, treeVersion)
	for _, d := range append(slices.Clone(debs), prune...) {
		fmt.Fprintln(h, filepath.Base(d))
	}
	root := filepath.Join(cache.Dir, "bench")
	dir = filepath.Join(root, hex.EncodeToString(h.Sum(nil))[:16])
	if _, err := os.Stat(dir); err == nil {
		now := time.Now()
		os.Chtimes(dir, now, now)
		return dir, nil
	}
	sweep(root)
	if err := os.MkdirAll(root, 0o777); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(root, ".new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	for _, d := range debs {
		if err := fetch.ExtractAll(d, tmp); err != nil {
			return "", err
		}
	}
	for _, p := range prune {
		if err := os.RemoveAll(filepath.Join(tmp, p)); err != nil {
			return "", err
		}
	}
	for _, d := range []string{"bench", "dev", "proc", "sys", "tmp", "etc", "bin", "root"} {
		if err := os.MkdirAll(filepath.Join(tmp, d), 0o755); err != nil {
			return "", err
		}
	}
	for name, data := range map[string]string{"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n"} {
		if err := os.WriteFile(filepath.Join(tmp, name), []byte(data), 0o644); err != nil {
			return "", err
		}
	}
	if err := os.Symlink("dash", filepath.Join(tmp, "bin/sh")); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	if err := os.Rename(tmp, dir); err != nil {
		if _, e := os.Stat(dir); e != nil {
			return "", err
		}
	}
	return dir, nil
}

// keptTrees is how many trees the cache keeps, besides those used within a day.
const keptTrees = 4

// sweep removes trees that were not used for long. A tree's time is that of its
// last use.
func sweep(root string) {
	entries, _ := os.ReadDir(root)
	var old []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			old = append(old, info)
		}
	}
	slices.SortFunc(old, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for i, e := range old {
		if i >= keptTrees && time.Since(e.ModTime()) > 24*time.Hour {
			os.RemoveAll(filepath.Join(root, e.Name()))
		}
	}
}

// Files reads a directory for an archive, below the given name.
func Files(dir, below string) (list []initramfs.File, err error) {
	err = filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil || rel == "." {
			return err
		}
		f := initramfs.File{Name: filepath.ToSlash(filepath.Join(below, rel))}
		info, err := e.Info()
		if err != nil {
			return err
		}
		switch {
		case e.IsDir():
			f.Mode = initramfs.TypeDir | 0o755
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			f.Mode, f.Data = initramfs.TypeSymlink|0o777, []byte(target)
		case info.Mode().IsRegular():
			if f.Data, err = os.ReadFile(p); err != nil {
				return err
			}
			f.Mode = initramfs.TypeRegular | uint32(info.Mode().Perm())
		default:
			return nil
		}
		list = append(list, f)
		return nil
	})
	return list, err
}

// writeInitrd writes the file system of a guest: the tree, with the agent's
// directory over it.
func writeInitrd(path, tree, dir string) (err error) {
	list, err := Files(tree, "")
	if err != nil {
		return err
	}
	over, err := Files(dir, "bench")
	if err != nil {
		return err
	}
	list = append(list, over...)
	list = append(list, initramfs.File{Name: "dev/console", Mode: initramfs.TypeChar | 0o600, Major: 5, Minor: 1})
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return initramfs.Write(f, list)
}

// copyFile copies a program.
func copyFile(dst, src string) (err error) {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
