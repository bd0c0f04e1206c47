package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/golang/snappy"
)

// A row of the log in bytes:
//
//	0      format, 1
//	1      1 where the body is compressed (Snappy block format), else 0
//	2..5   CRC-32C of the body as it stands, little endian
//	6..    body: what rowencode.go writes
const (
	rowFormat  = 1
	rowHeader  = 6
	flagSnappy = 1

	// compressFrom is the size below which compression costs more than it saves.
	compressFrom = 1024
	// maxBody bounds what a damaged length can make the reader allocate.
	maxBody = 256 << 20
)

// ErrDamaged says that something stored is not what was written.
var ErrDamaged = errors.New("damaged")

// row is what one row of the log, or of the changes, holds. A row has either deliveries or the rest.
type row struct {
	entries    []Entry
	changed    []Instance
	gone       []InstanceKey
	deliveries []storedDelivery
}

// storedDelivery is a delivery whose alerts are, as far as they were known, told by the transitions that they are of.
type storedDelivery struct {
	Delivery // Alerts holds those that were not known.
	refs     []EntryID
	// asOf is the last row that was on disk when it was recorded: it tells of no later transition.
	asOf int64
}

// sealRow puts the header before a body and compresses it where that pays.
func sealRow(body []byte) []byte {
	flags := byte(0)
	stored := body
	if len(body) >= compressFrom {
		if packed := snappy.Encode(nil, body); len(packed) < len(body)-len(body)/8 {
			stored, flags = packed, flagSnappy
		}
	}
	out := make([]byte, 0, rowHeader+len(stored))
	out = append(out, rowFormat, flags)
	out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(stored, crc32.MakeTable(crc32.Castagnoli)))
	return append(out, stored...)
}

// openRow checks the header and returns the body.
func openRow(data []byte) ([]byte, error) {
	if len(data) < rowHeader {
		return nil, fmt.Errorf("%w: %d bytes are no row", ErrDamaged, len(data))
	}
	if data[0] != rowFormat || data[1] > flagSnappy {
		return nil, fmt.Errorf("%w: unknown row format %d, flags %#x", ErrDamaged, data[0], data[1])
	}
	stored := data[rowHeader:]
	want := binary.LittleEndian.Uint32(data[2:rowHeader])
	if got := crc32.Checksum(stored, crc32.MakeTable(crc32.Castagnoli)); got != want {
		return nil, fmt.Errorf("%w: checksum %08x, want %08x", ErrDamaged, got, want)
	}
	if data[1]&flagSnappy == 0 {
		return stored, nil
	}
	n, err := snappy.DecodedLen(stored)
	if err != nil || n > maxBody {
		return nil, fmt.Errorf("%w: compressed body of impossible length", ErrDamaged)
	}
	body, err := snappy.Decode(nil, stored)
	if err != nil {
		return nil, fmt.Errorf("%w: decompressing: %w", ErrDamaged, err)
	}
	return body, nil
}

// encodeRow returns r as the log stores it.
func encodeRow(r *row) []byte { return sealRow(newEncoder().encode(r)) }

// decodeRow is the inverse of encodeRow. Strings of the result share memory.
func decodeRow(data []byte) (*row, error) {
	body, err := openRow(data)
	if err != nil {
		return nil, err
	}
	return decodeBody(body)
}
