package engine

import (
	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/store"
)

// partsTaken is what an answer says of the parts in which the carrier took its message.
func (a *answer) partsTaken() []string {
	if a.err != nil {
		return channel.PartsOf(a.err.Parts)
	}
	return channel.PartsOf(a.accepted.Parts)
}

// firstReference is the reference of the first part that has one.
func firstReference(parts []string) string {
	for _, id := range parts {
		if id != "" {
			return id
		}
	}
	return ""
}

// folded returns what a receipt of a part says of the whole, "" for nothing: it is delivered when all parts are, and failed when one is
// that was not delivered since. A receipt of a message that was taken whole says what it says.
func folded(tx *store.Tx, a *duly.Attempt, rc *duly.Receipt) (duly.ReceiptStatus, error) {
	arrived := rc.Status == duly.ReceiptDelivered || rc.Status == duly.ReceiptRead
	if a.Segments < 2 && a.State != duly.AttemptInDoubt || rc.Status == duly.ReceiptBadAddress || rc.Status == duly.ReceiptOptedOut {
		return rc.Status, nil
	}
	all, err := tx.Receipts(a.ContactID)
	if err != nil {
		return "", err
	}
	parts, delivered, since := 0, map[string]bool{}, false
	for i := range all {
		r := &all[i]
		switch {
		case r.AttemptID != a.ID:
		case r.Detail == store.PartDetail:
			parts++
		case r.Status == duly.ReceiptDelivered || r.Status == duly.ReceiptRead:
			delivered[r.ProviderID] = true
			since = since || r.ProviderID == rc.ProviderID && !r.At.Before(rc.At)
		}
	}
	failed := rc.Status == duly.ReceiptFailed && !since
	if parts == 0 || failed || arrived && len(delivered) >= parts {
		return rc.Status, nil
	}
	return "", nil
}

// putParts writes down the parts of the answers that have some.
func putParts(tx *store.Tx, group []int, byBucket map[int][]*answer) error {
	for _, b := range group {
		for _, a := range byBucket[b] {
			if parts := a.partsTaken(); len(parts) > 0 {
				if err := tx.PutParts(a.job.carrier.Name(), a.job.attempt.ID, parts); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
