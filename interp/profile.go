package interp

import (
	"cmp"
	"slices"

	"hotblock/mmu"
)

// BlockCount is how often a basic block was entered. A block is named by where
// its code lies in host memory, not by a linear address: the same code counts
// once, wherever it is mapped.
type BlockCount struct {
	Block        *mmu.Block // memory that holds the code
	Off          uint64     // of the first instruction in Block, in bytes
	Bits         int        // code size: 16, 32 or 64
	Instructions int        // in the block
	Count        uint64     // times entered since it was decoded
}

// Profile returns the n basic blocks in which most instructions were executed,
// the hottest first, of those that are decoded now. Code that was dropped since,
// because it was written or to bound memory, is not in it. It must not be called
// while the CPU runs.
func (c *CPU) Profile(n int) []BlockCount {
	var out []BlockCount
	for _, pages := range c.code {
		for _, p := range pages {
			for i := range p.blocks {
				if h := p.blocks[i].op; h.imm > 0 {
					out = append(out, BlockCount{p.key.blk, p.key.off + uint64(h.off), 16 << p.mode, int(h.n), h.imm})
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b BlockCount) int {
		return cmp.Or(cmp.Compare(b.Count*uint64(b.Instructions), a.Count*uint64(a.Instructions)), cmp.Compare(a.Off, b.Off))
	})
	return out[:min(n, len(out))]
}
