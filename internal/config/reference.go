package config

import _ "embed"

//go:embed reference.yml
var reference string

// Reference returns the `tocsin:` section as YAML with every field, its default and what it is for. It loads as it stands.
// A test builds it from the structs and their comments, and holds the file to that.
func Reference() string { return reference }
