// Package strategy holds what a lender wants to say to borrowers, and when: steps around the due day, each with its hours,
// its condition, its ladder of channels and its tone. It is read from YAML, checked whole before it is used, and known by
// the hash of its text. It keeps one rule of its own: nobody hears a firm word before an instalment is past due.
//
//	name: plain
//	title: {zh: 简单提醒, en: Plain reminders}
//	steps:
//	  - id: d-3
//	    at: due-3d
//	    window: {from: "09:00", to: "20:00"}
//	    when: tier != "A" && !debit_in_flight
//	    channels: [{channel: push}, {channel: sms, after: 4h}]
//	    tone: friendly
//	    template: due-soon
//	    late_template: late-due-soon
//	    catch_up: send_late
//	    within: 2d
//
// # Days and hours
//
// Days are those of the lender's calendar, hours are the borrower's: due-3d is three days before the due day as the lender
// counts, and 09:00 is nine o'clock where the borrower lives. On a day off, on_holiday says whether a step stays (same),
// moves to the working day before or after (earlier, later) or falls out (skip). A step never moves over the due day: its
// words would be wrong.
//
// # Ladders
//
// The first rung whose channel the borrower can be reached on starts. The next one runs when it failed, or when it was not
// delivered (unless: delivered, the default) or not read (unless: read) within the time that after gives. A rule that holds
// a contact back never leads to the next rung.
//
// # Conditions
//
// A condition is a CEL expression over the variables that [Variables] lists. It is compiled once, must be of type bool, and
// what it can cost at worst is known before it ever runs.
package strategy
