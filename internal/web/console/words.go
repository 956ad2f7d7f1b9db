package console

import (
	"embed"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

//go:embed words/*.yaml
var wordFiles embed.FS

// language is one in which the console speaks.
type language struct {
	tag   string
	words map[string]string
}

// languages are those of the console, the first for who asks for none of them.
var tags = []string{"zh-CN", "en"}

// loadLanguages reads the catalogues.
func loadLanguages() (map[string]*language, error) {
	out := map[string]*language{}
	for _, tag := range tags {
		src, err := wordFiles.ReadFile("words/" + tag + ".yaml")
		if err != nil {
			return nil, err
		}
		l := &language{tag: tag}
		if err := yaml.UnmarshalWithOptions(src, &l.words, yaml.Strict()); err != nil {
			return nil, fmt.Errorf("words/%s.yaml: %w", tag, err)
		}
		out[tag] = l
	}
	return out, nil
}

// t returns the words of a key, filled in; a key that has none stands out.
func (l *language) t(key string, args ...any) string {
	text, ok := l.words[key]
	if !ok {
		return "⟦" + key + "⟧"
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// or returns the words of a key of a family, or where it has none the name itself: for codes that rule packs bring.
func (l *language) or(family, name string) string {
	if text, ok := l.words[family+"."+name]; ok {
		return text
	}
	return name
}

// count writes a whole number in groups of three.
func (l *language) count(n any) string {
	var v int64
	switch n := n.(type) {
	case int:
		v = int64(n)
	case int64:
		v = n
	}
	s := strconv.FormatInt(v, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// day writes a day as people do: 11月25日 周三, Wed 25 Nov.
func (l *language) day(d civil.Date) string {
	if d.IsZero() {
		return "—"
	}
	y, m, n := d.YMD()
	week := l.words["weekday."+strconv.Itoa(int(d.Weekday()))]
	if l.tag == "zh-CN" {
		return fmt.Sprintf("%d年%d月%d日 %s", y, int(m), n, week)
	}
	return fmt.Sprintf("%s %d %s %d", week, n, m.String()[:3], y)
}

// amount writes money with its currency, the groups of its whole part apart.
func (l *language) amount(a money.Amount) string {
	whole, part, _ := strings.Cut(a.Decimal(), ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return a.String()
	}
	text := l.count(n)
	if n == 0 && strings.HasPrefix(whole, "-") {
		text = "-0"
	}
	if part != "" {
		text += "." + part
	}
	if l.tag == "zh-CN" && a.Currency == "CNY" {
		return "¥" + text
	}
	return string(a.Currency) + " " + text
}

// clock writes an instant by a clock: 11-25 09:30.
func clock(t time.Time, loc *time.Location) string {
	if t.IsZero() {
		return "—"
	}
	return t.In(loc).Format("2006-01-02 15:04")
}

// languageOf is what the browser was set to, else what it asks for.
func (c *Console) languageOf(r *http.Request) *language {
	if cookie, err := r.Cookie("duly_language"); err == nil {
		if l := c.languages[cookie.Value]; l != nil {
			return l
		}
	}
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		for _, known := range tags {
			if strings.EqualFold(tag, known) || strings.EqualFold(strings.SplitN(tag, "-", 2)[0], strings.SplitN(known, "-", 2)[0]) {
				return c.languages[known]
			}
		}
	}
	return c.languages[tags[0]]
}

// errorWords says an error in the words of the catalogue: by its code, with the message of a person's error in English beside it
// where there is no better.
func (l *language) errorWords(err error) (title, detail string) {
	code := duly.CodeOf(err)
	if code == duly.Internal {
		return l.t("error.internal"), ""
	}
	return l.t("error." + string(code)), err.Error()
}
