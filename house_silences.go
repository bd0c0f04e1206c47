package tocsin

import (
	"context"
	"fmt"
	"strconv"

	"github.com/tocsin/tocsin/internal/notify"
	"github.com/tocsin/tocsin/internal/web"
)

func (h *house) recurringSilences() ([]web.RecurringSilence, error) {
	all := h.notifier.Recurring()
	out := make([]web.RecurringSilence, 0, len(all))
	for _, r := range all {
		out = append(out, recurringSilence(r))
	}
	return out, nil
}

// recurringSilence shows r, which was made by addRecurringSilence and has one window.
func recurringSilence(r notify.Recurring) web.RecurringSilence {
	out := web.RecurringSilence{
		ID: strconv.FormatUint(r.ID, 10), Matchers: r.Matchers, TimeZone: r.Zone, CreatedBy: r.CreatedBy, Comment: r.Comment, Until: r.Until,
	}
	if len(r.Windows) > 0 {
		w := r.Windows[0]
		out.Days, out.From, out.To = w.Days, w.Start, w.End
	}
	return out
}

func (h *house) addRecurringSilence(s web.RecurringSilence) (web.RecurringSilence, error) {
	r, err := h.notifier.AddRecurring(notify.Recurring{
		Matchers: s.Matchers, Windows: []notify.Window{{Days: s.Days, Start: s.From, End: s.To}}, Zone: s.TimeZone,
		CreatedBy: s.CreatedBy, Comment: s.Comment, Until: s.Until,
	})
	if err != nil {
		return s, err
	}
	return recurringSilence(r), nil
}

func (h *house) removeRecurringSilence(id string) error {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return fmt.Errorf("recurring silence %q: %w", id, web.ErrNotFound)
	}
	return h.notifier.DeleteRecurring(context.Background(), n)
}
