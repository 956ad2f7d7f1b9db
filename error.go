package duly

import (
	"errors"
	"fmt"
)

// Code classes errors by what a person should do. The command line turns each into an exit status, the API into an
// HTTP status.
type Code string

// The codes. Internal is the code of every error that is not an *Error.
const (
	Usage       Code = "usage"       // the command or request is put wrongly
	Invalid     Code = "invalid"     // the input (file, mapping, strategy, pack, template) is wrong
	NotFound    Code = "not_found"   // there is no such thing
	Conflict    Code = "conflict"    // it contradicts what is already known
	Refused     Code = "refused"     // it is well put, but law, limits or state forbid it
	Unavailable Code = "unavailable" // the store or a provider does not answer; try again
	Internal    Code = "internal"    // a defect; look at the log
)

// Exit returns the command's exit status for the code: 2 usage, 3 invalid, 4 not found, 5 conflict, 6 refused,
// 7 unavailable, 1 otherwise.
func (c Code) Exit() int {
	switch c {
	case Usage:
		return 2
	case Invalid:
		return 3
	case NotFound:
		return 4
	case Conflict:
		return 5
	case Refused:
		return 6
	case Unavailable:
		return 7
	case Internal:
		return 1
	}
	return 1
}

// Error is the only error whose text a person sees. Message says what was wrong and where; Hint what to do about it.
// Neither holds personal data.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	Place   Place  `json:"place,omitzero"`
}

// Place is where in an input something is wrong. Lines and columns count from 1; 0 means the whole.
type Place struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Field  string `json:"field,omitempty"`
}

// String writes the place as file:line:column: field, leaving out what is not known.
func (p Place) String() string {
	s := p.File
	if p.Line > 0 {
		s += fmt.Sprintf(":%d", p.Line)
		if p.Column > 0 {
			s += fmt.Sprintf(":%d", p.Column)
		}
	}
	if p.Field != "" {
		if s != "" {
			s += ": "
		}
		s += p.Field
	}
	return s
}

// Errorf makes an Error without place or hint.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithHint returns a copy that tells what to do.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// At returns a copy that tells where.
func (e *Error) At(p Place) *Error {
	c := *e
	c.Place = p
	return &c
}

// Error writes place, message and hint on one line.
func (e *Error) Error() string {
	s := e.Message
	if p := e.Place.String(); p != "" {
		s = p + ": " + s
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// CodeOf returns the code of the first *Error in err's tree, or Internal.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}
