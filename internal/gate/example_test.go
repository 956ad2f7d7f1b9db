package gate_test

import (
	"fmt"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/gate"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/rulepacks"
)

// A collection message at half past ten in the evening waits for the morning.
func ExampleCheck() {
	packs, err := rule.LoadFS(rulepacks.FS)
	if err != nil {
		fmt.Println(err)
		return
	}
	set, err := rule.NewSet(packs)
	if err != nil {
		fmt.Println(err)
		return
	}
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2026, 3, 10, 22, 30, 0, 0, shanghai)
	d := gate.Check(&rule.Facts{
		Phase: rule.PhaseSend, Now: now, DaysPastDue: 3, AmountDue: 10000, Text: "【某某消金】您的贷款已逾期，请及时还款。",
		Person:  &duly.Person{Borrower: duly.Borrower{ID: "D1", Country: "CN", Zones: []duly.Zone{{Name: "Asia/Shanghai"}}}},
		Contact: &duly.Contact{Channel: duly.ChannelSMS, Purpose: duly.PurposeCollection, PointID: "A1"},
		FeedAt:  now, FeedMaxAge: 15 * time.Minute, ClockOK: true,
	}, set)
	fmt.Println(d.Verdict, d.NotBefore.In(shanghai).Format(time.DateTime))
	for _, r := range d.Reasons {
		fmt.Println(r.Rule, r.Code, "|", r.Facts, "|", r.Source)
	}
	// Output:
	// defer 2026-03-11 08:00:00
	// CN-01 outside_contact_hours | 22:30 Asia/Shanghai; open 08:00–22:00 | GB/T 45251-2025 (collection time); CBA Guideline 2026-01-30
}
