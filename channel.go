package duly

// Channel is a way to reach a borrower. The names are those that rule packs use.
type Channel string

// The channels.
const (
	ChannelSMS         Channel = "sms"
	ChannelEmail       Channel = "email"
	ChannelPush        Channel = "push"
	ChannelIM          Channel = "im" // WeChat, WhatsApp
	ChannelInApp       Channel = "in_app"
	ChannelPrerecorded Channel = "call_prerecorded" // a recorded or synthetic notice
	ChannelRobot       Channel = "call_ai"          // the voice robot
	ChannelAgent       Channel = "call_agent"       // a person calls
	ChannelLetter      Channel = "letter"
)

// channelPoints is the one table of channels: which kinds of contact point each can use, best first.
var channelPoints = map[Channel][]PointKind{
	ChannelSMS:         {PointMobile},
	ChannelEmail:       {PointEmail, PointWorkEmail},
	ChannelPush:        {PointApp},
	ChannelIM:          {PointWeChat, PointWhatsApp},
	ChannelInApp:       {PointApp},
	ChannelPrerecorded: {PointMobile, PointLandline},
	ChannelRobot:       {PointMobile, PointLandline},
	ChannelAgent:       {PointMobile, PointLandline},
	ChannelLetter:      {PointPostal},
}

// Known reports whether c is one of the channels above.
func (c Channel) Known() bool { _, ok := channelPoints[c]; return ok }

// Points returns the kinds of contact point that c can use, best first.
func (c Channel) Points() []PointKind { return channelPoints[c] }

// Call reports whether c is a voice call.
func (c Channel) Call() bool {
	return c == ChannelPrerecorded || c == ChannelRobot || c == ChannelAgent
}

// Purpose is what a contact is for. Law treats a reminder before the due day and collection after it as different acts.
type Purpose string

// The purposes. The first three follow from the dates; the others are said by whoever asks for the contact.
const (
	PurposePreDue           Purpose = "pre_due_reminder"
	PurposeDueDay           Purpose = "due_day_reminder"
	PurposeCollection       Purpose = "collection"
	PurposeMarketing        Purpose = "marketing"
	PurposeLocation         Purpose = "location_inquiry"
	PurposeCreditReport     Purpose = "credit_report"
	PurposeConsentRequest   Purpose = "consent_request"
	PurposeOptOutConfirm    Purpose = "optout_confirmation"
	PurposeEnforcement      Purpose = "enforcement_notice"
	PurposeHardshipDecision Purpose = "hardship_decision"
	PurposeMandatory        Purpose = "mandatory_notice"
)

// PurposeAt returns the purpose of a repayment message sent the given number of days after the due day (negative:
// before it).
func PurposeAt(daysPastDue int) Purpose {
	switch {
	case daysPastDue < 0:
		return PurposePreDue
	case daysPastDue == 0:
		return PurposeDueDay
	}
	return PurposeCollection
}

// Tone is how firm the words are.
type Tone string

// The tones, in order. Firm is never used before an instalment is past due.
const (
	ToneFriendly Tone = "friendly"
	TonePlain    Tone = "plain"
	ToneFirm     Tone = "firm"
)

// Rank orders tones: friendly 1, plain 2, firm 3; 0 for anything else.
func (t Tone) Rank() int {
	switch t {
	case ToneFriendly:
		return 1
	case TonePlain:
		return 2
	case ToneFirm:
		return 3
	}
	return 0
}
