package explain_test

import (
	"flag"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the golden files of testdata anew")
	flag.Parse()
	os.Exit(m.Run())
}
