//go:build linux && (amd64 || arm64)

package native

// Stale reports whether memory of a is not used again at once.
func (a *Arena) Stale() bool { return a.stale }
