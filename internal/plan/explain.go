package plan

import (
	"fmt"
	"io"
	"strings"
)

// Tree is a compiled plan for people: a node with what it works on below it.
type Tree struct {
	// ID is the node's number: nodes of equal number are one, wherever they stand.
	ID int `json:"id"`
	// Op says what the node does in PromQL's words, Detail with what: a selector, labels, modifiers.
	Op     string `json:"op"`
	Detail string `json:"detail,omitempty"`
	// Shared is how many of the plans that were looked at use the node, this one included; 0 for what costs nothing:
	// numbers and time().
	Shared int `json:"shared,omitempty"`
	// Again says that the node stands further up in the same tree, where its children are.
	Again bool `json:"again,omitempty"`
	// Within says that the node is computed in the kernel of a node above it, and has no column of its own.
	Within bool `json:"within,omitempty"`
	// Measurement is of the node at work, nil where nobody measured.
	*Measurement
	Children []*Tree `json:"children,omitempty"`
}

// Measurement is what is known of a node at work.
type Measurement struct {
	// Lanes is how many series, groups or matches the node has, Valid how many of them had a value last.
	Lanes int `json:"lanes"`
	Valid int `json:"valid"`
	// Evaluations is how often the node was computed, whole or in part; NsPerEval is the mean duration, in nanoseconds.
	Evaluations uint64  `json:"evaluations"`
	NsPerEval   float64 `json:"nsPerEval"`
	// Bytes is the memory of its columns and tables.
	Bytes int `json:"bytes"`
	// Kernel is how the node's arithmetic runs, with that of nodes below it, nil where it is none.
	Kernel *Kernel `json:"kernel,omitempty"`
}

// Kernel is arithmetic of a plan at work.
type Kernel struct {
	// ID names the kernel among those of the process, "" where it is not shared with anybody.
	ID string `json:"id,omitempty"`
	// Tier is 1 for vectorised Go, 2 for machine code; Indexed says that an index over all comparisons of the same values
	// with numbers answers in the kernel's place.
	Tier    int  `json:"tier"`
	Indexed bool `json:"indexed,omitempty"`
	// Reason says why it is not machine code: off, waiting (to be compiled), cold (it has not cost enough yet), memory
	// (there is no room), unsupported (this system cannot), failed; "" where it is, and where nothing makes machine code.
	Reason string `json:"reason,omitempty"`
	// Operations is how many instructions the kernel has.
	Operations int `json:"operations"`
	// Lanes is how many series or groups it is computed for at a tick, NsPerLane what one takes there.
	Lanes     int     `json:"lanes"`
	NsPerLane float64 `json:"nsPerLane"`
}

// words says for people how k runs.
func (k *Kernel) words() string {
	if k.Indexed {
		return "threshold index"
	}
	return strings.TrimSpace(fmt.Sprintf("kernel %s", k.ID)) +
		fmt.Sprintf(" of %d instructions on tier %d, %.2f ns a lane", k.Operations, k.Tier, k.NsPerLane)
}

// Sharing numbers the nodes of plans and counts how many plans use each. It does not change once made.
type Sharing struct {
	ids, users map[string]int // by Node.Key
}

// NewSharing looks at plans. Those on tier 0 have no nodes.
func NewSharing(plans []*Plan) *Sharing {
	s := &Sharing{ids: map[string]int{}, users: map[string]int{}}
	for _, p := range plans {
		if p.root != nil {
			s.add(p.root, map[string]bool{})
		}
	}
	return s
}

// add numbers n and what is below it from the top down; seen holds what the plan has shown already.
func (s *Sharing) add(n *Node, seen map[string]bool) {
	if seen[n.Key] {
		return
	}
	seen[n.Key] = true
	s.users[n.Key]++
	if s.ids[n.Key] == 0 {
		s.ids[n.Key] = len(s.ids) + 1
	}
	for _, in := range n.In {
		s.add(in, seen)
	}
}

// Explain returns p's tree, nil on tier 0. p is one of the plans that s looked at. measure may be nil; it returns nil
// for a node that it knows nothing of.
func (s *Sharing) Explain(p *Plan, measure func(*Node) *Measurement) *Tree {
	if p.root == nil {
		return nil
	}
	return s.tree(p.root, measure, map[string]bool{}, false)
}

// tree returns n's tree. kernel says that the node above is computed in a kernel.
func (s *Sharing) tree(n *Node, measure func(*Node) *Measurement, seen map[string]bool, kernel bool) *Tree {
	op, detail := n.words()
	t := &Tree{ID: s.ids[n.Key], Op: op, Detail: detail}
	if n.Op == Number || n.Op == Time {
		return t
	}
	t.Shared, t.Again = s.users[n.Key], seen[n.Key]
	if t.Again {
		return t
	}
	seen[n.Key] = true
	if measure != nil {
		t.Measurement = measure(n)
		t.Within = kernel && t.Measurement == nil
	}
	kernel = t.Within || t.Measurement != nil && t.Kernel != nil
	for _, in := range n.In {
		t.Children = append(t.Children, s.tree(in, measure, seen, kernel))
	}
	return t
}

// Explain returns p's tree, nil on tier 0.
func (p *Plan) Explain() *Tree { return NewSharing([]*Plan{p}).Explain(p, nil) }

// WriteText writes t with one node a line, each line after indent, children two spaces further in.
func (t *Tree) WriteText(w io.Writer, indent string) error {
	if _, err := fmt.Fprintf(w, "%s%s\n", indent, t.line()); err != nil {
		return err
	}
	for _, c := range t.Children {
		if err := c.WriteText(w, indent+"  "); err != nil {
			return err
		}
	}
	return nil
}

// String returns t as WriteText writes it.
func (t *Tree) String() string {
	var b strings.Builder
	_ = t.WriteText(&b, "") // a Builder takes everything
	return b.String()
}

func (t *Tree) line() string {
	line := t.Op
	if t.Detail != "" {
		line += " " + t.Detail
	}
	line += fmt.Sprintf("  #%d", t.ID)
	var notes []string
	if t.Shared > 1 {
		notes = append(notes, fmt.Sprintf("shared by %d", t.Shared))
	}
	if t.Again {
		notes = append(notes, "as above")
	}
	if t.Within {
		notes = append(notes, "in the kernel above")
	}
	if m := t.Measurement; m != nil {
		notes = append(notes, fmt.Sprintf("%d of %d lanes valid", m.Valid, m.Lanes))
		if m.Evaluations > 0 {
			notes = append(notes, fmt.Sprintf("%d evaluations of %.0f ns", m.Evaluations, m.NsPerEval))
		}
		notes = append(notes, fmt.Sprintf("%d bytes", m.Bytes))
		if m.Kernel != nil {
			notes = append(notes, m.Kernel.words())
		}
	}
	if len(notes) > 0 {
		line += " " + strings.Join(notes, ", ")
	}
	return line
}
