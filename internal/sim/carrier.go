package sim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/sandbox"
)

// The carriers of every channel, in order.
const (
	carrierName = "sim"
	otherName   = "other"
)

// post is the carriers: sandboxes, which behave by seed, with callbacks that are told until they are answered.
type post struct {
	w       *world
	boxes   map[string]*sandbox.Sender
	kept    map[duly.AttemptID]bool
	coming  []callback // by when
	early   []duly.Receipt
	unheard int
}

// callback is a receipt that is yet to be told.
type callback struct {
	due     time.Time
	no      int
	receipt duly.Receipt
}

func (c callback) compare(o callback) int {
	return cmp.Or(c.due.Compare(o.due), cmp.Compare(c.no, o.no))
}

// unsteady is how the carrier behaves in a world whose carriers and receipts are trouble.
func unsteady(t *Trial) sandbox.Behaviour {
	b := sandbox.Behaviour{Seed: t.Seed, Read: 250, DelayMin: time.Second, DelayMax: 2 * time.Hour}
	if t.Faults.has(FaultCarrier) {
		b.Temporary, b.Throttled, b.BadAddress, b.OptedOut, b.Permanent, b.Config, b.UnknownDelivered, b.UnknownLost = 60, 30, 15, 5, 5, 4, 30, 30
		b.RetryAfter, b.Undelivered, b.Bounced, b.Silent = 20*time.Minute, 60, 20, 60
	}
	if t.Faults.has(FaultReceipts) {
		b.Late, b.Duplicate, b.Shuffled = 80, 120, 150
	}
	return b
}

func newPost(w *world) (*post, error) {
	p := &post{w: w, kept: map[duly.AttemptID]bool{}, boxes: map[string]*sandbox.Sender{}}
	for i, name := range []string{carrierName, otherName} {
		b := unsteady(&w.Trial)
		b.Seed += uint64(i) << 32
		var err error
		if p.boxes[name], err = sandbox.New(name, b, outbox{p, name}); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// outbox is where a sandbox keeps what it took.
type outbox struct {
	p    *post
	name string
}

// Keep notes that a message was taken, and what will be told of it.
func (o outbox) Keep(_ context.Context, k sandbox.Kept) error {
	o.p.kept[k.Message.AttemptID] = true
	o.p.w.taken(k.Message.AttemptID)
	for _, r := range k.Receipts {
		o.p.expect(r.DueAt, duly.Receipt{
			Provider: o.name, Key: r.Key, AttemptID: k.Message.AttemptID, ProviderID: string(k.Message.AttemptID), Status: r.Status, At: r.At,
		})
	}
	if o.p.w.Faults.has(FaultReceipts) {
		o.p.lie(o.name, &k)
	}
	return nil
}

// lie adds what no honest carrier tells: a receipt that contradicts the others, of an attempt that never was, or that only
// names the carrier's own reference.
func (p *post) lie(name string, k *sandbox.Kept) {
	r := p.w.r.receipts
	at := k.Message.Now.Add(time.Duration(r.IntN(30*60)) * time.Second)
	rc := duly.Receipt{Provider: name, Key: fmt.Sprintf("odd-%d", p.w.serial()), AttemptID: k.Message.AttemptID, ProviderID: string(k.Message.AttemptID), At: at}
	switch n := r.IntN(100); {
	case n < 4:
		rc.Status = []duly.ReceiptStatus{duly.ReceiptFailed, duly.ReceiptBadAddress, duly.ReceiptDelivered, duly.ReceiptRead, duly.ReceiptAccepted}[r.IntN(5)]
		p.expect(at, rc)
	case n < 7:
		rc.AttemptID, rc.ProviderID, rc.Status = duly.AttemptID("a"+string(k.Message.AttemptID[1:4])+"0000000000000000000000000-1"), "", duly.ReceiptDelivered
		p.expect(at, rc)
	case n < 10:
		rc.AttemptID, rc.ProviderID, rc.Status = "", fmt.Sprintf("nobody-%d", p.w.serial()), duly.ReceiptRead
		p.expect(at, rc)
	case n < 14:
		rc.AttemptID, rc.Status = "", duly.ReceiptDelivered // by the carrier's reference alone
		p.expect(at, rc)
	case n < 20:
		rc.Status = duly.ReceiptDelivered
		p.early = append(p.early, rc) // told before the answer is
	}
}

// DueReceipts returns none: the carrier calls back.
func (o outbox) DueReceipts(context.Context, time.Time, int) ([]duly.Receipt, error) { return nil, nil }

// Has reports whether the carrier took the attempt.
func (o outbox) Has(_ context.Context, id duly.AttemptID) (bool, error) { return o.p.kept[id], nil }

func (p *post) expect(due time.Time, r duly.Receipt) {
	p.unheard++
	c := callback{due: due, no: p.unheard, receipt: r}
	at, _ := slices.BinarySearchFunc(p.coming, c, callback.compare)
	p.coming = slices.Insert(p.coming, at, c)
}

// send is one POST of a process.
func (p *post) send(ctx context.Context, from *process, name string, m channel.Message) (channel.Accepted, error) {
	acc, err := p.boxes[name].Send(ctx, m)
	p.w.answered(m.AttemptID, err)
	for _, r := range p.early {
		if to := p.w.anyone(p.w.r.receipts); to != nil {
			p.w.callBack(to, []duly.Receipt{r})
		}
	}
	p.early = nil
	return acc, err
}
