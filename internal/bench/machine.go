package bench

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Machine says where something was measured.
type Machine struct {
	CPU    string
	Cores  int // what Go runs on at a time
	Go     string
	OS     string
	Memory string // empty where it is not known
}

// ThisMachine describes the machine and the runtime.
func ThisMachine() Machine {
	return Machine{
		CPU:    procLine("/proc/cpuinfo", "model name", "unknown CPU"),
		Cores:  runtime.GOMAXPROCS(0),
		Go:     runtime.Version(),
		OS:     runtime.GOOS + "/" + runtime.GOARCH,
		Memory: procLine("/proc/meminfo", "MemTotal", ""),
	}
}

// String is one line for people.
func (m Machine) String() string {
	s := fmt.Sprintf("%s, %d cores, %s %s", m.CPU, m.Cores, m.Go, m.OS)
	if m.Memory != "" {
		s += ", memory " + m.Memory
	}
	return s
}

// procLine returns the value of the first line of a /proc file that begins with key.
func procLine(file, key, otherwise string) string {
	f, err := os.Open(file)
	if err != nil {
		return otherwise
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		k, v, ok := strings.Cut(sc.Text(), ":")
		if ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return otherwise
}
