package arm64

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/kernel"
)

var update = flag.Bool("update", false, "write testdata/*.golden anew (needs objdump for aarch64)")

// everything is a program with each operation, the masks among them in each part.
func everything() *kernel.Program {
	b := kernel.NewBuilder()
	x, y, p := b.Load(0), b.Load(1), b.Param()
	v := b.Do(kernel.Div, b.Do(kernel.Mul, x, p), b.Do(kernel.Add, y, b.Do(kernel.Sub, p, x)))
	v = b.Do(kernel.Neg, b.Do(kernel.Abs, b.Do(kernel.Sqrt, b.Do(kernel.Floor, b.Do(kernel.Ceil, v)))))
	m := b.Do(kernel.And, b.Do(kernel.Less, v, x), b.Do(kernel.LessEqual, v, y))
	m = b.Do(kernel.Or, m, b.Do(kernel.AndNot, b.Do(kernel.Equal, x, y), b.Do(kernel.NotEqual, v, p)))
	words := b.Do(kernel.AndNot, b.Do(kernel.Or, b.Valid(0), b.Valid(1)), b.Valid(2))
	v = b.Do(kernel.Add, b.Do(kernel.Select, words, v, x), b.Do(kernel.Bool, m))
	return b.Program(v, b.Do(kernel.And, b.Do(kernel.Or, m, words), b.Do(kernel.AndNot, m, words)))
}

// presence is a program without lanes.
func presence() *kernel.Program {
	b := kernel.NewBuilder()
	return b.Program(kernel.None, b.Do(kernel.AndNot, b.Valid(1), b.Valid(0)))
}

// TestGolden holds the code of some programs to what a disassembler has shown it to be.
func TestGolden(t *testing.T) {
	r := func() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }
	for name, p := range map[string]*kernel.Program{
		"ratio": ratio(), "everything": everything(), "presence": presence(),
		"spilled_values": crowdOfValues(r(), 36), "spilled_words": crowdOfSpreadWords(r(), 30),
		"spilled_params": crowdOfParams(r(), 30), "collected": crowdOfCollected(r(), 32), "inputs": crowdOfInputs(r(), 12),
	} {
		t.Run(name, func(t *testing.T) {
			code := Compile(p)
			require.Equal(t, code, Compile(p), "the same program, the same code")
			golden(t, name, code.Bytes, fmt.Sprintf("%sspill %d\n", p, code.Spill))
		})
	}
}

// TestEncodings holds each instruction that the assembler knows, with registers and numbers at their ends, to what a
// disassembler has shown it to be.
func TestEncodings(t *testing.T) {
	a := &assembler{}
	for _, op := range []vectorOp{
		opFADD, opFSUB, opFMUL, opFDIV, opFCMGT, opFCMGE, opFCMEQ, opAND, opBIC, opORR, opBSL, opBIT, opBIF, opCMTST, opADDP,
	} {
		a.three(op, 0, 1, 31)
		a.three(op, 31, 30, 2)
	}
	for _, op := range []vectorOp{opFNEG, opFABS, opFSQRT, opFRINTM, opFRINTP, opNOT, opDUP, opSHL2} {
		a.two(op, 0, 31)
		a.two(op, 31, 1)
	}
	a.one(opZero, 31)
	a.one(opOne, 31)
	a.move(31, 1)
	a.fromGeneral(bits, scratch)
	a.intoSecond(bits, scratch)
	for _, x := range []access{loadVector(), storeVector(), loadDouble(), storeDouble(), loadWord()} {
		a.at(x, 1, arguments, 0)
		a.at(x, 15, scratch, (offsets-1)*x.size)
		a.at(x, 15, scratch, offsets*x.size)
		a.at(x, 15, arguments, 1<<20)
		a.indexed(x, 0, scratch, lane)
		a.scaled(x, 15, arguments, scratchTwo)
	}
	for _, n := range []uint32{0, 1, 0xffff, 0x10000, 0xffffffff} {
		a.constant(scratchTwo, n)
	}
	a.add(word, 1)
	a.add(scratchTwo, 4095)
	a.compare(word, words)
	a.testLow(lane, wordBytes)
	a.skipUnlessZero(words)
	a.ret()
	a.branch(lower, 0)
	a.branch(notEqual, a.here())
	golden(t, "encodings", a.bytes(), "")
}

// TestFarBranch holds the last branch that is one instruction, and the first that is two, to their meaning.
func TestFarBranch(t *testing.T) {
	a := &assembler{code: make([]uint32, conditionalReach)}
	a.branch(lower, 0)
	require.Len(t, a.code, conditionalReach+1)
	require.Equal(t, uint32(0x54800003), a.code[conditionalReach], "b.lo .-0x100000")
	a.branch(notEqual, 0)
	require.Len(t, a.code, conditionalReach+3)
	require.Equal(t, []uint32{0x54000040, 0x17fbfffe}, a.code[conditionalReach+1:], "b.eq .+8; b .-0x100008")
}

// golden compares code with the hexadecimal words of testdata/name.golden: a line an instruction, after the lines of head,
// each with "# ".
func golden(t *testing.T, name string, code []byte, head string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	var want strings.Builder
	for line := range strings.Lines(head) {
		want.WriteString("# " + line)
	}
	if *update {
		listing := disassemble(t, code)
		require.NoError(t, os.WriteFile(file, []byte(want.String()+listing), 0o644))
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	// What Go or the system needs is not even named, no multiplication is merged with an addition, nothing is unknown.
	require.NotRegexp(t, regexp.MustCompile(`\b[xw](18|2[6-9]|30)\b|\bsp\b|fml|undefined`), string(text))
	for at := 0; at < len(code); at += 4 {
		fmt.Fprintf(&want, "%5x  %08x\n", at, binary.LittleEndian.Uint32(code[at:]))
	}
	var got strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			before, _, _ := strings.Cut(strings.TrimLeft(line, " "), "   ")
			line = fmt.Sprintf("%*s\n", 5+2+8, before)
		}
		got.WriteString(line)
	}
	require.Equal(t, got.String(), want.String(), "the code of %s; -update writes %s anew", name, file)
}

// disassemble lists code by the objdump that is there.
func disassemble(t *testing.T, code []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "code")
	require.NoError(t, os.WriteFile(file, code, 0o600))
	tool, err := exec.LookPath("aarch64-linux-gnu-objdump")
	if err != nil {
		tool = "objdump"
	}
	out, err := exec.Command(tool, "-D", "-z", "-b", "binary", "-m", "aarch64", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	var listing strings.Builder
	for _, m := range regexp.MustCompile(`(?m)^ *([0-9a-f]+):\t([0-9a-f]{8}) \t(.*)$`).FindAllStringSubmatch(string(out), -1) {
		text, _, _ := strings.Cut(m[3], "//") // it says the same again
		mnemonic, operands, _ := strings.Cut(strings.TrimSpace(text), "\t")
		fmt.Fprintf(&listing, "%5s  %s   %s\n", m[1], m[2], strings.TrimSpace(fmt.Sprintf("%-7s %s", mnemonic, operands)))
	}
	require.Equal(t, len(code)/4, strings.Count(listing.String(), "\n"), "each instruction has a line")
	return listing.String()
}
