package message

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
)

const good = `name: note
language: en
tone: friendly
title: A note
variables: [lender, total]
sms: "{{lender}}: {{total}} is due."
`

// problems lists each problem as place and message.
func problems(err error) []string {
	var out []string
	var walk func(error)
	walk = func(err error) {
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range many.Unwrap() {
				walk(e)
			}
			return
		}
		if e, ok := errors.AsType[*duly.Error](err); ok {
			out = append(out, fmt.Sprintf("%s %s", e.Place, e.Message))
		} else if err != nil {
			out = append(out, "not for people: "+err.Error())
		}
	}
	walk(err)
	return out
}

func TestLoadProblems(t *testing.T) {
	t.Parallel()
	swap := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	for name, c := range map[string]struct {
		src  string
		want []string
	}{
		"good":               {good, nil},
		"good, from Windows": {"\ufeff" + strings.ReplaceAll(good, "\n", "\r\n"), nil},
		"undeclared":         {swap("[lender, total]", "[lender]"), []string{"f:6:19: sms variable total is not declared"}},
		"declared and not used": {
			swap("[lender, total]", "[lender, total, today]"), []string{"f:5:28: variables variable today is declared and not used"},
		},
		"declared twice": {swap("[lender, total]", "[lender, total, lender]"), []string{"f:5:28: variables variable lender is declared twice"}},
		"unknown variable": {
			swap("{{total}}", "{{totl}}"),
			[]string{`f:6:19: sms there is no variable "totl"`, "f:5:21: variables variable total is declared and not used"},
		},
		"unknown variable declared": {
			swap("[lender, total]", "[lender, total, amount]"), []string{`f:5:28: variables there is no variable "amount"`},
		},
		"unknown key": {good + "smss: x\n", []string{"f:7:1: smss unknown key"}},
		"logic": {
			swap("{{total}}", "{{if total}}x{{end}}"),
			[]string{
				"f:6:19: sms not a placeholder: {{if total}}", `f:6:32: sms there is no variable "end"`,
				"f:5:21: variables variable total is declared and not used",
			},
		},
		"space": {
			swap("{{total}}", "{{ total }}"),
			[]string{"f:6:19: sms not a placeholder: {{ total }}", "f:5:21: variables variable total is declared and not used"},
		},
		"unclosed": {swap("{{total}}", "{{total"), []string{
			"f:6:19: sms {{ is not closed", "f:5:21: variables variable total is declared and not used",
		}},
		"unopened": {swap("{{total}}", "total}}"), []string{
			"f:6:24: sms }} closes no placeholder", "f:5:21: variables variable total is declared and not used",
		}},
		"second of the same, behind Chinese": {
			swap(`"{{lender}}: {{total}} is due."`, `"款{{lender}}{{total}}款{{x}}款{{x}}"`),
			[]string{`f:6:28: sms there is no variable "x"`, `f:6:34: sms there is no variable "x"`},
		},
		"in a block": {
			swap(`"{{lender}}: {{total}} is due."`, ">-\n  {{lender}}:\n\n  to pay {{total}} {{code}}"),
			[]string{"f:9:20: sms variable code is not declared"},
		},
		"not in quotes": {swap(`"{{lender}}: {{total}} is due."`, "{{lender}} is"), []string{"f:6:7 could not find flow map content"}},
		"text is a number": {swap(`"{{lender}}: {{total}} is due."`, "5"), []string{
			"f:6:6: sms must be text", "f:5:13: variables variable lender is declared and not used", "f:5:21: variables variable total is declared and not used",
		}},
		"empty text":            {good + "im: \" \"\n", []string{"f:7:5: im is empty"}},
		"comment in text":       {good + "im: call us #1\n", []string{"f:7:5: im a comment stands behind the text"}},
		"e-mail lacks subject":  {good + "email:\n  text: hello\n", []string{"f:8:7: email must have subject and text"}},
		"e-mail is a text":      {good + "email: hello\n", []string{"f:7:8: email must be a mapping of keys to values"}},
		"e-mail has a title":    {good + "email: {subject: a, title: b, text: c}\n", []string{"f:7:21: email.title unknown key"}},
		"subject of two lines":  {good + "email:\n  subject: |\n    a\n    b\n  text: c\n", []string{"f:8:12: email.subject must be one line"}},
		"sms of two lines":      {swap(`"{{lender}}: {{total}} is due."`, "|\n  {{lender}}\n  {{total}}"), []string{"f:6:6: sms must be one line"}},
		"placeholder in title":  {swap("A note", `"{{total}}"`), []string{"f:4:8: title must be one line of at most 120 characters without placeholders"}},
		"unknown tone":          {swap("friendly", "harsh"), []string{"f:3:7: tone unknown tone"}},
		"unknown language":      {swap("language: en", "language: fr"), []string{"f:2:11: language Duly cannot write money and dates in this language"}},
		"bad name":              {swap("name: note", "name: A Note"), []string{"f:1:7: name must have 1 to 64 of them"}},
		"nothing said":          {"{}\n", []string{"f: name is missing", "f: language is missing", "f: tone is missing", "f: title is missing", "f the template has no words"}},
		"empty file":            {"", []string{"f the file must hold one YAML document"}},
		"two documents":         {good + "---\n" + good, []string{"f the file must hold one YAML document"}},
		"a list":                {"- a\n", []string{"f:1:1 must be a mapping of keys to values"}},
		"key twice":             {good + "tone: plain\n", []string{`f:7:1 mapping key "tone" already defined at [3:1]`}},
		"no segments":           {good + "max_segments: 0\n", []string{"f:7:15: max_segments must be a whole number from 1 to 10"}},
		"segments in words":     {good + "max_segments: two\n", []string{"f:7:15: max_segments must be a whole number from 1 to 10"}},
		"variables are a text":  {swap("[lender, total]", "lender"), []string{"f:5:12: variables must be a list of variables", "f:6:7: sms variable lender is not declared", "f:6:19: sms variable total is not declared"}},
		"too deep":              {"a: " + strings.Repeat("[", 60000), []string{"f:1:12 nested more than 8 deep"}},
		"not UTF-8":             {good + "im: \xff\n", []string{"f:7 the line is not UTF-8"}},
		"unseen":                {good + "im: a\u202eb\n", []string{"f:7:6 there is a character that cannot be seen, U+202E"}},
		"control":               {good + "im: a\x07b\n", []string{"f:7:6 there is a character that cannot be seen, U+0007"}},
		"too large":             {strings.Repeat("#", MaxFileBytes+1), []string{"f the file is larger than 64 KiB"}},
		"amount on a push":      {good + "push: {title: hello, text: \"you have {{total}} to see\"}\n", []string{"f:7:38: push.text push must not hold total: a locked screen shows it to anybody"}},
		"debt on a push":        {good + "push: {title: Overdue, text: open the app}\n", []string{`f:7:15: push.title push must not hold the word "Overdue": a locked screen shows it to anybody`}},
		"debt in a call":        {good + "call: Hello. About your loan.\n", []string{`f:7:25: call call must not hold the word "loan": a call may be answered by anybody`}},
		"due day in a call":     {swap("[lender, total]", "[lender, total, due_date]") + "call: by {{due_date}}\n", []string{"f:7:10: call call must not hold due_date: a call may be answered by anybody"}},
		"owe is not in however": {good + "call: However you like.\n", nil},
		"sms too long": {
			swap("is due.", strings.Repeat("款", 160)+"."),
			[]string{"f:6:6: sms with the longest likely values: template note (en, sms): the text takes 4 SMS segments in UCS2, more than 3"},
		},
		"sms longer, and allowed": {swap("is due.", strings.Repeat("款", 160)+".") + "max_segments: 4\n", nil},
		"push too long": {
			good + "push: {title: a, text: " + strings.Repeat("b", 201) + "}\n",
			[]string{"f:7:24: push.text with the longest likely values: template note (en, push): the text is longer than 200 characters"},
		},
		"never both": {
			swap("[lender, total]", "[lender, total, days_to_due, days_past_due]") + "im: \"{{days_to_due}} {{days_past_due}}\"\n",
			[]string{"f:7:5: im days_to_due and days_past_due never both have a value"},
		},
		"signature": {
			swap("language: en", "language: zh-CN"), []string{"f:6:6: sms an SMS in zh-CN must open with the lender's signature"},
		},
		"signed": {
			strings.NewReplacer("language: en", "language: zh-CN", "{{lender}}:", "【{{lender}}】").Replace(good), nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load("f", []byte(c.src))
			if diff := cmp.Diff(c.want, problems(err)); diff != "" {
				t.Errorf("problems differ (-want +got):\n%s", diff)
			}
			if err != nil && duly.CodeOf(err) != duly.Invalid {
				t.Errorf("got code %s, want invalid", duly.CodeOf(err))
			}
		})
	}
}

// Every problem tells what to do about it.
func TestLoadHints(t *testing.T) {
	t.Parallel()
	_, err := load("f", []byte("name: A\nlanguage: xx\ntone: x\nvariables: [x, lender]\nsms: \"{{y}} {{a b}}\"\nmax_segments: 99\nz: 1\n"))
	var many interface{ Unwrap() []error }
	if !errors.As(err, &many) || len(many.Unwrap()) < 8 {
		t.Fatalf("got %v, want every problem at once", err)
	}
	for _, p := range many.Unwrap() {
		if e, ok := errors.AsType[*duly.Error](p); !ok || e.Hint == "" || e.Place.File != "f" {
			t.Errorf("%v has no remedy or no file", p)
		}
	}
}

func TestLoadFS(t *testing.T) {
	t.Parallel()
	in := func(language, name string) *fstest.MapFile {
		s := strings.NewReplacer("language: en", "language: "+language, "name: note", "name: "+name).Replace(good)
		if language == "zh-CN" {
			s = strings.Replace(s, "{{lender}}:", "【{{lender}}】", 1)
		}
		return &fstest.MapFile{Data: []byte(s)}
	}
	for name, c := range map[string]struct {
		fs   fstest.MapFS
		want []string
	}{
		"good":           {fstest.MapFS{"en/note.yaml": in("en", "note"), "zh-CN/note.yaml": in("zh-CN", "note"), "README.md": in("en", "x"), "en/x.txt": in("en", "x")}, nil},
		"nothing":        {fstest.MapFS{"README.md": in("en", "x")}, []string{" there are no templates"}},
		"wrong name":     {fstest.MapFS{"en/other.yaml": in("en", "note")}, []string{"en/other.yaml: name the name must be that of the file, other"}},
		"wrong folder":   {fstest.MapFS{"zh-CN/note.yaml": in("en", "note")}, []string{"zh-CN/note.yaml: language the language must be that of the folder, zh-CN"}},
		"wrong suffix":   {fstest.MapFS{"en/note.yaml": in("en", "note"), "en/b.yml": in("en", "b")}, []string{"en/b.yml the name of a template's file must end in .yaml"}},
		"two files, two": {fstest.MapFS{"en/a.yaml": in("en", "b"), "en/c.yaml": in("en", "d")}, []string{"en/a.yaml: name the name must be that of the file, a", "en/c.yaml: name the name must be that of the file, c"}},
		"too large":      {fstest.MapFS{"en/a.yaml": &fstest.MapFile{Data: make([]byte, MaxFileBytes+1)}}, []string{"en/a.yaml the file is larger than 64 KiB"}},
	} {
		_, err := LoadFS(c.fs)
		if diff := cmp.Diff(c.want, problems(err)); diff != "" {
			t.Errorf("%s: problems differ (-want +got):\n%s", name, diff)
		}
	}
	many := fstest.MapFS{}
	for i := range MaxTemplates + 1 {
		many[fmt.Sprintf("en/t%d.yaml", i)] = in("en", "x")
	}
	if _, err := LoadFS(many); duly.CodeOf(err) != duly.Invalid {
		t.Errorf("too many files: got %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(good + "email: {subject: a, text: b}\npush:\n  title: t\n  text: |\n    x\n"))
	f.Add([]byte("variables: [{{x}}]\nsms: >-\n  {{\n"))
	f.Add([]byte("a: &a {b: *a}\n<<: *a\n"))
	f.Add([]byte("sms: \"\\u007b{lender}}\"\nname: ''\n? x\n: y\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		tp, err := load("f", src)
		if err == nil {
			checkLoaded(t, tp)
			return
		}
		for _, p := range problems(err) {
			if strings.HasPrefix(p, "not for people") {
				t.Error(p)
			}
		}
	})
}

// checkLoaded renders what was loaded with likely values: loading has promised that they fit.
func checkLoaded(t *testing.T, tp *template) {
	t.Helper()
	for f, words := range tp.texts {
		if words == nil {
			continue
		}
		v, ok := longest(tp, words)
		if !ok {
			t.Fatal("a template that can never be filled was loaded")
		}
		w, err := tp.render(form(f), v)
		if err != nil {
			t.Fatalf("loaded, and cannot be filled: %v", err)
		}
		if strings.Contains(w.Text, "{{") || strings.Contains(w.Subject, "{{") {
			t.Errorf("a placeholder is left: %q", w.Text)
		}
	}
}
