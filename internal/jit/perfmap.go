package jit

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"unicode/utf8"
)

// perfMap tells Linux perf where kernels stand: a line "START SIZE name" each, both in hexadecimal digits, in a file that
// perf finds by the process's number (tools/perf/Documentation/jit-interface.txt in Linux). The file remains when the
// process has ended, because perf reports read it then. What is written once stays: where memory was used again, perf takes
// one of the names.
type perfMap struct {
	file *os.File
	log  *slog.Logger
}

const (
	perfMapMode     = 0o600
	perfExpression  = 80 // bytes of an expression in a name
	perfMapTemplate = "/tmp/perf-%d.map"
)

// newPerfMap returns nil where the file cannot be made, and says so.
func newPerfMap(log *slog.Logger) *perfMap {
	name := fmt.Sprintf(perfMapTemplate, os.Getpid())
	f, err := openPerfMap(name)
	if err != nil {
		log.Warn("Linux perf will not see the names of kernels.", "err", err)
		return nil
	}
	return &perfMap{file: f, log: log}
}

// openPerfMap makes the file new. Anybody may write to its folder, so it follows no link and takes over nobody's file: a
// file of an earlier process of the same number and user is removed, and another's cannot be.
func openPerfMap(name string) (*os.File, error) {
	if info, err := os.Lstat(name); err == nil && info.Mode().IsRegular() {
		if err := os.Remove(name); err != nil {
			return nil, fmt.Errorf("replacing the perf map of an earlier process: %w", err)
		}
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, perfMapMode)
	if err != nil {
		return nil, fmt.Errorf("making a perf map: %w", err)
	}
	return f, nil
}

// add names the code of a kernel.
func (m *perfMap) add(address uintptr, size int, id, expression string) {
	if m.file == nil {
		return
	}
	if _, err := m.file.WriteString(perfLine(address, size, id, expression)); err != nil {
		m.fail(err)
	}
}

// fail ends the map, and says why; only the first time.
func (m *perfMap) fail(err error) {
	if m.file != nil {
		m.log.Warn("Linux perf will not see the names of more kernels.", "err", err)
		m.close()
	}
}

func perfLine(address uintptr, size int, id, expression string) string {
	return fmt.Sprintf("%x %x tocsin:%s:%s\n", address, size, id, short(expression))
}

// short returns expression on one line, cut to a size that a profile has room for.
func short(expression string) string {
	s := strings.Join(strings.Fields(strings.ToValidUTF8(expression, "?")), " ")
	if len(s) <= perfExpression {
		return s
	}
	cut := perfExpression
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

func (m *perfMap) close() {
	if m.file != nil {
		_ = m.file.Close()
		m.file = nil
	}
}
