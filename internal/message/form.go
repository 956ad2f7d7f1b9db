package message

import (
	"regexp"
	"strings"

	"github.com/dulyhq/duly"
)

// form is a shape of words. Channels that are spoken share one.
type form int

// The forms, in the order in which templates list them.
const (
	formSMS form = iota
	formEmail
	formPush
	formCall
	formIM
	formInApp
	formLetter
	formCount
)

// MaxSegments is how many SMS segments a template may allow itself; without max_segments it has DefaultSegments.
const (
	MaxSegments     = 10
	DefaultSegments = 3
)

// exposure is how much of a person's affairs words give away to whoever hears or sees them.
type exposure int

// The exposures, each with those before it.
const (
	exposeNothing exposure = iota // who writes, and how to reach them
	exposeDate                    // that something is due, and when
	exposeDebt                    // what it is, and how much
)

// shape is what words of a form must be like.
type shape struct {
	key      string         // of the template file
	heading  string         // the key of the heading where the form has one of its own; otherwise it is the title
	titled   bool           // the template's title is the heading
	oneLine  bool           // neither text nor values may break the line
	runesMax int            // of the text; an SMS is bounded by its segments
	shows    exposure       // the most it may give away
	banned   *regexp.Regexp // words that it must not hold
	shared   bool           // the template's common text serves where it has none of its own
}

// headingMax bounds the characters of a subject, a title and a heading.
const headingMax = 120

// forms is the one table of forms. A push lights up a locked screen that others may see. A call may be answered by
// anybody, so its opening words say nothing of a debt: the rest follows once the borrower is known to be the borrower.
var forms = [formCount]shape{
	formSMS:    {key: "sms", oneLine: true, shows: exposeDebt},
	formEmail:  {key: "email", heading: "subject", runesMax: 20_000, shows: exposeDebt},
	formPush:   {key: "push", heading: "title", oneLine: true, runesMax: 200, shows: exposeDate, banned: debtWords},
	formCall:   {key: "call", runesMax: 600, shows: exposeNothing, banned: loanWords},
	formIM:     {key: "im", runesMax: 1000, shows: exposeDebt, shared: true},
	formInApp:  {key: "in_app", titled: true, runesMax: 2000, shows: exposeDebt, shared: true},
	formLetter: {key: "letter", titled: true, runesMax: 10_000, shows: exposeDebt, shared: true},
}

var (
	debtWords = regexp.MustCompile(`欠款|欠费|逾期|债|催收|催款|(?i:\b(debts?|overdue|arrears|owe[ds]?|owing|past due|delinquen\w+|collections?)\b)`)
	loanWords = regexp.MustCompile(debtWords.String() +
		`|还款|贷款|借款|扣款|分期|利息|罚息|(?i:\b(loans?|repay\w*|instal\w*|borrow\w*|payments?|amounts?|due|interest)\b)`)
)

// formOf returns the form that a channel takes its words in.
func formOf(ch duly.Channel) (form, bool) {
	switch ch {
	case duly.ChannelSMS:
		return formSMS, true
	case duly.ChannelEmail:
		return formEmail, true
	case duly.ChannelPush:
		return formPush, true
	case duly.ChannelPrerecorded, duly.ChannelRobot, duly.ChannelAgent:
		return formCall, true
	case duly.ChannelIM:
		return formIM, true
	case duly.ChannelInApp:
		return formInApp, true
	case duly.ChannelLetter:
		return formLetter, true
	}
	return 0, false
}

// Secrets returns what words with placeholders give away of a debt, for those who may be overheard: variables, as {{name}}, and words.
func Secrets(words string) []string {
	var out []string
	for i := range variables {
		name := "{{" + variables[i].Name + "}}"
		if variables[i].shows > exposeNothing && strings.Contains(words, name) {
			out = append(out, name)
		}
		words = strings.ReplaceAll(words, name, " ")
	}
	return append(out, loanWords.FindAllString(words, -1)...)
}
