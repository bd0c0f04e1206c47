package loops

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/tocsin/tocsin/internal/kernel"
)

//go:embed source/loops.c
var cSource []byte

const (
	// ways is in how many ways source/loops.c writes an expression at most.
	ways = 3
	// exitPatience is how long the program may take to end after its input has.
	exitPatience = time.Second
)

// errNoC says that there is nothing to compare with: a figure less, but no failure.
var errNoC = errors.New("no C to compare with")

// cProgram is source/loops.c, running and waiting for orders.
type cProgram struct {
	compiler string
	result   string // the file that results are written to
	cmd      *exec.Cmd
	in       io.WriteCloser
	out      *bufio.Scanner
	errors   string // the file that it complains to
}

// cAnswer is what the program says of an order.
type cAnswer struct {
	Known     bool    `json:"known"`
	SIMD      string  `json:"simd"`
	NsPerLane float64 `json:"ns_per_lane"`
}

// startC compiles the program in dir, which must exist, and starts it over the columns. The error is errNoC where no
// compiler is found that makes, within so long, a program which runs.
func startC(
	ctx context.Context, dir string, patience time.Duration, in *[inputs]kernel.Input, es []expression,
) (*cProgram, error) {
	program, compiler, err := compile(ctx, dir, patience)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "columns")
	if err := writeColumns(data, in, es); err != nil {
		return nil, err
	}
	p := &cProgram{compiler: compiler, result: filepath.Join(dir, "result"), errors: filepath.Join(dir, "errors")}
	complaints, err := os.Create(p.errors)
	if err != nil {
		return nil, err
	}
	defer complaints.Close()
	p.cmd = exec.CommandContext(ctx, program, data, p.result, strconv.Itoa(maxLanes))
	p.cmd.Stderr, p.cmd.WaitDelay = complaints, exitPatience
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: what %s made does not run: %w", errNoC, compiler, err)
	}
	return p, nil
}

// compile builds the program with the first compiler that can, for the processor at hand where it knows how.
func compile(ctx context.Context, dir string, patience time.Duration) (program, compiler string, err error) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	source := filepath.Join(dir, "loops.c")
	program = filepath.Join(dir, "loops")
	if err := os.WriteFile(source, cSource, 0o600); err != nil {
		return "", "", err
	}
	last := errors.New("none of cc, gcc and clang is installed")
	for _, name := range []string{"cc", "gcc", "clang"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		for _, native := range []string{"-march=native", "-mcpu=native"} {
			out, err := exec.CommandContext(limited, path, "-O3", native, "-ffp-contract=off", "-o", program, source).CombinedOutput()
			if err == nil {
				return program, name + " -O3 " + native, nil
			}
			if ctx.Err() != nil {
				return "", "", fmt.Errorf("compiling C: %w", ctx.Err())
			}
			if limited.Err() != nil {
				return "", "", fmt.Errorf("%w: %s took longer than %s", errNoC, name, patience)
			}
			last = fmt.Errorf("%s failed: %w: %.300s", name, err, out)
		}
	}
	return "", "", fmt.Errorf("%w: %w", errNoC, last)
}

// order asks the program to run a loop so many times, 0 for once and to keep the result.
func (p *cProgram) order(expression, way, lanes, times int) (cAnswer, error) {
	var a cAnswer
	if _, err := fmt.Fprintf(p.in, "%d %d %d %d\n", expression, way, lanes, times); err != nil {
		return a, p.ended(err)
	}
	if !p.out.Scan() {
		return a, p.ended(errors.Join(p.out.Err(), io.ErrUnexpectedEOF))
	}
	if err := json.Unmarshal(p.out.Bytes(), &a); err != nil {
		return a, fmt.Errorf("what the C program says (%q): %w", p.out.Bytes(), err)
	}
	return a, nil
}

// ended is the error of a program that is gone.
func (p *cProgram) ended(err error) error {
	complaints, _ := os.ReadFile(p.errors) // Where there are none, err has to do.
	return fmt.Errorf("the C program ended: %w: %.300s", err, complaints)
}

// run fills b with the result of a loop, and reports whether the program has it.
func (p *cProgram) run(expression, way int, b *kernel.Block) (bool, error) {
	lanes := b.Words * kernel.WordLanes
	if a, err := p.order(expression, way, lanes, 0); err != nil || !a.Known {
		return false, err
	}
	raw, err := os.ReadFile(p.result)
	if err != nil {
		return false, err
	}
	if len(raw) != 8*(lanes+b.Words) {
		return false, fmt.Errorf("the C program wrote %d bytes of results for %d lanes", len(raw), lanes)
	}
	for i := range b.V {
		b.V[i] = math.Float64frombits(binary.NativeEndian.Uint64(raw[8*i:]))
	}
	for w := range b.OK {
		b.OK[w] = binary.NativeEndian.Uint64(raw[8*(lanes+w):])
	}
	return true, nil
}

// close ends the program.
func (p *cProgram) close() {
	_ = p.in.Close()
	_ = p.cmd.Wait() // It ends with its input; its results are in.
}
