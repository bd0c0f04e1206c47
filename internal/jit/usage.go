package jit

// usage is runs and their words, by tier.
type usage [tiers]struct{ runs, words uint64 }

func (u *usage) add(more usage) {
	for t := range u {
		u[t].runs += more[t].runs
		u[t].words += more[t].words
	}
}

// usage returns the runner's runs so far.
func (r *runner) usage() (u usage) {
	u[interpreted].runs, u[interpreted].words = r.slow.runs.Load(), r.slow.words.Load()
	u[machineCode].runs, u[machineCode].words = r.ran()
	return u
}

// usage returns the runs of all who run or ran the kernel. The caller holds the library's mu.
func (k *shared) usage() usage {
	u := k.past
	for _, r := range k.runners {
		u.add(r.usage())
	}
	return u
}
