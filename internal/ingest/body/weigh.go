package body

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Shape is a message's fields that are worth counting, by number. A message that contains itself has a Shape that
// contains itself.
type Shape map[protowire.Number]Field

// Field describes a field for Weigh.
type Field struct {
	// Bytes is the size of the Go value that one occurrence becomes.
	Bytes int64
	// Message is the shape of the occurrence's own message; nil where nothing in it is worth counting.
	Message Shape
}

// MaxDepth is how deep a message may be nested in others. A decoder that recurses without a limit, as several
// generated ones do, can be made to overflow its stack, which ends the process.
const MaxDepth = 64

var (
	errWire = errors.New("malformed protobuf")
	errDeep = fmt.Errorf("messages are nested more than %d deep", MaxDepth)
)

// Weigh walks a protobuf message without decoding it and returns how much memory its repeated messages would take as
// Go values: two bytes on the wire can become a struct of hundreds, so a limit on bytes alone does not bound memory.
// It stops early once the sum is over limit, and refuses what is nested more than MaxDepth deep.
func Weigh(b []byte, shape Shape, limit int64) (int64, error) {
	return weigh(b, shape, limit, MaxDepth)
}

func weigh(b []byte, shape Shape, limit int64, depth int) (int64, error) {
	if depth == 0 {
		return 0, Malformed(errDeep)
	}
	var sum int64
	for len(b) > 0 && sum <= limit {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0, Malformed(errWire)
		}
		b = b[n:]
		n = protowire.ConsumeFieldValue(num, typ, b)
		if n < 0 {
			return 0, Malformed(errWire)
		}
		if f, ok := shape[num]; ok && typ == protowire.BytesType {
			sum += f.Bytes
			if f.Message != nil {
				inner, _ := protowire.ConsumeBytes(b)
				w, err := weigh(inner, f.Message, limit-sum, depth-1)
				if err != nil {
					return 0, err
				}
				sum += w
			}
		}
		b = b[n:]
	}
	return sum, nil
}
