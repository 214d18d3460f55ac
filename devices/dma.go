package devices

import "hotblock/mmu"

// DMA is guest memory as bus masters reach it: RAM and ROM only. An access to a
// device's window reads ones and writes nothing. Real chip sets forward such
// peer-to-peer cycles only in part, and a device that could reach registers,
// its own among them, while it holds its lock would be a guest's way to hang
// the host.
type DMA struct{ Mem *mmu.Memory }

// Read fills p from memory at pa.
func (d DMA) Read(pa uint64, p []byte) {
	for len(p) > 0 {
		n := min(mmu.PageSize-int(pa%mmu.PageSize), len(p))
		if r := d.Mem.Find(pa); r == nil || r.Kind == mmu.IO {
			for i := range p[:n] {
				p[i] = 0xff
			}
		} else {
			d.Mem.Read(pa, p[:n])
		}
		p = p[n:]
		pa += uint64(n)
	}
}

// Write puts p into memory at pa.
func (d DMA) Write(pa uint64, p []byte) {
	for len(p) > 0 {
		n := min(mmu.PageSize-int(pa%mmu.PageSize), len(p))
		if r := d.Mem.Find(pa); r != nil && r.Kind == mmu.RAM {
			d.Mem.Write(pa, p[:n])
		}
		p = p[n:]
		pa += uint64(n)
	}
}
