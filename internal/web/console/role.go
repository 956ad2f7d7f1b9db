package console

// Role is what somebody does at the lender's. What a role may is in one table.
type Role string

// The roles.
const (
	Operator   Role = "operator"   // runs the day
	Agent      Role = "agent"      // talks to borrowers
	Supervisor Role = "supervisor" // of agents
	Compliance Role = "compliance" // answers for the law
	Risk       Role = "risk"       // looks at the book as a whole
	Auditor    Role = "auditor"    // reads, and changes nothing
	Admin      Role = "admin"      // lets people in
)

// Roles lists the roles.
func Roles() []Role {
	return []Role{Operator, Agent, Supervisor, Compliance, Risk, Auditor, Admin}
}

// Known reports whether r is one of the roles above.
func (r Role) Known() bool { return r.may()&seeBook != 0 }

// permission is what a route needs of whoever calls it, and what a role has: bits of it.
type permission uint

const (
	anybody      permission = 1 << iota // not signed in
	signedIn                            // whatever the role
	seeBook                             // days, borrowers and their contacts, with personal data masked
	seePersonal                         // names, addresses, and the words of messages and replies
	holdBorrower                        // holds, their release, and refusals
	workCases                           // the care queue
	seeAudit                            // the record of who did what
	seeReports                          // totals, files read in, processes
	accounts                            // who may use the console
)

// roles is the one table of what a role may.
var roles = map[Role]permission{
	Operator:   signedIn | seeBook | holdBorrower | workCases | seeReports,
	Agent:      signedIn | seeBook | seePersonal | holdBorrower | workCases,
	Supervisor: signedIn | seeBook | seePersonal | holdBorrower | workCases | seeReports,
	Compliance: signedIn | seeBook | seePersonal | holdBorrower | workCases | seeAudit | seeReports,
	Risk:       signedIn | seeBook | seeReports,
	Auditor:    signedIn | seeBook | seeAudit | seeReports,
	Admin:      signedIn | seeBook | seeAudit | seeReports | accounts,
}

func (r Role) may() permission { return roles[r] }
