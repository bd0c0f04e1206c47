package threshold

// Op compares a lane's value, on the left, with a line's constant. A lane without a value never passes; NaN is unlike
// everything, so that it passes NotEqual and nothing else.
type Op uint8

// The comparisons.
const (
	Less Op = iota
	LessEqual
	Greater
	GreaterEqual
	Equal
	NotEqual
)

// Holds reports whether v compares with c as o says.
func (o Op) Holds(v, c float64) bool {
	switch o {
	case Less:
		return v < c
	case LessEqual:
		return v <= c
	case Greater:
		return v > c
	case GreaterEqual:
		return v >= c
	case Equal:
		return v == c
	case NotEqual:
		return v != c
	}
	panic("BUG: a comparison that does not exist")
}
