package exec

import (
	"math/bits"
	"time"
)

// datePart is what is asked of a date; 0 is none.
type datePart uint8

const (
	_ datePart = iota
	daysInMonth
	dayOfMonth
	dayOfWeek
	dayOfYear
	hourOfDay
	minuteOfHour
	monthOfYear
	yearOf
)

func datePartOf(name string) datePart {
	switch name {
	case "days_in_month":
		return daysInMonth
	case "day_of_month":
		return dayOfMonth
	case "day_of_week":
		return dayOfWeek
	case "day_of_year":
		return dayOfYear
	case "hour":
		return hourOfDay
	case "minute":
		return minuteOfHour
	case "month":
		return monthOfYear
	case "year":
		return yearOf
	}
	return 0
}

// date takes values as Unix seconds, cut to whole ones, and says what stands in the calendar in UTC.
func date(dst, v *lanes64, ok uint64, p *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = float64(p.date.of(time.Unix(int64(v[i]), 0).UTC()))
	}
}

func (p datePart) of(t time.Time) int {
	switch p {
	case daysInMonth:
		// Day 32 of a month is one of the next month, by as much as the month is short of 32 days.
		return 32 - time.Date(t.Year(), t.Month(), 32, 0, 0, 0, 0, time.UTC).Day()
	case dayOfMonth:
		return t.Day()
	case dayOfWeek:
		return int(t.Weekday())
	case dayOfYear:
		return t.YearDay()
	case hourOfDay:
		return t.Hour()
	case minuteOfHour:
		return t.Minute()
	case monthOfYear:
		return int(t.Month())
	case yearOf:
		return t.Year()
	}
	panic("BUG: no part of a date")
}
