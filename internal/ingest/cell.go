package ingest

import (
	"fmt"
	"math/big"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// cell is the value of one field of one row, with the means to read it. Reading it wrong is noted on the table, once.
type cell struct {
	t        *table
	bound    *boundField
	text     string
	currency money.Currency // of the record
}

// fail notes what is wrong with the value.
func (c *cell) fail(reason, hint string) {
	c.t.problem(c.bound, classOf(c.text), reason, hint)
}

func (c *cell) id() string { return c.words(duly.MaxIDLen) }

// words returns text of at most limit bytes without control characters.
func (c *cell) words(limit int) string {
	s := c.text
	if c.t.binary() && c.bound.field.typ == typeID {
		s = c.wholeNumber()
	}
	if len(s) > limit {
		c.fail(fmt.Sprintf("longer than %d bytes", limit), "")
		return ""
	}
	if !plain(s) {
		c.fail("control characters", "clean the value at the source")
		return ""
	}
	return s
}

// wholeNumber returns an id that a workbook holds as a number without its ".0".
func (c *cell) wholeNumber() string {
	head, exp, ok := strings.Cut(strings.ToUpper(c.text), "E+")
	if ok && allDigits(exp) && allDigits(strings.Replace(head, ".", "", 1)) {
		c.fail("a long number that the workbook has rounded", "make the column text in the workbook and fill it again")
		return ""
	}
	if s, ok := strings.CutSuffix(c.text, ".0"); ok && allDigits(s) {
		return s
	}
	return c.text
}

// phoneMarks are what people put into phone numbers.
var phoneMarks = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", ".", "", "\u00a0", "")

// address returns the value of a contact point: of phone numbers only the digits and the plus sign in front.
func (c *cell) address(kind duly.PointKind) string {
	switch kind {
	case duly.PointMobile, duly.PointLandline, duly.PointWhatsApp:
		s := c.text
		if c.t.binary() {
			s = c.wholeNumber()
		}
		if phoneNumber(s) {
			return s
		}
		return phoneMarks.Replace(s)
	case duly.PointEmail, duly.PointWorkEmail, duly.PointApp, duly.PointWeChat, duly.PointPostal:
	}
	return c.text
}

// list returns the parts of text set apart by semicolons or bars.
func (c *cell) list() []string {
	parts := strings.FieldsFunc(c.text, func(r rune) bool { return r == ';' || r == '|' || r == '；' })
	if len(parts) > listMax {
		c.fail(fmt.Sprintf("a list of more than %d", listMax), "")
		return nil
	}
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

func (c *cell) zones() []duly.Zone {
	if !strings.ContainsAny(c.text, ";|；") {
		return []duly.Zone{{Name: c.text}}
	}
	parts := c.list()
	out := make([]duly.Zone, len(parts))
	for i, p := range parts {
		out[i].Name = p
	}
	return out
}

func (c *cell) number() int {
	s := c.text
	if c.t.binary() {
		s = strings.TrimSuffix(s, ".0")
	}
	n := number(strings.TrimPrefix(s, "-"))
	if n < 0 || len(s) > 10 {
		c.fail("not a whole number", "")
		return 0
	}
	if s[0] == '-' {
		return -n
	}
	return n
}

func (c *cell) truth() bool {
	switch strings.ToLower(c.text) {
	case "true", "yes", "y", "1", "1.0", "t", "是":
		return true
	case "false", "no", "n", "0", "0.0", "f", "否":
		return false
	}
	c.fail("neither yes nor no", "true/false, yes/no, 1/0; `map` turns other words into these")
	return false
}

// clock reads a time of day, HH:MM.
func (c *cell) clock() civil.Clock {
	v, err := civil.ParseClock(c.text)
	if err != nil {
		c.fail(err.Error(), hintClock)
	}
	return v
}

// weekdays reads days of the week as rules write them.
func (c *cell) weekdays() civil.Weekdays {
	v, err := civil.ParseWeekdays(c.text)
	if err != nil {
		c.fail(err.Error(), hintDays)
	}
	return v
}

// version reads a whole number, or a time as microseconds since 1970.
func (c *cell) version() int64 {
	if s := c.text; allDigits(s) && len(s) <= 18 && len(c.bound.src.layouts) == 0 {
		var n int64
		for i := range len(s) {
			n = n*10 + int64(s[i]-'0')
		}
		return n
	}
	t := c.time()
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func (c *cell) date() civil.Date {
	if c.bound.src.op == opDatePlusDays {
		return c.datePlusDays()
	}
	return c.dateOf(c.text)
}

func (c *cell) dateOf(s string) civil.Date {
	layouts := c.bound.src.layouts
	if len(layouts) == 0 {
		layouts = dayLayouts
	}
	d, err := first(layouts, func(l layout) (civil.Date, error) { return l.day(s, c.t.epoch(), c.t.zone()) })
	if err != nil {
		c.t.problem(c.bound, classOf(s), err.Error(), c.formatHint(err))
	}
	return d
}

func (c *cell) time() time.Time {
	layouts := c.bound.src.layouts
	if len(layouts) == 0 {
		layouts = timeLayouts
	}
	t, err := first(layouts, func(l layout) (time.Time, error) { return l.time(c.text, c.t.epoch(), c.t.zone(), c.bound.src.clock) })
	switch err {
	case nil:
	case errClock:
		c.fail(err.Error(), "give the field `clock`, the time of day that such days mean")
	default:
		c.fail(err.Error(), c.formatHint(err))
	}
	return t
}

func (c *cell) formatHint(err error) string {
	formats := c.bound.src.formats
	switch {
	case err == errYear || err == errExist:
		return "mend it at the source; if it is another way of writing, give the field its `format`"
	case len(formats) > 0:
		return "the mapping says " + strings.Join(formats, " or ")
	case c.bound.field.typ == typeVersion:
		return "a version is a whole number, or a time"
	case c.bound.field.typ == typeDate:
		return "written YYYY-MM-DD, unless the field is given a `format`"
	}
	return "written YYYY-MM-DD HH:MM:SS or as RFC 3339 has it, unless the field is given a `format`"
}

// first returns what the first layout that fits makes of a value, or the error that tells most.
func first[T any](layouts []layout, read func(layout) (T, error)) (T, error) {
	var best error
	for _, l := range layouts {
		v, err := read(l)
		if err == nil {
			return v, nil
		}
		if best == nil || best == errDay || best == errTime {
			best = err
		}
	}
	var none T
	return none, best
}

// datePlusDays adds a column of days ("14", "14 days") to a column of dates.
func (c *cell) datePlusDays() civil.Date {
	src := &c.bound.src
	from, days := c.t.get(src.cols[0], src), src.days
	if src.daysCol {
		text := c.t.get(src.cols[1], src)
		n, ok := dayCount(text)
		if !ok {
			c.t.part = 1
			c.t.problem(c.bound, classOf(text), "not a number of days", "digits, and perhaps the word days after them")
			return civil.Date{}
		}
		days = n
	}
	if from == "" {
		c.t.problem(c.bound, "empty", reasonEmpty, "")
		return civil.Date{}
	}
	d := c.dateOf(from)
	if d.IsZero() {
		return d
	}
	return d.Add(days)
}

// daysMax bounds a number of days: a hundred years.
const daysMax = 36525

// dayCount reads "14", "14.0", "14 days", "14d" or "14天".
func dayCount(s string) (int, bool) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	n := number(s[:i])
	switch strings.ToLower(strings.TrimSpace(s[i:])) {
	case "", ".0", "d", "day", "days", "天", "日":
		return n, n >= 0 && n <= daysMax
	}
	return 0, false
}

// amount reads an amount, or adds up several. What is empty adds nothing, unless all is; from nothing nothing can be
// taken away.
func (c *cell) amount() money.Amount {
	src := &c.bound.src
	if src.op != opAdd && src.op != opSubtract {
		return c.amountOf(c.text)
	}
	sum, filled := money.New(0, c.currency), 0
	for i, col := range src.cols {
		c.t.part = i
		text := c.t.get(col, src)
		if text == "" {
			continue
		}
		filled++
		a, err := c.amountOf(text), error(nil)
		if i > 0 && src.op == opSubtract {
			sum, err = sum.Sub(a)
		} else {
			sum, err = sum.Add(a)
		}
		if err != nil {
			c.t.problem(c.bound, "amount", "too large", "")
			return money.Amount{}
		}
	}
	needed := src.required || c.bound.field.must
	if filled == 0 && needed || filled < len(src.cols) && (src.required || src.op == opSubtract && filled > 0) {
		c.t.problem(c.bound, "empty", reasonEmpty, "")
	}
	return sum
}

// amountOf reads "1234.50" in the record's currency; grouping and another decimal mark as the mapping says, and the
// currency's code before or after the number if it is the same.
func (c *cell) amountOf(s string) money.Amount {
	src, none := &c.bound.src, money.New(0, c.currency)
	if !c.currency.Known() {
		return none // noted once, where the currency is read
	}
	decimals := c.currency.Decimals()
	if src.minor {
		decimals = 0
	}
	if n, ok := quickMinor(s, decimals); ok && src.decimal == '.' {
		return money.New(n, c.currency)
	}
	text, code := splitCode(s)
	if code != "" && money.Currency(code) != c.currency {
		c.t.problem(c.bound, classOf(s), "an amount of another currency than the rest of the row", "one row has one currency: map `currency` from a column, or mend the source")
		return none
	}
	text, ok := ungroup(text, src.decimal, src.grouping)
	if !ok {
		c.t.problem(c.bound, classOf(s), "not an amount", c.amountHint())
		return none
	}
	if c.t.binary() {
		if n, ok := binaryMinor(text, decimals); ok {
			return money.New(n, c.currency)
		}
	}
	return c.exact(s, text)
}

func (c *cell) exact(s, text string) money.Amount {
	none := money.New(0, c.currency)
	if c.bound.src.minor {
		neg := strings.HasPrefix(text, "-")
		n, ok := quickMinor(strings.TrimPrefix(text, "-"), 0)
		if !ok {
			c.t.problem(c.bound, classOf(s), "not a whole number of minor units", "leave out `unit: minor` if the amounts have decimals")
			return none
		}
		if neg {
			n = -n
		}
		return money.New(n, c.currency)
	}
	a, err := money.Parse(text, c.currency)
	if err != nil {
		c.t.problem(c.bound, classOf(s), err.Error(), c.amountHint())
		return none
	}
	return a
}

func (c *cell) amountHint() string {
	return "digits and one point; `decimal` and `grouping` in the mapping allow other marks"
}

// quickDigits is how many digits fit in 64 bits without a look at each step.
const quickDigits = 18

// quickMinor reads digits with at most one point as minor units; ok is false for everything else, right or wrong.
func quickMinor(s string, decimals int) (minor int64, ok bool) {
	if len(s) == 0 || len(s)+decimals > quickDigits {
		return 0, false
	}
	point := -1
	for i := range len(s) {
		switch b := s[i]; {
		case b >= '0' && b <= '9':
			if point >= 0 && i-point > decimals {
				if b != '0' {
					return 0, false
				}
				continue
			}
			minor = minor*10 + int64(b-'0')
		case b == '.' && point < 0 && i > 0 && i < len(s)-1:
			point = i
		default:
			return 0, false
		}
	}
	have := 0
	if point >= 0 {
		have = min(len(s)-1-point, decimals)
	}
	for range decimals - have {
		minor *= 10
	}
	return minor, true
}

// splitCode takes the code of a currency off the front or the back of an amount.
func splitCode(s string) (number, code string) {
	isCode := func(t string) bool {
		return len(t) == 3 && t[0] >= 'A' && t[0] <= 'Z' && t[1] >= 'A' && t[1] <= 'Z' && t[2] >= 'A' && t[2] <= 'Z'
	}
	if len(s) > 3 && isCode(s[:3]) {
		return strings.TrimSpace(s[3:]), s[:3]
	}
	if len(s) > 3 && isCode(s[len(s)-3:]) {
		return strings.TrimSpace(s[:len(s)-3]), s[len(s)-3:]
	}
	return s, ""
}

// ungroup takes grouping marks out and makes the decimal mark a point. Groups have two to four digits, so that a decimal
// comma is not taken for a mark between thousands.
func ungroup(s string, decimal, grouping byte) (string, bool) {
	whole, frac, point := strings.Cut(s, string(rune(decimal)))
	if decimal != '.' && strings.Contains(s, ".") && grouping != '.' {
		return "", false
	}
	if grouping != 0 && strings.IndexByte(whole, grouping) >= 0 {
		parts := strings.Split(whole, string(rune(grouping)))
		for i, p := range parts {
			if i > 0 && (len(p) < 2 || len(p) > 4) || strings.Trim(p, "-") == "" {
				return "", false
			}
		}
		// The last group is one of thousands; two digits there are decimals behind the wrong mark.
		if len(parts[len(parts)-1]) < 3 {
			return "", false
		}
		whole = strings.Join(parts, "")
	}
	if point {
		return whole + "." + frac, true
	}
	return whole, true
}

// binaryDigitsMax bounds the text of a number in a workbook.
const binaryDigitsMax = 40

// binaryMinor reads a workbook's number. It holds binary fractions, so 43.199999999999996 is what became of 43.20: what is
// nearer than a millionth of a minor unit to a whole one is that.
func binaryMinor(s string, decimals int) (int64, bool) {
	if len(s) > binaryDigitsMax {
		return 0, false
	}
	if _, exp, ok := strings.Cut(strings.ToUpper(s), "E"); ok && len(exp) > 3 || strings.ContainsAny(s, "/_xXbBoOpP") {
		return 0, false
	}
	v, ok := new(big.Rat).SetString(s)
	if !ok {
		return 0, false
	}
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil)
	v.Mul(v, new(big.Rat).SetInt(scale))
	near, ok := new(big.Int).SetString(v.FloatString(0), 10)
	if !ok || !near.IsInt64() {
		return 0, false
	}
	off := new(big.Rat).Sub(v, new(big.Rat).SetInt(near))
	if off.Abs(off).Cmp(big.NewRat(1, 1_000_000)) > 0 {
		return 0, false
	}
	return near.Int64(), true
}
