package jit

// What there is much of.
//
// A program that has just begun makes thousands of regions in a second, tens of
// sites and instructions each. These are in tables that grow without moving, of
// chunks: growing copies nothing, and the host clears no page but those that are
// used. What has no pointers in it costs Go's collector nothing.

const (
	siteChunk   = 1 << 12 // sites in a chunk
	listChunk   = 1 << 13 // elements of lists
	regionChunk = 256     // regions
)

// A siteTable is the sites by number.
type siteTable struct {
	chunks []*[siteChunk]site
	n      uint32
}

// at is a site by its number. It stays where it is.
func (t *siteTable) at(id uint32) *site { return &t.chunks[id/siteChunk][id%siteChunk] }

// add adds a site and returns its number.
func (t *siteTable) add(s *site) uint32 {
	if int(t.n/siteChunk) == len(t.chunks) {
		t.chunks = append(t.chunks, new([siteChunk]site))
	}
	id := t.n
	t.n++
	*t.at(id) = *s
	return id
}

// truncate forgets all sites from number n on.
func (t *siteTable) truncate(n uint32) { t.n = n }

// newRegion is where the next region is to be made. It is taken when that has been
// placed.
func (e *Engine) newRegion() *region {
	if len(e.fresh) == 0 {
		e.fresh = make([]region, regionChunk)
	}
	return &e.fresh[0]
}

// A pool is where short lists of regions are, such as the maps of their instructions, many in one
// piece of memory.
type pool[T any] struct{ free []T }

// take returns a list of n zeroes.
func (p *pool[T]) take(n int) []T {
	if n > len(p.free) {
		p.free = make([]T, max(n, listChunk))
	}
	m := p.free[:n:n]
	p.free = p.free[n:]
	return m
}
