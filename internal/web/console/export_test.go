package console

import "time"

// Permission is what a route needs, and Anybody, SeePersonal two of them.
type Permission = permission

// What tests look at.
const (
	Anybody     = anybody
	SeePersonal = seePersonal
	SessionIdle = sessionIdle
	SessionMost = sessionMost
	LockedAfter = lockedAfter
	LockedMost  = time.Duration(lockedMost)
	LinkFor     = linkFor
)

// Route is a row of the table of routes.
type Route struct {
	Pattern string
	Needs   permission
}

// Routes is the table of routes.
func Routes() (out []Route) {
	for _, r := range routes {
		out = append(out, Route{r.pattern, r.needs})
	}
	return out
}

// May is what a role may.
func (r Role) May() permission { return r.may() }

// DigestOf is what a secret is kept as.
var DigestOf = digestOf

// Plain keeps a spreadsheet from taking a text for a formula.
var Plain = plain

// Catalogues are the words by language.
func Catalogues() (map[string]map[string]string, error) {
	all, err := loadLanguages()
	out := map[string]map[string]string{}
	for tag, l := range all {
		out[tag] = l.words
	}
	return out, err
}
