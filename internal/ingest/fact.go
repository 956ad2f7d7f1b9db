package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// ParseFact reads one fact as JSON, in the field names of package duly. A kind of "" is read from the key "kind"; given,
// that key may be missing. The nouns that have a kind of their own carry it in point_kind, hold_kind and case_kind. Unknown
// keys are refused. An error of the fact is a [*duly.Error] at place; if there are several, the first that was found.
func ParseFact(raw []byte, kind duly.FactKind, place duly.Place) (duly.Fact, error) {
	f, found := (&checker{}).parse(raw, kind)
	if len(found) == 0 {
		return f, nil
	}
	x := found[0]
	place.Field = x.field
	return nil, &duly.Error{Code: duly.Invalid, Message: x.reason + " (" + x.class + ")", Hint: x.hint, Place: place}
}

// parse reads a fact, or says what is wrong with it. What is found is good until the next call.
func (k *checker) parse(raw []byte, kind duly.FactKind) (duly.Fact, []finding) {
	k.found = k.found[:0]
	if kind == "" {
		var head struct {
			Kind duly.FactKind `json:"kind"`
		}
		if err := json.Unmarshal(raw, &head); err != nil {
			k.add("kind", "text", "not one JSON object with the kind of a fact", `{"kind": "payment", …}`)
			return nil, k.found
		}
		kind = head.Kind
	}
	if findNoun(kind) == nil {
		k.add("kind", classOf(string(kind)), "not a kind of fact", kindNames())
		return nil, k.found
	}
	f, said, err := decodeFact(raw, kind)
	switch {
	case err != nil:
		k.undecodable(raw, kind)
	case said != "" && said != kind:
		k.add("kind", classOf(string(said)), "another kind than is wanted here", string(kind))
	default:
		tidy(f)
		k.check(f)
	}
	if len(k.found) > 0 {
		return nil, k.found
	}
	return f, nil
}

func kindNames() string {
	var out []string
	for _, k := range duly.FactKinds() {
		out = append(out, string(k))
	}
	return strings.Join(out, ", ")
}

// decodeFact decodes a fact of a kind, and returns the kind that it says it is.
func decodeFact(raw []byte, kind duly.FactKind) (f duly.Fact, said duly.FactKind, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	switch kind {
	case duly.FactBorrower:
		v := struct {
			Said duly.FactKind `json:"kind"`
			duly.Borrower
		}{}
		err = dec.Decode(&v)
		f, said = &v.Borrower, v.Said
	case duly.FactPoint:
		v := struct {
			Said      duly.FactKind  `json:"kind"`
			PointKind duly.PointKind `json:"point_kind"`
			duly.ContactPoint
		}{ContactPoint: duly.ContactPoint{State: duly.PointActive}}
		err = dec.Decode(&v)
		v.ContactPoint.Kind = v.PointKind
		f, said = &v.ContactPoint, v.Said
	case duly.FactLoan:
		v := struct {
			Said duly.FactKind `json:"kind"`
			duly.Loan
		}{}
		err = dec.Decode(&v)
		f, said = &v.Loan, v.Said
	case duly.FactInstallment:
		v := struct {
			Said duly.FactKind `json:"kind"`
			duly.Installment
		}{}
		err = dec.Decode(&v)
		f, said = &v.Installment, v.Said
	case duly.FactPayment:
		v := struct {
			Said duly.FactKind `json:"kind"`
			duly.Payment
		}{}
		err = dec.Decode(&v)
		f, said = &v.Payment, v.Said
	case duly.FactDebit:
		v := struct {
			Said duly.FactKind `json:"kind"`
			duly.Debit
		}{}
		err = dec.Decode(&v)
		f, said = &v.Debit, v.Said
	case duly.FactConsent:
		v := struct {
			Said duly.FactKind `json:"kind"`
			duly.Consent
		}{}
		err = dec.Decode(&v)
		f, said = &v.Consent, v.Said
	case duly.FactOptOut:
		v := struct {
			Said duly.FactKind `json:"kind"`
			duly.OptOut
		}{}
		err = dec.Decode(&v)
		f, said = &v.OptOut, v.Said
	case duly.FactHold:
		v := struct {
			Said     duly.FactKind `json:"kind"`
			HoldKind string        `json:"hold_kind"`
			duly.Hold
		}{Hold: duly.Hold{Scope: duly.HoldPerson}}
		err = dec.Decode(&v)
		v.Hold.Kind = v.HoldKind
		f, said = &v.Hold, v.Said
	case duly.FactTouch:
		v := struct {
			Said duly.FactKind `json:"kind"`
			duly.Touch
		}{}
		err = dec.Decode(&v)
		f, said = &v.Touch, v.Said
	case duly.FactCase:
		v := struct {
			Said     duly.FactKind `json:"kind"`
			CaseKind duly.CaseKind `json:"case_kind"`
			duly.Case
		}{Case: duly.Case{State: duly.CaseOpen}}
		err = dec.Decode(&v)
		v.Case.Kind = v.CaseKind
		f, said = &v.Case, v.Said
	case duly.FactReply:
		v := struct {
			Said    duly.FactKind `json:"kind"`
			Meaning *struct{}     `json:"meaning,omitempty"` // worked out, never told
			duly.Reply
		}{}
		err = dec.Decode(&v)
		if err == nil && v.Meaning != nil {
			err = errors.New("meaning is worked out")
		}
		f, said = &v.Reply, v.Said
	}
	if err == nil && trailing(dec) {
		err = errors.New("text after the object")
	}
	return f, said, err
}

// undecodable finds the keys of a fact that cannot be read, one by one: the decoder's own errors carry values.
func (k *checker) undecodable(raw []byte, kind duly.FactKind) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		k.add("", "text", "not one JSON object", "")
		return
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		name, err := json.Marshal(key)
		if err != nil {
			continue
		}
		alone := slices.Concat([]byte{'{'}, name, []byte{':'}, keys[key], []byte{'}'})
		if _, _, err := decodeFact(alone, kind); err != nil {
			k.badKey(key, keys[key], err)
		}
	}
	if len(k.found) == 0 {
		k.add("", "text", "not one JSON object of a fact", "")
	}
}

func (k *checker) badKey(key string, raw json.RawMessage, err error) {
	if typ, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if _, inner, nested := strings.Cut(typ.Field, "."); nested {
			key = inner // the decoder puts the name of the Go type in front
		}
		sort, _, _ := strings.Cut(typ.Value, " ")
		k.add(key, sort, "another sort of value is wanted", "write "+wanted(typ.Type))
		return
	}
	if _, ok := errors.AsType[*time.ParseError](err); ok {
		k.add(key, "text", "not a time", "write date, time and zone as RFC 3339 does: 2026-11-23T06:00:00+08:00")
		return
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		if _, dayErr := civil.Parse(text); dayErr != nil && dayErr.Error() == err.Error() {
			k.add(key, classOf(text), err.Error(), "")
			return
		}
	}
	if strings.Contains(err.Error(), "unknown field") {
		if !plain(key) || len(key) > nameMax {
			key = ""
		}
		k.add(key, "key", "no such field", "the keys are those of docs/mapping.md, native JSON lines")
		return
	}
	k.add(key, "text", "cannot be read", "")
}

// wanted says what a field of a Go type takes.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Slice:
		return "a list"
	case reflect.Struct:
		return "an object"
	default:
		return fmt.Sprintf("a %s", t.Kind())
	}
}

// tidy brings a decoded fact into the form in which a mapping would have made it, so that the same fact has the same
// content wherever it comes from: times in UTC to the microsecond, and parts that are nothing in the currency of the rest.
func tidy(f duly.Fact) {
	switch f := f.(type) {
	case *duly.Borrower:
		for i := range f.Zones {
			utc(&f.Zones[i].ObservedAt)
		}
	case *duly.ContactPoint:
		utc(&f.VerifiedAt, &f.ObservedAt)
	case *duly.Loan:
		if f.Principal.IsZero() && f.Principal.Currency == "" {
			f.Principal.Currency = f.Currency
		}
	case *duly.Installment:
		if f.Interest.IsZero() && f.Interest.Currency == "" {
			f.Interest.Currency = f.Principal.Currency
		}
		if f.Fee.IsZero() && f.Fee.Currency == "" {
			f.Fee.Currency = f.Principal.Currency
		}
	case *duly.Payment:
		utc(&f.ValueAt, &f.ArrivedAt)
		if f.ArrivedAt.IsZero() {
			f.ArrivedAt = f.ValueAt
		}
	case *duly.Debit:
		utc(&f.At)
	case *duly.Consent:
		utc(&f.GivenAt, &f.Until, &f.WithdrawnAt)
	case *duly.OptOut:
		utc(&f.At, &f.RevokedAt)
	case *duly.Hold:
		utc(&f.From, &f.Until, &f.ReleasedAt)
	case *duly.Touch:
		utc(&f.At)
	case *duly.Case:
		utc(&f.OpenedAt, &f.DoneAt)
	case *duly.Reply:
		utc(&f.At)
	}
}

func utc(times ...*time.Time) {
	for _, t := range times {
		if !t.IsZero() {
			*t = t.UTC().Truncate(time.Microsecond)
		}
	}
}
