package window

import "math/bits"

const (
	// smallest is the capacity of the buffers of class 0, in samples; each class has twice that of the one before.
	smallest = 4
	// chunkSamples is how many samples are asked of the runtime at once, for buffers that are smaller than that.
	chunkSamples = 8192
	sampleBytes  = 16
	// keepEmpty is how many empty chunks of a class are kept for the next buffers.
	keepEmpty = 1
)

// buffers hands out buffers for samples, by size class, out of large pieces without pointers.
type buffers struct {
	classes []class
	// bytes is what all chunks occupy, limit what they may, 0 for no bound.
	bytes, limit int64
}

// class has the buffers of one capacity. A buffer's number is that of its chunk with its place there.
type class struct {
	chunks []chunk
	// open are the chunks that have free buffers; unused the numbers of chunks that were given back.
	open, unused []uint32
	empty        int
}

// chunk is a piece of memory with several buffers. The free ones are linked through their first t, after those that
// never were in use.
type chunk struct {
	t []int64
	v []float64
	// free is the first free buffer's place plus one; fresh counts those that were in use ever, used those that are.
	free, fresh, used uint32
	// at is the chunk's index in open.
	at uint32
}

func capacity(c uint8) uint32 { return smallest << c }

// shift returns the bits of a buffer's number that say its place in the chunk.
func shift(c uint8) uint { return uint(max(0, bits.Len32(chunkSamples/smallest)-1-int(c))) }

// classFor returns the smallest class that holds n samples.
func classFor(n int) uint8 { return uint8(max(0, bits.Len((uint(max(n, 1))-1)/smallest))) }

// view returns the n samples from head on of a buffer.
func (b *buffers) view(c uint8, block, head, n uint32) ([]int64, []float64) {
	k := &b.classes[c].chunks[block>>shift(c)]
	from := (block&(1<<shift(c)-1))<<c*smallest + head
	return k.t[from : from+n : from+n], k.v[from : from+n : from+n]
}

// whole returns all of a buffer.
func (b *buffers) whole(c uint8, block uint32) ([]int64, []float64) {
	return b.view(c, block, 0, capacity(c))
}

// take returns a buffer of a class, unless it would need more memory than is allowed. Class 0 is always granted.
func (b *buffers) take(c uint8) (block uint32, ok bool) {
	for len(b.classes) <= int(c) {
		b.classes = append(b.classes, class{})
	}
	k := &b.classes[c]
	if len(k.open) == 0 {
		size := int64(capacity(c)) << shift(c) * sampleBytes
		if c > 0 && b.limit > 0 && b.bytes+size > b.limit {
			return 0, false
		}
		b.bytes += size
		k.add(capacity(c) << shift(c))
	}
	number := k.open[len(k.open)-1]
	h := &k.chunks[number]
	if h.used == 0 {
		k.empty--
	}
	h.used++
	place := h.fresh
	if h.free > 0 {
		place = h.free - 1
		h.free = uint32(h.t[place<<c*smallest])
	} else {
		h.fresh++
	}
	if h.used == 1<<shift(c) {
		k.open = k.open[:len(k.open)-1]
	}
	return number<<shift(c) | place, true
}

// add makes a new, empty and open chunk.
func (k *class) add(samples uint32) {
	number := uint32(len(k.chunks))
	if last := len(k.unused) - 1; last >= 0 {
		number, k.unused = k.unused[last], k.unused[:last]
	} else {
		k.chunks = append(k.chunks, chunk{})
	}
	k.chunks[number] = chunk{t: make([]int64, samples), v: make([]float64, samples), at: uint32(len(k.open))}
	k.open = append(k.open, number)
	k.empty++
}

// give takes a buffer back, and gives its chunk back to the runtime if it was the last one there.
func (b *buffers) give(c uint8, block uint32) {
	k := &b.classes[c]
	number := block >> shift(c)
	h := &k.chunks[number]
	if h.used == 1<<shift(c) {
		h.at = uint32(len(k.open))
		k.open = append(k.open, number)
	}
	place := block & (1<<shift(c) - 1)
	h.t[place<<c*smallest] = int64(h.free)
	h.free = place + 1
	h.used--
	if h.used > 0 {
		return
	}
	if k.empty < keepEmpty && shift(c) > 0 {
		k.empty++
		return
	}
	b.bytes -= int64(len(h.t)) * sampleBytes
	last := k.open[len(k.open)-1]
	k.open[h.at] = last
	k.chunks[last].at = h.at
	k.open = k.open[:len(k.open)-1]
	k.chunks[number] = chunk{}
	k.unused = append(k.unused, number)
}
