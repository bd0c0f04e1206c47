package web

import (
	"fmt"
	"net/http"
	"strings"
)

// Bounds of an expression that a request carries. The parser takes time that grows with the square of what is chained or
// nested, and the printer (format_query) with its cube, in time and in memory, and neither can be interrupted: 100 KB of
// opening parentheses would keep a core busy for a minute. People's expressions have a few dozen.
const (
	maxQueryBytes   = 1 << 20
	maxQueryParts   = 5000
	maxPrintedParts = 500
	formMemory      = 10 << 20 // of a multipart form, which nobody sends and upstream reads all the same
	operators       = "+-*/%^<>=!@("
)

// boundedQuery refuses requests whose query is beyond the bounds, in the words of a bad parameter.
func boundedQuery(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit := maxQueryParts
		switch r.URL.Path {
		case "/api/v1/format_query", "/api/v1/parse_query":
			limit = maxPrintedParts
		case "/api/v1/query", "/api/v1/query_range", "/api/v1/query_exemplars":
		default:
			next.ServeHTTP(w, r)
			return
		}
		if r.Method == http.MethodGet || r.Method == http.MethodPost {
			_ = r.ParseMultipartForm(formMemory) // upstream takes what could be read, too
			if err := checkQuery(r.Form.Get("query"), limit); err != nil {
				badData(w, invalid("query", err))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// checkQuery says whether expr has more bytes, or more operators and parentheses, than is allowed.
func checkQuery(expr string, limit int) error {
	if len(expr) > maxQueryBytes {
		return fmt.Errorf("the expression has %d bytes; at most %d are allowed", len(expr), maxQueryBytes)
	}
	if n := queryParts(expr); n > limit {
		return fmt.Errorf("the expression has %d operators and parentheses; at most %d are allowed here", n, limit)
	}
	return nil
}

// queryParts counts the operators and opening parentheses of expr outside matchers, strings and comments. It need not be
// exact, only never far below what the parser would find.
func queryParts(expr string) int {
	n, inMatchers := 0, false
	for i := 0; i < len(expr); i++ {
		switch c := expr[i]; {
		case c == '"' || c == '\'' || c == '`':
			i = endOfString(expr, i)
		case c == '#':
			if end := strings.IndexByte(expr[i:], '\n'); end >= 0 {
				i += end
			} else {
				return n
			}
		case c == '{' || c == '}':
			inMatchers = c == '{'
		case inMatchers:
		case strings.IndexByte(operators, c) >= 0:
			n++
		case isLetter(c):
			end := i + 1
			for end < len(expr) && (isLetter(expr[end]) || '0' <= expr[end] && expr[end] <= '9') {
				end++
			}
			switch strings.ToLower(expr[i:end]) {
			case "and", "or", "unless", "atan2":
				n++
			}
			i = end - 1
		}
	}
	return n
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' || c == ':' }

// endOfString returns where the string that begins at i ends.
func endOfString(expr string, i int) int {
	quote := expr[i]
	for i++; i < len(expr) && expr[i] != quote; i++ {
		if expr[i] == '\\' && quote != '`' {
			i++
		}
	}
	return i
}
