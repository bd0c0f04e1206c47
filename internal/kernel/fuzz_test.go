package kernel_test

import (
	"math/rand/v2"
	"testing"

	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/kernel/kerneltest"
)

// FuzzInterpreter holds programs of any bytes over numbers of any bits to the reference, with results of their own and
// in an input's place.
func FuzzInterpreter(f *testing.F) {
	r := rand.New(rand.NewPCG(11, 12))
	for _, size := range []int{0, 1, 2, 10, 50, 300} {
		f.Add(randomBytes(r, size), randomBytes(r, size), uint8(size))
	}
	f.Fuzz(func(t *testing.T, code, numbers []byte, words uint8) {
		p := decode(code)
		r := rand.New(rand.NewPCG(uint64(len(code)), uint64(len(numbers))))
		b := columns(r, p, int(words)%4, numbers)
		run := kernel.NewInterpreter(p)
		requireReference(t, p, run, b)
		again := kerneltest.Clone(b)
		if p.Value != kernel.None {
			again.V = again.In[0].V
		}
		again.OK = again.In[0].OK
		run.Run(again)
		if diff := kerneltest.Differ(p, b, again); diff != "" {
			t.Fatalf("the result in an input's place differs: %s", diff)
		}
	})
}
