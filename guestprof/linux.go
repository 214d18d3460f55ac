package guestprof

// What the profiler knows of Linux: where the kernel is, who runs, what is mapped
// where, what is in the page cache, and which modules there are.

import (
	"encoding/binary"
	"strings"
)

const (
	maxImage   = 512 << 20 // of a kernel
	maxORC     = 64 << 20
	maxBTF     = 64 << 20
	maxVMAs    = 4096 // in a list
	maxModules = 1024
)

// kernel is a Linux kernel that runs in the guest.
type kernel struct {
	lstar  uint64 // where its system calls enter
	anchor uint64 // an address of its code
	img    *image
	syms   *symtab
	btf    *btf
	orc    *orcTable
	ready  bool // the search is over

	text, etext uint64
	tries       int // to find it
	wait        int // samples until the next try

	current uint64 // per-CPU address of the current task's pointer
	lay     layout
	vmemmap uint64 // address of the variable with the address of all page structures
	modHead uint64 // and of the list of modules
	modules []*module
	modWait int
}

// layout is where in the kernel's structures the fields are that are used.
type layout struct {
	comm, pid, tgid, mm                      field // task_struct
	tree                                     field // mm_struct: the root of the maple tree of mappings
	list                                     field // or the first of a list of them
	vmStart, vmEnd, vmPgoff, vmFile, vmNext  field
	fileInode, fileDentry                    field
	inodeMapping, inodeSize                  field
	pages                                    field // address_space: the root of the page cache
	nodeShift, nodeSlots                     field // xa_node
	pageStruct                               uint64
	dentryName, dentryParent                 field
	modList, modName                         field
	modBase, modSize, initBase, initSize     field // of its code, and of that for its start
	modKallsyms, ksSyms, ksNum, ksStr, ksTyp field
	modORC, modORCIP, modORCNum              field
}

// findKernel looks for the kernel that has code at k.anchor.
func (k *kernel) findKernel(v *view, given *symtab) {
	const step = 2 << 20
	lo := k.anchor &^ (step - 1)
	for n := 0; n < maxImage/step; n++ {
		if b, _ := v.span(lo - step); b == nil {
			break
		}
		lo -= step
	}
	work := searchWork
	for _, part := range k.parts(v, lo) {
		if given != nil {
			break
		}
		if s := searchKallsyms(part, &work); s != nil {
			if _, ok := s.value("_text"); ok {
				k.syms = s
				break
			}
		}
	}
	if k.syms == nil && given != nil && k.lstar != 0 {
		k.syms = given
		if entry, ok := given.value("entry_SYSCALL_64"); ok && entry != k.lstar {
			k.syms = given.moved(k.lstar - entry)
		}
	}
	if k.syms == nil {
		return
	}
	k.ready = true
	k.text, _ = k.syms.value("_text")
	k.etext, _ = k.syms.value("_etext")
	k.img.syms = k.syms
	k.img.lo, k.img.hi = k.text, k.etext
	if a, b, ok := k.bounds("__start_BTF", "__stop_BTF", maxBTF); ok {
		k.btf = parseBTF(contiguous(v, a, b-a))
	}
	k.findORC(v)
	k.findLayout()
}

// findORC copies the unwind tables.
func (k *kernel) findORC(v *view) {
	a, b, ok1 := k.bounds("__start_orc_unwind_ip", "__stop_orc_unwind_ip", maxORC)
	c, d, ok2 := k.bounds("__start_orc_unwind", "__stop_orc_unwind", maxORC)
	if !ok1 || !ok2 {
		return
	}
	end := k.etext
	if e, ok := k.syms.value("_einittext"); ok {
		end = max(end, e)
	}
	k.orc = newORC(copied(v, a, b-a), copied(v, c, d-c), a, end, k.btf)
}

// parts returns the memory from lo on, as long as it is mapped, in pieces that are
// contiguous in guest-physical memory.
func (k *kernel) parts(v *view, lo uint64) (parts [][]byte) {
	var start, next, size uint64
	flush := func() {
		if size > 0 {
			if b := physical(v.mem, start, size); b != nil {
				parts = append(parts, b)
			}
		}
		size = 0
	}
	for va := lo; va-lo < maxImage && va >= lo; {
		b, pa := v.span(va)
		if b == nil {
			// Pages between the sections may have been given back.
			if va-lo > 8<<20 && size == 0 && va&(2<<20-1) == 0 {
				break
			}
			flush()
			va += pageSize
			if va > k.anchor+maxImage/4 {
				break
			}
			continue
		}
		if size == 0 || pa != next {
			flush()
			start = pa
		}
		size += uint64(len(b))
		next = pa + uint64(len(b))
		va += uint64(len(b))
	}
	flush()
	return parts
}

// bounds returns the addresses of two symbols, in order and near each other.
func (k *kernel) bounds(from, to string, limit uint64) (a, b uint64, ok bool) {
	a, ok1 := k.syms.value(from)
	b, ok2 := k.syms.value(to)
	return a, b, ok1 && ok2 && b > a && b-a <= limit
}

// contiguous returns kernel memory in place where that is possible, else a copy.
func contiguous(v *view, va, size uint64) []byte {
	off := va & (pageSize - 1)
	if _, pa := v.span(va &^ (pageSize - 1)); pa != 0 {
		for n := uint64(0); ; {
			b, p := v.span(va&^(pageSize-1) + n)
			if b == nil || p != pa+n {
				break
			}
			if n += uint64(len(b)); n >= off+size {
				if b = physical(v.mem, pa, off+size); uint64(len(b)) == off+size {
					return b[off:]
				}
				break
			}
		}
	}
	return copied(v, va, size)
}

// copied returns a copy of guest memory, or nil where a part is not mapped.
func copied(v *view, va, size uint64) []byte {
	b := make([]byte, size)
	if !v.read(va, b) {
		return nil
	}
	return b
}

func (k *kernel) findLayout() {
	t, l := k.btf, &k.lay
	if t == nil {
		return
	}
	l.comm, l.pid, l.tgid, l.mm = t.member("task_struct", "comm"), t.member("task_struct", "pid"), t.member("task_struct", "tgid"), t.member("task_struct", "mm")
	l.tree = t.in(t.member("mm_struct", "mm_mt"), "ma_root")
	l.list = t.member("mm_struct", "mmap")
	const vma = "vm_area_struct"
	l.vmStart, l.vmEnd, l.vmPgoff, l.vmFile, l.vmNext = t.member(vma, "vm_start"), t.member(vma, "vm_end"), t.member(vma, "vm_pgoff"), t.member(vma, "vm_file"), t.member(vma, "vm_next")
	l.fileInode = t.member("file", "f_inode")
	l.fileDentry = t.in(t.member("file", "f_path"), "dentry")
	l.inodeMapping, l.inodeSize = t.member("inode", "i_mapping"), t.member("inode", "i_size")
	l.pages = t.in(t.member("address_space", "i_pages"), "xa_head")
	l.nodeShift, l.nodeSlots = t.member("xa_node", "shift"), t.member("xa_node", "slots")
	l.pageStruct = t.sizeOf("page")
	l.dentryName, l.dentryParent = t.in(t.member("dentry", "d_name"), "name"), t.member("dentry", "d_parent")
	l.modList, l.modName = t.member("module", "list"), t.member("module", "name")
	code, start := t.member("module", "core_layout"), t.member("module", "init_layout") // up to 6.3
	if !code.ok {
		code = t.member("module", "mem")
		if elem, n, ok := t.array(code.typ); ok {
			// An array by kind of memory: the first is code, the fifth that for the start.
			code.typ = elem
			start = code
			start.off += 4 * t.sizeOfType(elem)
			start.ok = n > 4
		}
	}
	l.modBase, l.modSize = t.in(code, "base"), t.in(code, "size")
	l.initBase, l.initSize = t.in(start, "base"), t.in(start, "size")
	l.modKallsyms = t.member("module", "kallsyms")
	l.ksSyms, l.ksNum, l.ksStr, l.ksTyp = t.member("mod_kallsyms", "symtab"), t.member("mod_kallsyms", "num_symtab"), t.member("mod_kallsyms", "strtab"), t.member("mod_kallsyms", "typetab")
	arch := t.member("module", "arch")
	l.modORC, l.modORCIP, l.modORCNum = t.in(arch, "orc_unwind"), t.in(arch, "orc_unwind_ip"), t.in(arch, "num_orcs")
	k.vmemmap, _ = k.syms.value("vmemmap_base")
	k.modHead, _ = k.syms.value("modules")
	if a, ok := k.syms.value("current_task"); ok {
		k.current = a
	} else if a, ok := k.syms.value("pcpu_hot"); ok {
		if f := t.member("pcpu_hot", "current_task"); f.ok {
			k.current = a + f.off
		}
	}
}

// task is who runs.
type task struct {
	comm      string
	pid, tgid uint32
	mm        uint64
	ok        bool
}

// task reads the current task of the CPU whose per-CPU data is at gs.
func (k *kernel) task(v *view, gs uint64) (t task) {
	if k == nil || k.btf == nil || k.current == 0 || !k.lay.comm.ok {
		return t
	}
	at, ok := v.u64(gs + k.current)
	if !ok || !kernelHalf(at) {
		return t
	}
	t.pid, t.ok = v.u32(at + k.lay.pid.off)
	if !t.ok {
		return t
	}
	t.tgid, _ = v.u32(at + k.lay.tgid.off)
	t.mm, _ = v.u64(at + k.lay.mm.off)
	t.comm = v.str(at+k.lay.comm.off, 16)
	return t
}

// vma is a mapping of a program.
type vma struct {
	start, end, off uint64 // off: in the file, of start
	file            *file  // nil: of no file
	name            string // where there is no file
}

// vma finds the mapping of an address.
func (p *Profiler) vma(k *kernel, mm, addr uint64) (m vma, ok bool) {
	l := &k.lay
	v := &p.view
	if !l.vmStart.ok || mm == 0 {
		return m, false
	}
	var at uint64
	switch {
	case l.tree.ok:
		at = mapleFind(v, mm+l.tree.off, addr)
	case l.list.ok && l.vmNext.ok:
		at, _ = v.u64(mm + l.list.off)
		for range maxVMAs {
			end, ok := v.u64(at + l.vmEnd.off)
			if !ok || addr < end {
				break
			}
			at, _ = v.u64(at + l.vmNext.off)
		}
	}
	if !kernelHalf(at) {
		return m, false
	}
	var ok1, ok2 bool
	m.start, ok1 = v.u64(at + l.vmStart.off)
	m.end, ok2 = v.u64(at + l.vmEnd.off)
	if !ok1 || !ok2 || addr < m.start || addr >= m.end || kernelHalf(m.end-1) {
		return m, false
	}
	off, _ := v.u64(at + l.vmPgoff.off)
	m.off = off * pageSize
	m.name = "[anon]"
	if f, _ := v.u64(at + l.vmFile.off); kernelHalf(f) {
		m.file = p.file(k, f)
	}
	return m, true
}

// mapleFind returns the entry for an index of the maple tree with its root at
// root (include/linux/maple_tree.h), or 0. Nodes are 256 bytes: a parent, pivots,
// and slots.
func mapleFind(v *view, root, index uint64) uint64 {
	entry, ok := v.u64(root)
	if !ok {
		return 0
	}
	if entry&3 != 2 || entry < 4096 {
		return entry // the only one
	}
	for range 16 {
		node, kind := entry&^0xff, entry>>3&0xf
		pivots := uint64(15)
		switch kind {
		case 1, 2: // a leaf, and a node, of 16 slots
		case 3: // a node that notes gaps, of 10 slots
			pivots = 9
		default:
			return 0
		}
		i := uint64(0)
		for ; i < pivots; i++ {
			p, ok := v.u64(node + 8 + 8*i)
			if !ok {
				return 0
			}
			if index <= p || p == 0 && i > 0 {
				break
			}
		}
		if entry, ok = v.u64(node + 8 + 8*pivots + 8*i); !ok {
			return 0
		}
		if kind == 1 {
			return entry
		}
	}
	return 0
}

// file is a file that programs have mapped.
type file struct {
	inode uint64
	path  string
	img   *image
	loads []loadSegment
	// Symbols are read when the file is first seen, and again at times where that
	// failed, as its pages may come to be in the page cache.
	read  bool
	tries int
	wait  int
}

// file returns the file behind a struct file.
func (p *Profiler) file(k *kernel, at uint64) *file {
	v, l := &p.view, &k.lay
	inode, _ := v.u64(at + l.fileInode.off)
	dentry, _ := v.u64(at + l.fileDentry.off)
	if !l.fileInode.ok || !l.fileDentry.ok || !kernelHalf(inode) {
		return nil
	}
	path := k.path(v, dentry)
	key := fileKey{k, inode, path}
	f := p.files[key]
	if f == nil {
		if len(p.files) >= maxFiles {
			return nil
		}
		f = &file{inode: inode, path: path, img: &image{name: path}}
		f.img.file = f
		p.files[key] = f
	}
	return f
}

type fileKey struct {
	k     *kernel
	inode uint64
	path  string
}

const maxFiles = 1 << 14

// path is a file's path in its file system.
func (k *kernel) path(v *view, dentry uint64) string {
	var parts []string
	for range 32 {
		name, ok := v.u64(dentry + k.lay.dentryName.off)
		parent, ok2 := v.u64(dentry + k.lay.dentryParent.off)
		if !ok || !ok2 || parent == dentry || !kernelHalf(parent) {
			break
		}
		parts = append(parts, v.str(name, 255))
		dentry = parent
	}
	var b strings.Builder
	for i := len(parts) - 1; i >= 0 && b.Len() < 4096; i-- {
		b.WriteString("/" + parts[i])
	}
	return b.String()
}

// cachedFile reads a file from the guest's page cache.
type cachedFile struct {
	v       *view
	l       *layout
	root    uint64 // of the tree of pages
	memmap  uint64 // where the array of page structures begins
	size    int64
	missing bool // a page that is not there was asked for
}

// cached returns the contents of an inode as far as they are in memory.
func (k *kernel) cached(v *view, inode uint64) *cachedFile {
	l := &k.lay
	if k.vmemmap == 0 || !l.pages.ok || !l.nodeSlots.ok || !l.nodeShift.ok || l.pageStruct == 0 {
		return nil
	}
	memmap, ok1 := v.u64(k.vmemmap)
	mapping, ok2 := v.u64(inode + l.inodeMapping.off)
	size, ok3 := v.u64(inode + l.inodeSize.off)
	if !ok1 || !ok2 || !ok3 || !kernelHalf(mapping) || int64(size) < 0 {
		return nil
	}
	return &cachedFile{v: v, l: l, root: mapping + l.pages.off, memmap: memmap, size: int64(size)}
}

// page returns page n of the file, or nil.
func (c *cachedFile) page(n uint64) []byte {
	v, l := c.v, c.l
	node := func(e uint64) bool { return e&3 == 2 && e > 4096 }
	e, ok := v.u64(c.root)
	if !ok {
		return nil
	}
	first := uint64(0) // the page that e is about
	if !node(e) && n != 0 {
		return nil
	}
	for depth := 0; node(e); depth++ {
		at := e - 2
		shift, ok := v.u8(at + l.nodeShift.off)
		if !ok || shift > 54 || depth > 11 || depth == 0 && n>>shift>>6 != 0 {
			return nil
		}
		i := n >> shift & 63
		if e, ok = v.u64(at + l.nodeSlots.off + 8*i); !ok {
			return nil
		}
		if e&3 == 2 && e < 256 { // a sibling: the page is in a larger one
			i = e >> 2 & 63
			if e, ok = v.u64(at + l.nodeSlots.off + 8*i); !ok {
				return nil
			}
		}
		first = n>>shift>>6<<6<<shift | i<<shift
	}
	if !kernelHalf(e) || e&3 != 0 || e < c.memmap {
		return nil
	}
	pfn := (e-c.memmap)/l.pageStruct + (n - first)
	if pfn >= 1<<40 {
		return nil
	}
	b := physical(v.mem, pfn*pageSize, pageSize)
	if len(b) < pageSize {
		return nil
	}
	return b
}

// readAt returns size bytes at off, or nil where a part of them is not in memory.
func (c *cachedFile) readAt(off, size uint64) []byte {
	if off > uint64(c.size) || size > uint64(c.size)-off {
		return nil
	}
	out := make([]byte, 0, size)
	for uint64(len(out)) < size {
		at := off + uint64(len(out))
		b := c.page(at / pageSize)
		if b == nil {
			c.missing = true
			return nil
		}
		b = b[at%pageSize:]
		out = append(out, b[:min(uint64(len(b)), size-uint64(len(out)))]...)
	}
	return out
}

// module is a loaded kernel module.
type module struct {
	base, size         uint64
	initBase, initSize uint64 // its code that is thrown away when it has started
	img                *image
	orc                *orcTable
}

func (m *module) holds(addr uint64) bool { return addr-m.base < m.size || addr-m.initBase < m.initSize }

// module returns the module with code at an address, or nil.
func (p *Profiler) module(k *kernel, addr uint64) *module {
	if m := k.moduleAt(addr); m != nil {
		return m
	}
	if k.modWait--; k.modWait >= 0 {
		return nil
	}
	k.modWait = 100
	p.readModules(k)
	return k.moduleAt(addr)
}

// moduleAt looks for a module among those that are known, the newest first, as an
// older one's initial code may be gone.
func (k *kernel) moduleAt(addr uint64) *module {
	for _, m := range k.modules {
		if m.holds(addr) {
			return m
		}
	}
	return nil
}

// readModules brings the list of modules up to date.
func (p *Profiler) readModules(k *kernel) {
	v, l := &p.view, &k.lay
	head := k.modHead
	if head == 0 || !l.modList.ok || !l.modName.ok || !l.modBase.ok || !l.modSize.ok {
		return
	}
	was := k.modules
	k.modules = nil
	at, _ := v.u64(head)
	for n := 0; n < maxModules && at != head && kernelHalf(at); n++ {
		m := at - l.modList.off
		base, ok1 := v.u64(m + l.modBase.off)
		size, ok2 := v.u32(m + l.modSize.off)
		if !ok1 || !ok2 {
			return
		}
		name := "[" + v.str(m+l.modName.off, 56) + "]"
		var mod *module
		for _, w := range was {
			if w.base == base && w.size == uint64(size) && w.img.name == name {
				mod = w
			}
		}
		if mod == nil && kernelHalf(base) && base+uint64(size) > base {
			mod = &module{base: base, size: uint64(size), img: &image{name: name}}
			initBase, ok1 := v.u64(m + l.initBase.off)
			initSize, ok2 := v.u32(m + l.initSize.off)
			if l.initBase.ok && l.initSize.ok && ok1 && ok2 && kernelHalf(initBase) && initBase+uint64(initSize) > initBase {
				mod.initBase, mod.initSize = initBase, uint64(initSize)
			}
			mod.img.lo, mod.img.hi = base, base+uint64(size)
			mod.img.syms = p.keep(k.moduleSymbols(v, m, mod))
			mod.orc = k.moduleORC(v, m, mod)
		}
		if mod != nil {
			k.modules = append(k.modules, mod)
		}
		at, _ = v.u64(at)
	}
}

func (k *kernel) moduleSymbols(v *view, m uint64, mod *module) *symtab {
	l := &k.lay
	ks, ok := v.u64(m + l.modKallsyms.off)
	if !ok || !l.modKallsyms.ok || !l.ksSyms.ok || !l.ksNum.ok || !l.ksStr.ok {
		return nil
	}
	syms, ok1 := v.u64(ks + l.ksSyms.off)
	num, ok2 := v.u32(ks + l.ksNum.off)
	strs, ok3 := v.u64(ks + l.ksStr.off)
	if !ok1 || !ok2 || !ok3 || num > 1<<17 {
		return nil
	}
	b := copied(v, syms, uint64(num)*elfSymSize)
	s := &symtab{}
	for ; len(b) >= elfSymSize; b = b[elfSymSize:] {
		value := binary.LittleEndian.Uint64(b[8:])
		if !mod.holds(value) {
			continue
		}
		if name := v.str(strs+uint64(binary.LittleEndian.Uint32(b)), maxSymName); name != "" {
			s.add(value, uint32(min(binary.LittleEndian.Uint64(b[16:]), 1<<31)), 't', []byte(name))
		}
	}
	s.sorted()
	return s
}

func (k *kernel) moduleORC(v *view, m uint64, mod *module) *orcTable {
	l := &k.lay
	if !l.modORC.ok || !l.modORCIP.ok || !l.modORCNum.ok {
		return nil
	}
	orc, _ := v.u64(m + l.modORC.off)
	ips, _ := v.u64(m + l.modORCIP.off)
	n, ok := v.u32(m + l.modORCNum.off)
	if !ok || n == 0 || n > 1<<18 {
		return nil
	}
	return newORC(copied(v, ips, uint64(n)*4), copied(v, orc, uint64(n)*orcSize), ips, max(mod.base+mod.size, mod.initBase+mod.initSize), k.btf)
}

// image is a file with code, as the profile has it.
type image struct {
	name   string
	id     string // build ID
	syms   *symtab
	lo, hi uint64 // addresses of its code, as symbols have them
	file   *file
}
