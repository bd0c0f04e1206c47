package sim

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"time"
)

// Mail is one mail that an SMTP took.
type Mail struct {
	// Received is when its data had been read.
	Received time.Time
	// From and To are the envelope's.
	From string
	To   []string
	// Data is the mail itself: header, empty line, body; lines end with \n, dots are unstuffed.
	Data []byte
	// TLS says that it came over STARTTLS, User who had logged in.
	TLS  bool
	User string
}

// Header returns the mail's header.
func (m Mail) Header() (mail.Header, error) {
	msg, err := mail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return msg.Header, nil
}

// Subject returns the decoded subject, empty where there is none.
func (m Mail) Subject() string {
	h, err := m.Header()
	if err != nil {
		return ""
	}
	s, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
	if err != nil {
		return h.Get("Subject")
	}
	return s
}

// Parts returns the decoded bodies by media type; a mail that is not multipart has one. A type that occurs twice keeps
// its last body.
func (m Mail) Parts() (map[string]string, error) {
	msg, err := mail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	parts := make(map[string]string)
	if err := addParts(parts, textproto.MIMEHeader(msg.Header), msg.Body, 0); err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return parts, nil
}

// maxParts bounds how deep multiparts may nest.
const maxParts = 8

func addParts(parts map[string]string, h textproto.MIMEHeader, body io.Reader, depth int) error {
	if depth > maxParts {
		return fmt.Errorf("multiparts nest deeper than %d", maxParts)
	}
	contentType := h.Get("Content-Type")
	if contentType == "" {
		contentType = "text/plain"
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fmt.Errorf("content type %q: %w", contentType, err)
	}
	if !strings.HasPrefix(media, "multipart/") {
		b, err := io.ReadAll(decodeTransfer(h.Get("Content-Transfer-Encoding"), body))
		parts[media] = string(b)
		return err
	}
	r := multipart.NewReader(body, params["boundary"])
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := addParts(parts, p.Header, p, depth+1); err != nil {
			return err
		}
	}
}

// decodeTransfer undoes a content transfer encoding (RFC 2045, section 6).
func decodeTransfer(encoding string, r io.Reader) io.Reader {
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		return quotedprintable.NewReader(r)
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, r)
	}
	return r
}
