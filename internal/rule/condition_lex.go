package rule

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// tokenKind is what a token of a condition is. Operators and brackets are their own text.
type tokenKind int

const (
	tokenEnd tokenKind = iota
	tokenNumber
	tokenText
	tokenWord
	tokenSign
)

// token is one word of a condition.
type token struct {
	kind tokenKind
	// text is the source for words and signs (keywords in lower case), the unquoted value for texts.
	text   string
	number float64
	// pos is where it begins, end where it ends, in bytes.
	pos, end int
}

func (t token) String() string {
	switch t.kind {
	case tokenEnd:
		return "the end"
	case tokenNumber:
		return strconv.FormatFloat(t.number, 'g', -1, 64)
	case tokenText:
		return strconv.Quote(t.text)
	}
	return strconv.Quote(t.text)
}

// signs are the operators and brackets, longer ones before those that they begin with.
const signs = "== != <= >= =~ !~ && || < > ! + - * / % ^ ( ) [ ] ."

// conditionError says what is wrong with a condition, where, and what to do.
type conditionError struct {
	text string
	// pos is where, in bytes from 0.
	pos       int
	msg, hint string
	// field is where the condition stands; empty means the field condition.
	field string
}

// shownWidth is how many characters of a long condition an error shows on each side of its place.
const shownWidth = 60

// Error returns the message, with the condition and a mark below the place on lines of their own.
func (e *conditionError) Error() string {
	before := []rune(strings.Map(flat, e.text[:e.pos]))
	after := []rune(strings.Map(flat, e.text[e.pos:]))
	column := len(before) + 1
	if len(before) > shownWidth {
		before = append([]rune("…"), before[len(before)-shownWidth:]...)
	}
	if len(after) > shownWidth {
		after = append(after[:shownWidth:shownWidth], '…')
	}
	msg := fmt.Sprintf("%s, column %d: %s", cmp.Or(e.field, "condition"), column, e.msg)
	if e.hint != "" {
		msg += "; " + e.hint
	}
	return fmt.Sprintf("%s\n    %s%s\n    %s^", msg, string(before), string(after), strings.Repeat(" ", len(before)))
}

// flat makes every kind of white space one blank, so that the mark stands where it should.
func flat(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

// lex splits a condition into tokens; the last is tokenEnd.
func lex(src string) ([]token, *conditionError) {
	var out []token
	for pos := 0; ; {
		for pos < len(src) && strings.IndexByte(" \t\r\n", src[pos]) >= 0 {
			pos++
		}
		if pos == len(src) {
			return append(out, token{kind: tokenEnd, pos: pos, end: pos}), nil
		}
		t, err := next(src, pos)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
		pos = t.end
	}
}

// next reads the token that begins at pos.
func next(src string, pos int) (token, *conditionError) {
	c := src[pos]
	switch {
	case isDigit(c), c == '.' && pos+1 < len(src) && isDigit(src[pos+1]):
		return lexNumber(src, pos)
	case isLetter(c):
		end := pos + 1
		for end < len(src) && (isLetter(src[end]) || isDigit(src[end])) {
			end++
		}
		word := src[pos:end]
		switch lower := strings.ToLower(word); lower {
		case "and", "or", "not":
			word = lower
		}
		return token{kind: tokenWord, text: word, pos: pos, end: end}, nil
	case c == '"', c == '\'', c == '`':
		return lexText(src, pos)
	}
	for sign := range strings.FieldsSeq(signs) {
		if strings.HasPrefix(src[pos:], sign) {
			return token{kind: tokenSign, text: sign, pos: pos, end: pos + len(sign)}, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(src[pos:])
	err := &conditionError{text: src, pos: pos, msg: fmt.Sprintf("%q has no meaning here", r)}
	switch {
	case c == '=':
		err.msg, err.hint = "a single = is no comparison", "write == to compare"
	case c == '{' || c == '}':
		err.hint = `selectors in braces are PromQL; write label tests as in instance == "a"`
	case c == ',':
		err.hint = `a number has a point, as in 0.5; several values are tested one by one: value == 1 or value == 2`
	case r > 0x7f:
		err.hint = `a label whose name has other than English letters is written labels["…"]`
	}
	return token{}, err
}

func lexNumber(src string, pos int) (token, *conditionError) {
	end := pos
	digits := func() {
		for end < len(src) && isDigit(src[end]) {
			end++
		}
	}
	digits()
	if end < len(src) && src[end] == '.' {
		end++
		digits()
	}
	if end < len(src) && (src[end] == 'e' || src[end] == 'E') {
		mark := end
		end++
		if end < len(src) && (src[end] == '+' || src[end] == '-') {
			end++
		}
		if digits(); !isDigit(src[end-1]) {
			end = mark
		}
	}
	if end < len(src) && (isLetter(src[end]) || src[end] == '.') {
		return token{}, &conditionError{text: src, pos: end, msg: "a number ends here, but something else follows without a blank",
			hint: "numbers have no units: write 0.08, 80 or 8e9"}
	}
	v, err := strconv.ParseFloat(src[pos:end], 64)
	if err != nil {
		return token{}, &conditionError{text: src, pos: pos, msg: src[pos:end] + " is too large for a number"}
	}
	return token{kind: tokenNumber, number: v, pos: pos, end: end}, nil
}

// lexText reads a text in double or single quotes, with Go's escapes, or in back quotes, without any.
func lexText(src string, pos int) (token, *conditionError) {
	quote := src[pos]
	var b strings.Builder
	rest := src[pos+1:]
	for {
		at := len(src) - len(rest)
		switch {
		case rest == "":
			return token{}, &conditionError{text: src, pos: pos, msg: "a text begins here and never ends", hint: "close it with " + string(quote)}
		case rest[0] == quote:
			return token{kind: tokenText, text: b.String(), pos: pos, end: at + 1}, nil
		case quote == '`' || rest[0] != '\\':
			b.WriteByte(rest[0])
			rest = rest[1:]
		default:
			r, multibyte, tail, err := strconv.UnquoteChar(rest, quote)
			if err != nil {
				return token{}, &conditionError{text: src, pos: at, msg: "no valid escape",
					hint: `write \\ for a backslash, or put the text in back quotes`}
			}
			if multibyte || r < utf8.RuneSelf {
				b.WriteRune(r)
			} else {
				b.WriteByte(byte(r))
			}
			rest = tail
		}
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }
