package rule

import (
	"embed"
	"path"
	"strings"
)

// The names of the built-in rule files.
const (
	// BuiltinMeta watches tocsin itself, and holds the drill's rule.
	BuiltinMeta = "meta"
	// BuiltinHost watches hosts, by node_exporter's metrics.
	BuiltinHost = "host"
)

//go:embed builtin/*.yml
var builtinFiles embed.FS

// Builtin returns the contents of the built-in rule files by their names, for Set.Load. The caller may leave some out.
func Builtin() map[string][]byte {
	entries, err := builtinFiles.ReadDir("builtin")
	if err != nil {
		panic("BUG: built-in rule files: " + err.Error())
	}
	out := make(map[string][]byte, len(entries))
	for _, e := range entries {
		content, err := builtinFiles.ReadFile(path.Join("builtin", e.Name()))
		if err != nil {
			panic("BUG: built-in rule files: " + err.Error())
		}
		out[strings.TrimSuffix(e.Name(), ".yml")] = content
	}
	return out
}
