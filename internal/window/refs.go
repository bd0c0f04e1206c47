package window

const (
	pageBits = 12
	pageRefs = 1 << pageBits
	// nearPages is how many pages are found by index; references beyond them, which no history gives before it has seen
	// billions of series, are found by a map.
	nearPages = 1 << 20

	// What stands in a page: an ID plus refFirst, or
	refUnknown = 0
	refIgnored = 1
	refFirst   = 2
)

// refs finds series by history's references: pages of an array, so that a sample costs one look.
type refs struct {
	near []page
	far  map[uint64]*page
	// pages and ignored count.
	pages, ignored int
	// age is the number of the present sweep.
	age uint32
}

// page is what is known of pageRefs consecutive references; to is nil where that is nothing.
type page struct {
	to *[pageRefs]uint32
	// known counts the entries that say something, ignored those that say refIgnored.
	known, ignored int32
	// age is the number of the sweep before which it was last looked at.
	age uint32
}

// get returns what is known of ref.
func (r *refs) get(ref uint64) uint32 {
	p := r.page(ref >> pageBits)
	if p == nil || p.to == nil {
		return refUnknown
	}
	p.age = r.age
	return p.to[ref%pageRefs]
}

func (r *refs) page(number uint64) *page {
	if number < uint64(len(r.near)) {
		return &r.near[number]
	}
	return r.far[number]
}

// set makes to what is known of ref.
func (r *refs) set(ref uint64, to uint32) {
	number := ref >> pageBits
	p := r.page(number)
	if p == nil || p.to == nil {
		if to == refUnknown {
			return
		}
		p = r.add(number)
	}
	was := p.to[ref%pageRefs]
	p.to[ref%pageRefs] = to
	p.count(r, was, -1)
	p.count(r, to, 1)
	r.tidy(number, p)
}

func (p *page) count(r *refs, to uint32, n int32) {
	if to != refUnknown {
		p.known += n
	}
	if to == refIgnored {
		p.ignored += n
		r.ignored += int(n)
	}
}

func (r *refs) add(number uint64) *page {
	var p *page
	if number < nearPages {
		for uint64(len(r.near)) <= number {
			r.near = append(r.near, page{})
		}
		p = &r.near[number]
	} else {
		if r.far == nil {
			r.far = map[uint64]*page{}
		}
		p = &page{}
		r.far[number] = p
	}
	r.pages++
	p.to, p.age = new([pageRefs]uint32), r.age
	return p
}

// tidy lets go of a page that says nothing.
func (r *refs) tidy(number uint64, p *page) {
	if p.known > 0 {
		return
	}
	r.pages--
	p.to = nil
	delete(r.far, number)
}

// each calls visit for all pages; visit may take entries away.
func (r *refs) each(visit func(number uint64, p *page)) {
	for number := range r.near {
		if p := &r.near[number]; p.to != nil {
			visit(uint64(number), p)
		}
	}
	for number, p := range r.far {
		visit(number, p)
	}
}

// forget takes away what is ignored, so that it is looked at again.
func (r *refs) forget() {
	if r.ignored > 0 {
		r.each(r.forgetPage)
	}
}

func (r *refs) forgetPage(number uint64, p *page) {
	if p.ignored == 0 {
		return
	}
	for i, to := range p.to {
		if to == refIgnored {
			p.to[i] = refUnknown
		}
	}
	r.ignored -= int(p.ignored)
	p.known -= p.ignored
	p.ignored = 0
	r.tidy(number, p)
}

// sweep forgets what is ignored on pages that nobody looked at since the sweep before the last: history has dropped those
// series, and does not use their references again.
func (r *refs) sweep() {
	r.each(func(number uint64, p *page) {
		if r.age-p.age >= 2 {
			r.forgetPage(number, p)
		}
	})
	r.age++
}

func (r *refs) bytes() int64 {
	return int64(r.pages)*4*pageRefs + 24*int64(cap(r.near)) + 48*int64(len(r.far))
}
