package window

// SetSlack changes Options.Slack for what comes from now on. What a longer one asks for is there once the time has passed,
// or at once for selectors that are filled afterwards; floors say so.
func (s *Store) SetSlack(slack int64) { s.opts.Slack = slack }

// Now returns the latest time that the owner told of, math.MinInt64 before that. Series that went out of sight Slack
// before it may be gone.
func (s *Store) Now() int64 { return s.now }

// SetOutOfOrder changes Options.OutOfOrder for what comes from now on.
func (s *Store) SetOutOfOrder(taken bool) { s.opts.OutOfOrder = taken }
