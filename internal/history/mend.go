package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/prometheus/prometheus/tsdb/wlog"
)

// The write-ahead log's format: segments are pages of 32 KiB; a record lies in a page (full), or in pieces at the end of one
// page and the beginning of the next (first, middle, last). A piece has a header: its kind, its length and the checksum of what
// follows. A page that is not full ends with zeros.
const (
	pageBytes   = 32 << 10
	headerBytes = 7
	kindBits    = 7 // the others say how the record is compressed

	pieceNone, pieceFull, pieceFirst, pieceMiddle, pieceLast = 0, 1, 2, 3, 4

	// unknownRecord begins a record that upstream passes over.
	unknownRecord = 255
)

// errDamaged says that a log is damaged in a way that no failed write leaves.
var errDamaged = errors.New("it is damaged")

// piece is where a part of a record is.
type piece struct {
	at     int64 // of its header
	length int
}

// mendLog makes records of which the last part was never written into ones that upstream passes over, in place, in all
// segments from one on. It returns how many parts it changed. To the last segment others may append meanwhile, whole
// records: nothing but what comes before the last record is changed.
func mendLog(dir string, from int) (changed int, err error) {
	first, last, err := wlog.Segments(dir)
	if err != nil {
		return 0, err
	}
	if last < 0 {
		return 0, fmt.Errorf("%s has no segments: %w", dir, os.ErrNotExist)
	}
	for i := max(first, from); i <= last; i++ {
		n, err := mendSegment(wlog.SegmentName(dir, i), i == last)
		changed += n
		if err != nil {
			return changed, err
		}
	}
	return changed, nil
}

func mendSegment(path string, last bool) (changed int, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	torn, open, damage := tornPieces(f)
	if !last {
		torn = append(torn, open...) // A record does not go on in the next segment.
	}
	for _, p := range torn {
		if err := blank(f, p); err != nil {
			return changed, err
		}
		changed++
	}
	if changed > 0 {
		err = f.Sync()
	}
	if damage != nil {
		err = errors.Join(err, fmt.Errorf("%s: %w", path, damage))
	}
	return changed, err
}

// tornPieces returns the pieces of records that do not end, and those of one with which the segment does.
func tornPieces(r io.Reader) (torn, open []piece, err error) {
	page := make([]byte, pageBytes)
	for start := int64(0); ; start += pageBytes {
		n, err := io.ReadFull(r, page)
		if n == 0 || err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return torn, open, err
		}
		for at := 0; at < n; {
			kind := page[at] & kindBits
			if kind == pieceNone {
				break // The rest of the page is zeros.
			}
			end := at + headerBytes
			if end <= n {
				end += int(binary.BigEndian.Uint16(page[at+1:]))
			}
			if end > n {
				if n == pageBytes {
					return torn, nil, fmt.Errorf("%w at %d", errDamaged, start+int64(at))
				}
				break // It is just being written.
			}
			p := piece{start + int64(at), end - at - headerBytes}
			switch kind {
			case pieceFull:
				torn, open = append(torn, open...), nil
			case pieceFirst:
				torn, open = append(torn, open...), []piece{p}
			case pieceMiddle, pieceLast:
				if len(open) == 0 {
					return torn, nil, fmt.Errorf("%w at %d", errDamaged, p.at)
				}
				if open = append(open, p); kind == pieceLast {
					open = nil
				}
			default:
				return torn, nil, fmt.Errorf("%w at %d", errDamaged, p.at)
			}
			at = end
		}
	}
}

// blank makes a piece a whole record that means nothing. It writes eight bytes.
func blank(f *os.File, p piece) error {
	b := make([]byte, headerBytes+max(p.length, 1))
	if _, err := f.ReadAt(b[headerBytes:headerBytes+p.length], p.at+headerBytes); err != nil {
		return err
	}
	b[0] = pieceFull
	binary.BigEndian.PutUint16(b[1:], uint16(p.length))
	b[headerBytes] = unknownRecord
	binary.BigEndian.PutUint32(b[3:], crc32.Checksum(b[headerBytes:headerBytes+p.length], crc32.MakeTable(crc32.Castagnoli)))
	_, err := f.WriteAt(b[:headerBytes+min(p.length, 1)], p.at)
	return err
}
