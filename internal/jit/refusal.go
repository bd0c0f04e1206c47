package jit

// refusal is why a kernel is not compiled.
type refusal int32

const (
	granted     refusal = iota // it may be
	full                       // there are as many kernels as allowed
	memory                     // there is no room for more code
	failed                     // the encoder failed
	unsupported                // nothing can be compiled here
	refusals
)

// String returns the reason as metrics name it.
func (r refusal) String() string {
	return [refusals]string{"", "full", "memory", "failed", "unsupported"}[r]
}

// lasting reports whether the reason remains when others leave.
func (r refusal) lasting() bool { return r == failed || r == unsupported }

// refuse leaves k interpreted. It is counted and named in the log the first time only; where there is no room, the first
// kernel stands for all that follow.
func (l *Library) refuse(k *shared, why refusal, err error) {
	k.refusal.Store(int32(why))
	if !why.lasting() {
		l.queue.starve(k)
	}
	if !k.named.CompareAndSwap(false, true) {
		return
	}
	l.refused[why].Add(1)
	switch {
	case why.lasting():
		l.log.Warn("A kernel is interpreted, not compiled.", "kernel", k.id, "expr", k.expression, "reason", why, "err", err)
	case l.crowded.CompareAndSwap(false, true):
		l.log.Warn("There is no room for more machine code: this kernel and others are interpreted. tocsin.jit.max_size bounds it.",
			"kernel", k.id, "expr", k.expression, "reason", why, "err", err)
	}
}

// countUnsupported counts k where nothing can be compiled, which the log says once for all.
func (l *Library) countUnsupported(k *shared) {
	if k.named.CompareAndSwap(false, true) {
		l.refused[unsupported].Add(1)
	}
}

// relieve lets one kernel that was refused for want of room try again: another has left. The caller holds mu.
func (l *Library) relieve() {
	if k := l.queue.feed(); k != nil {
		k.refusal.Store(int32(granted))
		l.want(k)
	}
}
