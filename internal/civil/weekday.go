package civil

import (
	"fmt"
	"slices"
	"strings"
)

// Weekdays are days of the week, Sunday first.
type Weekdays [7]bool

// EveryDay is all days of the week.
var EveryDay = Weekdays{true, true, true, true, true, true, true}

var weekdayNames = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// ParseWeekdays reads days of the week: mon, mon-fri, fri-mon, * for all of them, or several of these with commas between.
func ParseWeekdays(s string) (Weekdays, error) {
	var days Weekdays
	for part := range strings.SplitSeq(s, ",") {
		if part == "*" {
			return EveryDay, only(s)
		}
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, to := slices.Index(weekdayNames[:], first), slices.Index(weekdayNames[:], last)
		if from < 0 || to < 0 {
			return Weekdays{}, fmt.Errorf("not days of the week such as mon-fri, sat or *")
		}
		days[from] = true
		for i := from; i != to; {
			i = (i + 1) % 7
			days[i] = true
		}
	}
	return days, nil
}

// only refuses * beside other days.
func only(s string) error {
	if s != "*" {
		return fmt.Errorf("* is all days, and stands alone")
	}
	return nil
}

// String writes the days as ParseWeekdays reads them: runs of them from Monday on, such as mon-wed,sat. None are "".
func (d Weekdays) String() string {
	if d == EveryDay {
		return "*"
	}
	var parts []string
	for i := 1; i <= 7; i++ {
		if !d[i%7] {
			continue
		}
		first := i
		for i < 7 && d[(i+1)%7] {
			i++
		}
		name := weekdayNames[first%7]
		if i > first {
			name += "-" + weekdayNames[i%7]
		}
		parts = append(parts, name)
	}
	return strings.Join(parts, ",")
}

// MarshalText writes the days as String does.
func (d Weekdays) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes; nothing is no day.
func (d *Weekdays) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*d = Weekdays{}
		return nil
	}
	v, err := ParseWeekdays(string(b))
	if err != nil {
		return err
	}
	*d = v
	return nil
}
