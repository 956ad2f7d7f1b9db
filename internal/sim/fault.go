package sim

import (
	"slices"
	"strings"

	duly "github.com/dulyhq/duly"
)

// Faults is the kinds of trouble that a world has.
type Faults uint32

// The kinds of trouble. Each draws from numbers of its own, so leaving one out leaves the others much as they were.
const (
	FaultPayments Faults = 1 << iota // partial, reversed, twice, late to arrive, without their loan
	FaultRefusals                    // refusals, holds, hours asked for, agents' calls, moved due days
	FaultCarrier                     // answers that are lost, refused, throttled
	FaultReceipts                    // early, late, twice, out of order, contradictory, of unknown attempts
	FaultInFlight                    // between a claim and its POST: payments, refusals, holds, debits, pauses
	FaultCrash                       // a process dies between two steps, in a transaction, in a POST
	FaultNodes                       // two processes with leases, their clocks apart; one is paused, one frozen
	FaultClock                       // a clock jumps
	FaultOutage                      // nothing runs for an hour to ten days
	FaultPublish                     // another strategy and rule pack, at midday
	FaultImport                      // the book again, in pieces and in another order
	FaultZones                       // borrowers in other zones, some with two
	FaultCalendar                    // the run goes beyond the known holidays
	FaultFeed                        // the bank says nothing for hours
	faultEnd
)

// AllFaults is every kind.
const AllFaults = faultEnd - 1

var faultNames = []string{"payments", "refusals", "carrier", "receipts", "in-flight", "crash", "nodes", "clock", "outage", "publish", "import", "zones", "calendar", "feed"}

// FaultNames lists the kinds by name.
func FaultNames() []string { return slices.Clone(faultNames) }

// ParseFaults reads kinds, with commas between them; "all" and "none" are words too.
func ParseFaults(text string) (Faults, error) {
	switch text {
	case "all", "":
		return AllFaults, nil
	case "none":
		return 0, nil
	}
	var f Faults
	for _, name := range strings.Split(text, ",") {
		i := slices.Index(faultNames, strings.TrimSpace(name))
		if i < 0 {
			return 0, duly.Errorf(duly.Usage, "no kind of trouble has the name %q", name).WithHint("they are %s; or all, none", strings.Join(faultNames, ", "))
		}
		f |= 1 << i
	}
	return f, nil
}

// String lists the kinds.
func (f Faults) String() string {
	switch f & AllFaults {
	case 0:
		return "none"
	case AllFaults:
		return "all"
	}
	var out []string
	for i, name := range faultNames {
		if f&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return strings.Join(out, ",")
}

func (f Faults) has(k Faults) bool { return f&k != 0 }
