package amd64_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/jit/amd64"
	"github.com/tocsin/tocsin/internal/kernel"
)

var update = flag.Bool("update", false, "write testdata/*.golden anew (needs objdump)")

// presence is a program without strips.
func presence() *kernel.Program {
	b := kernel.NewBuilder()
	return b.Program(kernel.None, b.Do(kernel.AndNot, b.Valid(0), b.Valid(1)))
}

// passed is a program that computes no value.
func passed() *kernel.Program {
	b := kernel.NewBuilder()
	return b.Program(b.Load(0), b.Valid(0))
}

func TestGolden(t *testing.T) {
	all := append(examples(), example{"every", "", every()}, example{"presence", "", presence()}, example{"passed", "", passed()})
	all = append(all,
		example{"crowd_values", "", manyValues(34)}, example{"crowd_masks", "", manyMasks(10)},
		example{"crowd_words", "", manyWords(8)}, example{"crowd_collected", "", manyCollected(7)},
		example{"crowd_inputs", "", manyInputs(8)})
	for _, e := range all {
		for _, isa := range []amd64.ISA{amd64.AVX2, amd64.AVX512} {
			t.Run(e.name+"/"+isa.String(), func(t *testing.T) {
				code := amd64.Compile(e.program, isa)
				require.Equal(t, code, amd64.Compile(e.program, isa), "the same program, the same code")
				golden(t, e.name+"."+isa.String(), code.Bytes, fmt.Sprintf("%sspill %d\n", e.program, code.Spill))
			})
		}
	}
}

// TestEncodings holds the assembler to what a disassembler has shown its instructions to be.
func TestEncodings(t *testing.T) { golden(t, "encodings", amd64.Encodings(), "") }

// forbidden is what no code may name: registers that are not its own, and multiplications merged with additions.
const forbidden = `\b([re]?[sb]p[l]?|r14[dwb]?)\b|vfn?m|\(bad\)|call|push|pop`

// golden compares code with testdata/name.golden: after lines of head, each with "# ", an instruction a line as
// hexadecimal bytes and, where the disassembler is the one that wrote the file, as text.
func golden(t *testing.T, name string, code []byte, head string) {
	t.Helper()
	file, writer := filepath.Join("testdata", name+".golden"), filepath.Join("testdata", "disassembler")
	head = strings.TrimSuffix("# "+strings.ReplaceAll(head, "\n", "\n# "), "# ")
	version, missing := exec.Command("objdump", "--version").Output()
	version, _, _ = bytes.Cut(version, []byte("\n"))
	if *update {
		require.NoError(t, missing, "to write golden files takes objdump")
		require.NoError(t, os.WriteFile(file, []byte(head+disassemble(t, code)), 0o644))
		require.NoError(t, os.WriteFile(writer, version, 0o644))
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(text), head), "the program of %s", file)
	listing := string(text[len(head):])
	require.NotRegexp(t, regexp.MustCompile(forbidden), listing)
	var all []byte
	for line := range strings.Lines(listing) {
		digits, _, _ := strings.Cut(line, " ")
		b, err := hex.DecodeString(digits)
		require.NoError(t, err)
		all = append(all, b...)
	}
	require.Equal(t, hex.EncodeToString(all), hex.EncodeToString(code), "the code of %s; -update writes %s anew", name, file)
	known, err := os.ReadFile(writer)
	require.NoError(t, err)
	if missing == nil && string(version) == string(known) { // Others may write the same instructions in other words.
		require.Equal(t, listing, disassemble(t, code))
	}
}

func disassemble(t *testing.T, code []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "code")
	require.NoError(t, os.WriteFile(file, code, 0o600))
	out, err := exec.Command("objdump", "-D", "-w", "-z", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	var b strings.Builder
	for _, m := range regexp.MustCompile(`(?m)^ *[0-9a-f]+:\t([0-9a-f ]+)\t(.*)$`).FindAllStringSubmatch(string(out), -1) {
		digits := strings.ReplaceAll(m[1], " ", "")
		fmt.Fprintf(&b, "%-22s  %s\n", digits, strings.TrimSpace(m[2]))
	}
	return b.String()
}
