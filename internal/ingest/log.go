package ingest

import (
	"encoding/csv"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
)

// LogLine is one line of a provider's own log or bill: what it says became of one message, and what it asks for it.
type LogLine struct {
	Line       int
	Attempt    duly.AttemptID // our reference, where the provider gives it back
	ProviderID string         // the provider's
	Status     string         // in the provider's words
	Segments   int            // 0: not said
	Micros     int64          // what it costs, in millionths of the currency's unit; below 0: not said
	At         time.Time      // zero: not said
}

// LogFormat says how a provider's log is written.
type LogFormat struct {
	Columns  map[string]string // by our name, the provider's; those left out are called as ours are
	Location *time.Location    // of times without a zone
}

// logColumns are the columns of a log that are understood. One of the first two is needed.
var logColumns = []string{"attempt", "provider_id", "status", "segments", "price", "time"}

// LogColumns lists the columns of a log that are understood.
func LogColumns() []string { return slices.Clone(logColumns) }

// LogMax bounds the lines of one log.
const LogMax = 2_000_000

// ReadLog reads a provider's log, a CSV with a head. Columns that are not asked for are passed over.
func ReadLog(r io.Reader, file string, f LogFormat) ([]LogLine, error) {
	for _, name := range slices.Sorted(maps.Keys(f.Columns)) {
		if !slices.Contains(logColumns, name) {
			return nil, duly.Errorf(duly.Usage, "there is no column %q to be named", name).WithHint("the columns are %s", strings.Join(logColumns, ", "))
		}
	}
	in := csv.NewReader(r)
	in.ReuseRecord = true
	head, err := in.Read()
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "the log is empty or not a CSV").At(duly.Place{File: file, Line: 1})
	}
	at, err := logHead(slices.Clone(head), file, f)
	if err != nil {
		return nil, err
	}
	var out []LogLine
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			line := 0
			if p, ok := errors.AsType[*csv.ParseError](err); ok {
				line = p.Line
			}
			return nil, duly.Errorf(duly.Invalid, "the row is not one of a CSV with %d columns", len(head)).At(duly.Place{File: file, Line: line})
		}
		line, _ := in.FieldPos(0)
		l, err := logLine(row, at, duly.Place{File: file, Line: line}, f.Location)
		if err != nil {
			return nil, err
		}
		if out = append(out, l); len(out) > LogMax {
			return nil, duly.Errorf(duly.Invalid, "more than %d lines", LogMax).At(duly.Place{File: file}).WithHint("cut the file, by day")
		}
	}
}

// logHead finds the columns that are understood: by our name, their place.
func logHead(head []string, file string, f LogFormat) (map[string]int, error) {
	head[0] = strings.TrimPrefix(head[0], "\ufeff")
	at := map[string]int{}
	for _, name := range logColumns {
		theirs, named := f.Columns[name]
		if !named {
			theirs = name
		}
		i := slices.IndexFunc(head, func(h string) bool { return strings.TrimSpace(h) == theirs })
		if i < 0 && named {
			return nil, duly.Errorf(duly.Invalid, "there is no column %q in the log", theirs).At(duly.Place{File: file, Line: 1}).WithHint("its head is the first line, and names are written as there")
		}
		if i >= 0 {
			at[name] = i
		}
	}
	_, byUs := at["attempt"]
	if _, byThem := at["provider_id"]; !byUs && !byThem {
		return nil, duly.Errorf(duly.Invalid, "no column says which message a line is about").At(duly.Place{File: file, Line: 1}).
			WithHint("name the provider's column: attempt=… for our reference, or provider_id=… for its own")
	}
	return at, nil
}

func logLine(row []string, at map[string]int, p duly.Place, loc *time.Location) (LogLine, error) {
	cell := func(name string) string {
		if i, ok := at[name]; ok {
			return strings.TrimSpace(row[i])
		}
		return ""
	}
	l := LogLine{Line: p.Line, Attempt: duly.AttemptID(cell("attempt")), ProviderID: cell("provider_id"), Status: cell("status"), Micros: -1}
	wrong := func(field, hint string) error {
		p.Field = field
		return duly.Errorf(duly.Invalid, "the %s is not readable", field).At(p).WithHint("%s", hint)
	}
	var ok bool
	if s := cell("segments"); s != "" {
		n, err := strconv.Atoi(s)
		if l.Segments = n; err != nil || n < 0 {
			return l, wrong("segments", "write it as 2")
		}
	}
	if s := cell("price"); s != "" {
		if l.Micros, ok = logPrice(s); !ok {
			return l, wrong("price", "write it as 0.035")
		}
	}
	if s := cell("time"); s != "" {
		if l.At, ok = logTime(s, loc); !ok {
			return l, wrong("time", "write it as 2026-03-10T09:00:00+08:00 or 2026-03-10 09:00:00")
		}
	}
	return l, nil
}

// logPrice reads a decimal, whatever its sign: some write what they ask as what is taken from an account. More than six places
// are cut.
func logPrice(s string) (int64, bool) {
	s = strings.TrimLeft(s, "+-")
	whole, part, _ := strings.Cut(s, ".")
	part = (part + "000000")[:6]
	w, err := strconv.ParseUint(whole, 10, 40)
	if err != nil || strings.Trim(s, "0123456789.") != "" {
		return 0, false
	}
	f, err := strconv.ParseUint(part, 10, 32)
	return int64(w*1_000_000 + f), err == nil
}

func logTime(s string, loc *time.Location) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006/01/02 15:04:05", time.RFC1123Z, "2006-01-02 15:04:05 -0700"} {
		if t, err := time.ParseInLocation(layout, s, loc); err == nil {
			return t.UTC(), true
		}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 1e9 && n < 1e11 {
		return time.Unix(n, 0).UTC(), true
	}
	return time.Time{}, false
}
