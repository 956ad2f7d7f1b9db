package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/store"
)

// sealed is what the audit keeps of a claim that goes out: as [moveDetail] has it, and the commitment to its certificate.
type sealed [4]string

// certify completes the certificate of an attempt that is about to be made, and returns the commitment to it. Entry is the one
// of the audit that will hold the commitment.
func certify(a *duly.Attempt, d *duly.Decision, entry int64) string {
	salt := make([]byte, audit.SaltLen)
	rand.Read(salt) // it never fails
	a.Salt = hex.EncodeToString(salt)
	k := &a.Known
	k.Outstanding = duly.OutstandingOf(k.Items)
	if !k.FeedAt.IsZero() {
		k.FeedAge = int64(a.ClaimedAt.Sub(k.FeedAt) / time.Second)
	}
	k.Decision, k.Text, k.Entry = d.Hash(), audit.Commit(salt, []byte(a.Text)), entry
	c := a.Certificate()
	return audit.Commit(salt, c.Canonical())
}

// claimDetail is what the audit keeps of a claim: of each contact its id, state and reason, and of those that go out the
// commitment to the attempt's certificate.
func claimDetail(moves []store.Move, seals map[duly.ContactID]string) []any {
	out := make([]any, len(moves))
	for i, m := range moveDetail(moves) {
		if s := seals[moves[i].Contact.ID]; s != "" {
			out[i] = sealed{m[0], m[1], m[2], s}
		} else {
			out[i] = m
		}
	}
	return out
}

// SealState is whether a certificate is what was sealed.
type SealState string

// The states of a seal.
const (
	SealHolds  SealState = "holds"  // it is just what was committed to when the contact was claimed
	SealBroken SealState = "broken" // it is not, or the audit does not have the commitment
	SealErased SealState = "erased" // the commitment stands; what it opens to was erased
	SealNone   SealState = "none"   // the attempt is older than certificates are
)

// Proof is the certificate of one attempt, held against the audit.
type Proof struct {
	duly.Certificate
	Seal       SealState `json:"seal"`
	Bucket     int       `json:"bucket"` // of the audit, with known.audit_entry
	Commitment string    `json:"commitment,omitempty"`
	Salt       string    `json:"salt,omitempty"` // see [Proof.Mask]
}

// Mask takes out the salt: with it, values could be tried.
func (p *Proof) Mask() { p.Salt = "" }

// Opens reports whether the certificate and its salt are what the commitment is to.
func (p *Proof) Opens() bool {
	salt, err := hex.DecodeString(p.Salt)
	return err == nil && len(salt) >= audit.SaltLen && audit.Commit(salt, p.Canonical()) == p.Commitment
}

// In reports whether an entry of the audit holds the commitment to this certificate.
func (p *Proof) In(e *audit.Entry) bool {
	return e.Bucket == p.Bucket && e.Seq == p.Known.Entry && commitmentIn(e, p.Contact) == p.Commitment && p.Commitment != ""
}

// commitmentIn returns the commitment that a claim's entry holds for a contact, or "".
func commitmentIn(e *audit.Entry, id duly.ContactID) string {
	var claimed [][]string
	if e.Kind != auditClaimed || json.Unmarshal([]byte(e.Detail), &claimed) != nil {
		return ""
	}
	i := slices.IndexFunc(claimed, func(c []string) bool { return len(c) == len(sealed{}) && c[0] == string(id) })
	if i < 0 {
		return ""
	}
	return claimed[i][3]
}

// auditClaimed is the kind of the entries that seal certificates.
const auditClaimed = "claimed"

// Certificate returns the certificate of an attempt, held against the audit, or NotFound.
func (e *Engine) Certificate(ctx context.Context, id duly.AttemptID) (p Proof, err error) {
	err = e.db.View(ctx, func(tx *store.Tx) error {
		a, err := tx.FindAttempt(id)
		if err == nil {
			p, err = prove(tx, &a)
		}
		return err
	})
	return p, err
}

// prove holds the certificate of an attempt against the audit.
func prove(tx *store.Tx, a *duly.Attempt) (Proof, error) {
	p := Proof{Certificate: a.Certificate(), Bucket: a.BorrowerID.Bucket(), Salt: a.Salt}
	switch {
	case a.Salt == "" && a.Known.LedgerVersion == 0:
		p.Seal = SealErased
		return p, nil
	case a.Salt == "" && a.Known.Entry == 0:
		p.Seal = SealNone
		return p, nil
	}
	p.Seal = SealBroken
	entry, err := tx.AuditEntry(p.Bucket, a.Known.Entry)
	if err != nil && duly.CodeOf(err) == duly.NotFound {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p.Commitment = commitmentIn(&entry, a.ContactID)
	salt, err := hex.DecodeString(a.Salt)
	if err == nil && p.Opens() && audit.Commit(salt, []byte(a.Text)) == a.Known.Text {
		p.Seal = SealHolds
	}
	return p, nil
}

// EraseOpenings takes away what the audit's commitments about a borrower open to; see [store.Tx.EraseOpenings]. The erasure is
// itself in the audit, by number.
func (e *Engine) EraseOpenings(ctx context.Context, now time.Time, actor string, id duly.BorrowerID) (out store.Erased, err error) {
	b := id.Bucket()
	err = e.db.Update(ctx, now, []int{b}, func(tx *store.Tx) error {
		persons, err := tx.PersonsOf([]duly.BorrowerID{id}, store.Since{Facts: tx.Now(), Contacts: tx.Now()})
		if err == nil && len(persons) == 0 {
			err = duly.Errorf(duly.NotFound, "there is no borrower with this id")
		}
		if err != nil {
			return err
		}
		if out, err = tx.EraseOpenings(id); err == nil && out != (store.Erased{}) {
			tx.Audit(b, "erased", actor, "", out)
		}
		return err
	})
	return out, err
}
