package cold

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"
)

// processWord as the first argument makes this binary one of the processes that Run starts.
const processWord = "act-as-a-scenario"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == processWord {
		os.Exit(actAsScenario(os.Args[2]))
	}
	os.Exit(m.Run())
}

func actAsScenario(text string) int {
	var s Spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	began := time.Now()
	out, err := RunScenario(context.Background(), s, Process{
		CPU:      func() time.Duration { return time.Since(began) }, // Near enough to what one thread takes.
		Progress: func(done float64) { fmt.Fprint(os.Stderr, ProgressLine(done)) },
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "it broke:", err)
		return 1
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		return 1
	}
	return 0
}
