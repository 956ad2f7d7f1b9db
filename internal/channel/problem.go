package channel

import (
	"errors"

	duly "github.com/dulyhq/duly"
)

// Problems gathers all that is wrong with an adapter's configuration, so that it is reported at once.
type Problems struct {
	at   string
	errs []error
}

// ProblemsAt starts a list for the configuration at a path of keys, such as carriers.mail.smtp.
func ProblemsAt(path string) *Problems { return &Problems{at: path} }

// Add notes what is wrong with a key and what to write instead.
func (p *Problems) Add(key, message, hint string) {
	field := p.at
	if field != "" {
		field += "."
	}
	p.errs = append(p.errs, duly.Errorf(duly.Invalid, "%s", message).WithHint("%s", hint).At(duly.Place{Field: field + key}))
}

// Err returns the problems as one error, each of them a *duly.Error, or nil.
func (p *Problems) Err() error { return errors.Join(p.errs...) }
