package threshold

const (
	// tileWords is how many words are changed together: a cache line of a bitmap.
	tileWords = 8
	// blockLines is how many lines: their bitmaps' cache lines and what else is needed of them fit the nearest cache.
	blockLines = 256
)

// tile is the words that are brought to the column together.
type tile struct {
	words [tileWords]uint32
	n     int
}
