package push

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/tocsin/tocsin/internal/ingest/body"
)

// families are what a body brought, by name.
type families map[string]*dto.MetricFamily

// weightFactor times DecompressedSize is how much memory a body may take once decoded.
const weightFactor = 8

// decode reads r's body under the limits. As in the Pushgateway, what is not marked as protobuf is taken for text;
// beyond it, what is marked as OpenMetrics is parsed as such.
func (o *Options) decode(r *http.Request) (families, error) {
	raw, err := body.Read(r, o.BodySize)
	if err != nil {
		return nil, err
	}
	switch enc := body.Encoding(r); enc {
	case "":
	case "gzip":
		raw, err = body.Gunzip(raw, o.DecompressedSize)
	case "snappy":
		raw, err = body.SnappyFramed(raw, o.DecompressedSize)
	default:
		err = body.Unsupported("Content-Encoding %q is not accepted; send gzip, snappy (framed) or none", body.Clip(enc, 50))
	}
	if err != nil {
		return nil, err
	}
	return parseBody(r.Header.Get("Content-Type"), raw, weightFactor*o.DecompressedSize)
}

// parseBody decodes raw, which may take limit bytes of memory once decoded. Families without metrics are left out.
func parseBody(contentType string, raw []byte, limit int64) (families, error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		media = ""
	}
	var fs families
	switch {
	case media == "application/vnd.google.protobuf":
		if params["encoding"] != "delimited" || params["proto"] != "io.prometheus.client.MetricFamily" {
			return nil, body.Unsupported("protobuf is accepted as %s only", expfmt.NewFormat(expfmt.TypeProtoDelim))
		}
		fs, err = parseProtobuf(raw, limit)
	case weighText(raw) > limit:
		err = tooHeavy(limit)
	case media == expfmt.OpenMetricsType:
		fs, err = parseOpenMetrics(raw)
	default:
		fs, err = parseText(raw)
	}
	if err != nil {
		var sized *body.Error
		if errors.As(err, &sized) {
			return nil, err
		}
		return nil, body.Malformed(fmt.Errorf("cannot parse the pushed metrics: %w", err))
	}
	for name, mf := range fs {
		if len(mf.GetMetric()) == 0 {
			delete(fs, name)
		}
	}
	return fs, nil
}

// parseText reads the older text format with upstream's parser, which panics on some malformed input, such as
// "# TYPE a histogram\n{}": braces without a name inside. That is the sender's fault, and answered as such.
func parseText(raw []byte) (fs families, err error) {
	defer func() {
		if p := recover(); p != nil {
			fs, err = nil, fmt.Errorf("the text parser gave up: %v", p)
		}
	}()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	if fs, err = parser.TextToMetricFamilies(bytes.NewReader(raw)); err == nil {
		return fs, nil
	}
	switch {
	case bytes.Contains(raw, []byte("\r\n")):
		err = fmt.Errorf("%w (lines end in CR LF; the format wants LF alone)", err)
	case len(raw) > 0 && raw[len(raw)-1] != '\n':
		err = fmt.Errorf("%w (the last line has to end in a line feed too; of a file, curl's -d drops it, --data-binary does not)", err)
	}
	return nil, err
}

func tooHeavy(limit int64) error {
	return body.TooLarge("the pushed metrics would take more than %d bytes of memory once decoded; push less at a time", limit)
}

// weighText estimates from above what text takes once decoded: by lines and labels.
func weighText(raw []byte) int64 {
	return 400*int64(bytes.Count(raw, []byte{'\n'})) + 160*int64(bytes.Count(raw, []byte{'='}))
}

// parseProtobuf reads length-delimited metric families. Of several with one name the last wins, as in the Pushgateway.
func parseProtobuf(raw []byte, limit int64) (families, error) {
	fs := families{}
	shape := familyShape()
	for len(raw) > 0 {
		msg, n := protowire.ConsumeBytes(raw)
		if n < 0 {
			return nil, io.ErrUnexpectedEOF
		}
		raw = raw[n:]
		limit -= 200
		weight, err := body.Weigh(msg, shape, max(limit, 0))
		if err != nil {
			return nil, err
		}
		if limit -= weight; limit < 0 {
			return nil, tooHeavy(limit)
		}
		mf := &dto.MetricFamily{}
		if err := proto.Unmarshal(msg, mf); err != nil {
			return nil, err
		}
		fs[mf.GetName()] = mf
	}
	return fs, nil
}

// familyShape describes io.prometheus.client.MetricFamily; sizes are those of the Go structs with what they point to,
// rounded up.
func familyShape() body.Shape {
	pair := body.Field{Bytes: 128}
	exemplar := body.Field{Bytes: 128, Message: body.Shape{1: pair}}
	simple := body.Field{Bytes: 96, Message: body.Shape{2: exemplar}}
	span := body.Field{Bytes: 96}
	histogram := body.Field{Bytes: 400, Message: body.Shape{
		3: {Bytes: 112, Message: body.Shape{3: exemplar}}, 9: span, 12: span, 16: exemplar,
	}}
	metric := body.Field{Bytes: 144, Message: body.Shape{
		1: pair, 2: simple, 3: simple, 4: {Bytes: 128, Message: body.Shape{3: {Bytes: 96}}}, 5: simple, 7: histogram,
	}}
	return body.Shape{4: metric}
}

// readDelimited is parseProtobuf for what this gateway wrote itself.
func readDelimited(raw []byte) ([]*dto.MetricFamily, error) {
	dec := expfmt.NewDecoder(bufio.NewReader(bytes.NewReader(raw)), expfmt.NewFormat(expfmt.TypeProtoDelim).WithEscapingScheme(model.NoEscaping))
	var out []*dto.MetricFamily
	for {
		mf := &dto.MetricFamily{}
		switch err := dec.Decode(mf); {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		}
		out = append(out, mf)
	}
}
