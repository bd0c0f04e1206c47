package exec_test

import (
	"fmt"
	"math/rand/v2"
)

// randomExpression returns a vector expression of some depth.
func randomExpression(r *rand.Rand, depth int) string {
	if depth == 0 {
		return randomLeaf(r)
	}
	in := func() string { return randomExpression(r, depth-1) }
	switch r.IntN(15) {
	case 0, 1:
		return fmt.Sprintf("%s %s(%s)", pick(r, "sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"), grouping(r), in())
	case 2:
		return fmt.Sprintf("%s %s(%s, %s)", "quantile", grouping(r), pick(r, "0.5", "0", "0.99", "1.5"), in())
	case 3:
		return fmt.Sprintf("%s %s(%d, %s)", pick(r, "topk", "bottomk"), grouping(r), r.IntN(4), "m_total * 1.0000001")
	case 4:
		return fmt.Sprintf("(%s) %s %s", in(), pick(r, "+", "-", "*", "/", "%", "^"), pick(r, "2", "0.5", "-3", "0"))
	case 5:
		return fmt.Sprintf("(%s) %s %s", in(), comparison(r), pick(r, "2", "20", "0", "scalar(up{zone=\"a\"})"))
	case 6:
		return fmt.Sprintf("%s(%s)", pick(r, "abs", "ceil", "floor", "sqrt", "exp", "-", "sgn", "round", "ln"), in())
	case 7:
		return fmt.Sprintf("(%s) %s on (zone%s) (%s)", in(), pick(r, "and", "or", "unless"), pick(r, "", ", instance"), in())
	case 8:
		return fmt.Sprintf("(%s) %s on (zone) group_left (%s) sum by (zone, instance) (%s)", in(), pick(r, "+", "-", "*", "/", ">", "== bool"), pick(r, "", "instance"), in())
	case 9:
		return fmt.Sprintf("(%s) %s sum by (instance, zone) (%s)", in(), pick(r, "+", "-", "*", "/", ">", "<= bool"), in())
	case 10:
		return fmt.Sprintf("label_replace(%s, \"zone\", \"$1x\", \"instance\", \"(.*)\")", in())
	case 11, 12, 13:
		return aligned(r, depth)
	}
	return fmt.Sprintf(pick(r, "absent(%s)", "vector(scalar(%s))", "sort(%s)", "clamp(%s, 1, 10)"), in())
}

// aligned returns an expression over several views of the same series, which meet lane by lane.
func aligned(r *rand.Rand, depth int) string {
	selector := pick(r, "m_total", "up", "down", `m_total{zone!="b"}`, `{__name__=~"up|down"}`)
	var view func(depth int) string
	view = func(depth int) string {
		if depth <= 0 {
			if r.IntN(2) == 0 {
				return selector
			}
			return fmt.Sprintf("%s(%s[%s])", pick(r, "rate", "avg_over_time", "last_over_time", "max_over_time"), selector, pick(r, "1m", "2m"))
		}
		switch r.IntN(6) {
		case 0:
			return fmt.Sprintf("%s(%s)", pick(r, "abs", "-", "sgn", "floor", "ceil", "sqrt", "deg", "rad", "round"), view(depth-1))
		case 1:
			return fmt.Sprintf(pick(r, "clamp(%s, 0, 5)", "clamp_min(%s, -0)", "clamp_max(%s, -0)", "round(%s, 0.3)", "clamp_max(%s, NaN)"), view(depth-1))
		case 2:
			return fmt.Sprintf("(%s) %s %s", view(depth-1), pick(r, "+", "-", "*", "/", ">", "<=", "!=", "< bool"), pick(r, "2", "0", "-1.5", "time()", "scalar(up)"))
		case 3:
			return fmt.Sprintf("%s %s (%s)", pick(r, "2", "0", "100"), pick(r, "-", "/", "<", ">= bool"), view(depth-1))
		}
		return fmt.Sprintf("(%s) %s (%s)", view(depth-1), pick(r, "+", "-", "*", "/", ">", "<", "== bool", "and", "or", "unless"), view(depth-1))
	}
	return view(depth)
}

func randomLeaf(r *rand.Rand) string {
	selector := pick(r, "m_total", `m_total{zone=~"a|b"}`, "up", `up{zone!="c"}`, `{__name__=~"up|down"}`, "h_bucket", "down")
	switch r.IntN(5) {
	case 0, 1:
		return selector
	case 2:
		return selector + " offset " + pick(r, "1m", "30s")
	}
	f := pick(r, "rate", "increase", "delta", "irate", "idelta", "deriv", "changes", "resets", "avg_over_time", "min_over_time",
		"max_over_time", "sum_over_time", "count_over_time", "last_over_time", "present_over_time", "stddev_over_time", "stdvar_over_time")
	return fmt.Sprintf("%s(%s[%s]%s)", f, selector, pick(r, "30s", "1m", "2m"), pick(r, "", " offset 1m"))
}

func grouping(r *rand.Rand) string {
	return pick(r, "", "by (zone) ", "by (zone, instance) ", "without (instance) ", "by (absent) ")
}

func comparison(r *rand.Rand) string {
	return pick(r, ">", "<", ">=", "<=", "==", "!=", "> bool", "< bool", "== bool")
}

func pick(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }
