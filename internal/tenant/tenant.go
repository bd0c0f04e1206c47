// Package tenant says whose a series, a rule or an alert is, and carries that answer through a context.
//
// It must not know what a tenant owns: history, engine and notifications each keep one instance a tenant.
package tenant

import (
	"context"
	"fmt"
)

// ID names a tenant. It is also a directory name, hence the narrow alphabet that Parse enforces.
type ID string

// Default owns everything that nobody claims for somebody else.
const Default ID = "default"

// maxLength keeps an ID usable as a file name everywhere.
const maxLength = 150

type contextKey struct{}

// NewContext returns a context that carries id.
func NewContext(ctx context.Context, id ID) context.Context {
	return context.WithValue(ctx, contextKey{}, id)
}

// FromContext returns the tenant that ctx carries, or Default.
func FromContext(ctx context.Context) ID {
	if id, ok := ctx.Value(contextKey{}).(ID); ok {
		return id
	}
	return Default
}

// Parse checks a tenant's name from outside: 1 to 150 letters, digits, '-', '_' or '.', and not "." or "..".
// The empty name means Default.
func Parse(s string) (ID, error) {
	switch {
	case s == "":
		return Default, nil
	case s == "." || s == "..":
		return "", fmt.Errorf("tenant %q: is a path, not a name", s)
	case len(s) > maxLength:
		return "", fmt.Errorf("tenant %.20q…: %d bytes, at most %d are allowed", s, len(s), maxLength)
	}
	for _, r := range s {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
		if !ok {
			return "", fmt.Errorf("tenant %q: %q is not allowed; use letters, digits, '-', '_' and '.'", s, r)
		}
	}
	return ID(s), nil
}
