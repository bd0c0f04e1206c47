package otlp

import (
	"fmt"
	"mime"
	"net/http"

	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"github.com/tocsin/tocsin/internal/ingest/body"
)

// encoding is how a request's message is written, and hence the answer's.
type encoding string

const (
	protobuf encoding = "application/x-protobuf"
	jsonText encoding = "application/json"
)

// weightFactor times DecompressedSize is how much memory a request may take once decoded.
const weightFactor = 8

// negotiate returns the request's encoding, or an error that asks for one of the two there are.
func negotiate(r *http.Request) (encoding, error) {
	ct := r.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(ct); err == nil {
		switch e := encoding(media); e {
		case protobuf, jsonText:
			return e, nil
		}
	}
	return "", body.Unsupported("Content-Type %q is not accepted; send %s or %s", body.Clip(ct, 100), protobuf, jsonText)
}

// decode reads and decodes the request's message under the limits.
func (h *Handler) decode(r *http.Request, e encoding) (pmetricotlp.ExportRequest, error) {
	req := pmetricotlp.NewExportRequest()
	raw, err := h.read(r)
	if err != nil {
		return req, err
	}
	limit := weightFactor * h.options.DecompressedSize
	weight := int64(0)
	if e == jsonText {
		weight, err = weighJSON(raw, limit)
	} else {
		weight, err = body.Weigh(raw, requestShape(), limit)
	}
	if err != nil {
		return req, err
	}
	if weight > limit {
		return req, body.TooLarge("the request would take more than %d bytes of memory once decoded; send smaller batches", limit)
	}
	if e == jsonText {
		err = req.UnmarshalJSON(raw)
	} else {
		err = req.UnmarshalProto(raw)
	}
	if err != nil {
		return req, body.Malformed(fmt.Errorf("decoding ExportMetricsServiceRequest from %s: %w", e, err))
	}
	return req, nil
}

func (h *Handler) read(r *http.Request) ([]byte, error) {
	raw, err := body.Read(r, h.options.BodySize)
	if err != nil {
		return nil, err
	}
	switch enc := body.Encoding(r); enc {
	case "":
		return raw, nil
	case "gzip":
		return body.Gunzip(raw, h.options.DecompressedSize)
	default:
		return nil, body.Unsupported("Content-Encoding %q is not accepted; send gzip or none", body.Clip(enc, 50))
	}
}

// requestShape describes opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest. The decoder's types are
// hidden; the sizes are those of its structs, rounded up, with the pointer to each.
func requestShape() body.Shape {
	const small, large = 96, 320
	anyValue := body.Shape{}
	keyValue := body.Shape{2: {Bytes: small, Message: anyValue}}
	anyValue[5] = body.Field{Bytes: small, Message: body.Shape{1: {Bytes: small, Message: anyValue}}} // array
	anyValue[6] = body.Field{Bytes: small, Message: body.Shape{1: {Bytes: small, Message: keyValue}}} // map
	attribute := body.Field{Bytes: small, Message: keyValue}
	exemplar := body.Field{Bytes: 2 * small, Message: body.Shape{7: attribute}}
	scope := body.Field{Bytes: 2 * small, Message: body.Shape{3: attribute}}
	resource := body.Field{Bytes: small, Message: body.Shape{1: attribute}}

	number := body.Field{Bytes: small, Message: body.Shape{1: {Bytes: 2 * small, Message: body.Shape{7: attribute, 5: exemplar}}}}
	histogram := body.Field{Bytes: small, Message: body.Shape{1: {Bytes: large, Message: body.Shape{9: attribute, 8: exemplar}}}}
	exponential := body.Field{Bytes: small, Message: body.Shape{1: {Bytes: 2 * large, Message: body.Shape{1: attribute, 11: exemplar}}}}
	summary := body.Field{Bytes: small, Message: body.Shape{1: {Bytes: large, Message: body.Shape{7: attribute, 6: {Bytes: small}}}}}

	metric := body.Field{Bytes: 2 * small, Message: body.Shape{
		5: number, 7: number, 9: histogram, 10: exponential, 11: summary, 12: attribute,
	}}
	scopeMetrics := body.Field{Bytes: large, Message: body.Shape{1: scope, 2: metric}}
	// 1000 is a long deprecated place of the scopes, which the decoder still reads.
	return body.Shape{1: {Bytes: large, Message: body.Shape{1: resource, 2: scopeMetrics, 1000: scopeMetrics}}}
}

// weighJSON is body.Weigh for JSON: it counts what opens an object or a list outside of strings. It leaves syntax to
// the decoder.
func weighJSON(b []byte, limit int64) (int64, error) {
	// An empty data point is "{},"; the largest kind takes some 600 bytes decoded.
	const bytesPerObject = 640
	// JSON needs two levels where protobuf needs one.
	const maxDepth = 2 * body.MaxDepth
	var sum int64
	depth, inString := 0, false
	for i := 0; i < len(b) && sum <= limit; i++ {
		switch c := b[i]; {
		case inString:
			if c == '\\' {
				i++
			} else if c == '"' {
				inString = false
			}
		case c == '"':
			inString = true
		case c == '{', c == '[':
			if c == '{' {
				sum += bytesPerObject
			}
			if depth++; depth > maxDepth {
				return 0, body.Malformed(fmt.Errorf("JSON is nested more than %d deep", maxDepth))
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return sum, nil
}
