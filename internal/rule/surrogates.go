package rule

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// joinSurrogates makes JSON that writes characters beyond the basic plane as two \u escapes (RFC 8259, section 7)
// readable for a YAML parser, which knows no such pairs: each pair becomes the character itself. Anything but a JSON
// object comes back as it is.
func joinSurrogates(content []byte) []byte {
	if !bytes.HasPrefix(bytes.TrimSpace(content), []byte("{")) || !bytes.Contains(content, []byte(`\u`)) {
		return content
	}
	out := make([]byte, 0, len(content))
	for i := 0; i < len(content); {
		switch {
		case content[i] != '\\' || i+1 == len(content):
			out = append(out, content[i])
			i++
		default:
			if r := utf16.DecodeRune(unicodeEscape(content[i:]), unicodeEscape(content[min(i+6, len(content)):])); r != utf8.RuneError {
				out = utf8.AppendRune(out, r)
				i += 12
				continue
			}
			out = append(out, content[i], content[i+1])
			i += 2
		}
	}
	return out
}

// unicodeEscape returns the code unit that b's first six bytes write as \uXXXX, or -1.
func unicodeEscape(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	v, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(v)
}
