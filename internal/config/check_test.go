package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCheckSaysWhatRunWouldRefuse: a file that loads, and with which nothing starts, is not in order.
func TestCheckSaysWhatRunWouldRefuse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tocsin.yml")
	text := "storage: {tsdb: {retention: {}}}\ntocsin: {listen: \"0.0.0.0:9909\"}\n"
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	_, err := Load(file, LoadOptions{LookupEnv: noEnv})
	require.NoError(t, err, "a flag may give another address")

	r := Check(file, LoadOptions{LookupEnv: noEnv})
	require.False(t, r.OK)
	require.Len(t, r.Errors, 1)
	require.Equal(t, 2, r.Errors[0].Line)
	require.Equal(t, "tocsin.listen", r.Errors[0].Path)
	require.Contains(t, r.Errors[0].Message, "refuses to listen")
	require.Len(t, r.Warnings, 1)
	require.Contains(t, r.Warnings[0].Message, "kept for ever")
}
