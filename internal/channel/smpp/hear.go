package smpp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
)

// Limits of what waits to be kept.
const (
	queueMax = 10_000 // PDUs; beyond it the carrier is told that the queue is full
	batchMax = 256    // that are kept at once
	newsMax  = 10_000 // answers that came late
	idle     = 250 * time.Millisecond
	stumble  = time.Second // after the store failed
)

// heard is a PDU of the carrier's that waits to be kept.
type heard struct {
	from *session
	p    pdu
	m    shortMessage
}

// answer tells the carrier that it was kept, or why not.
func (h *heard) answer(st status) {
	var body []byte
	if h.p.command == deliverSM || h.p.command == dataSM {
		body = []byte{0} // message_id, which is not used
	}
	h.from.reply(h.p, st, body)
}

// ear takes what the carrier tells, and answers it once it is kept.
type ear struct {
	s         *Sender
	queue     chan heard
	listening atomic.Int32

	mu   sync.Mutex
	news []duly.Receipt // answers that came when nobody waited; nobody answers these

	parts assembly
}

func newEar(s *Sender) *ear {
	return &ear{s: s, queue: make(chan heard, queueMax), parts: assembly{c: &s.c}}
}

// hear takes what the carrier asks of us. It does not wait: answers to our messages come on the same connection.
func (e *ear) hear(from *session, p pdu) {
	switch p.command {
	case deliverSM, dataSM:
	case outbind, alertNotification: // no answer is foreseen for these
		return
	default:
		from.reply(pdu{command: genericNack, seq: p.seq}, invalidCommand, nil)
		return
	}
	h := heard{from: from, p: p}
	m, err := readMessage(p.command, p.body)
	if err != nil {
		e.s.log.Warn("carrier sent a PDU that cannot be read; it was refused", "command", uint32(p.command), "code", err.Error())
		h.answer(map[error]status{errBody: invalidLength, errOption: invalidOptional}[err])
		return
	}
	if h.m = m; e.listening.Load() == 0 {
		h.answer(notNow) // nobody would keep it; the carrier does
		return
	}
	select {
	case e.queue <- h:
	default:
		h.answer(queueFull)
	}
}

// answered takes an answer that came after its message was given up: it settles what was in doubt.
func (e *ear) answered(id duly.AttemptID, p pdu) {
	rc := duly.Receipt{Provider: e.s.name, Key: "answer:" + string(id), AttemptID: id, Status: duly.ReceiptAccepted, Detail: "late"}
	if p.status != ok {
		err := e.s.c.refusal(p.status, "")
		switch rc.Detail = err.Code; err.Class {
		case channel.BadAddress:
			rc.Status = duly.ReceiptBadAddress
		case channel.OptedOut:
			rc.Status = duly.ReceiptOptedOut
		case channel.Temporary, channel.Throttled, channel.Permanent, channel.Config:
			rc.Status = duly.ReceiptFailed
		case channel.Unknown:
			return
		}
	} else {
		rc.ProviderID = e.s.c.MessageID.answered(readID(p.body))
		e.s.doubts.learn(id, rc.ProviderID)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.news) < newsMax {
		e.news = append(e.news, rc)
	}
}

// Listen keeps what the carrier tells until ctx ends: receipts, what people write, and answers that came late. Nothing is answered before
// take has it; what take refuses the carrier is asked to tell again.
func (s *Sender) Listen(ctx context.Context, take func(context.Context, channel.Heard) error) error {
	e := s.ear
	e.listening.Add(1)
	defer e.leave()
	s.start()
	t := time.NewTicker(idle)
	defer t.Stop()
	for {
		var batch []heard
		select {
		case <-ctx.Done():
			return nil
		case h := <-e.queue:
			batch = e.more([]heard{h})
		case <-t.C:
			e.parts.age(ctx, e, take)
		}
		if e.s.clock == nil {
			for i := range batch {
				batch[i].answer(notNow) // time stands still: nothing can be said to have come at an instant
			}
			continue
		}
		e.takeNews(ctx, take)
		if !e.take(ctx, batch, take) {
			pause(ctx, stumble)
		}
	}
}

// leave answers what was not kept, once nobody listens any more.
func (e *ear) leave() {
	if e.listening.Add(-1) > 0 {
		return
	}
	e.parts.drop()
	for {
		select {
		case h := <-e.queue:
			h.answer(notNow)
		default:
			return
		}
	}
}

func (e *ear) more(batch []heard) []heard {
	for len(batch) < batchMax {
		select {
		case h := <-e.queue:
			batch = append(batch, h)
		default:
			return batch
		}
	}
	return batch
}

// take keeps a batch, at once or else one by one, so that one that cannot be kept does not keep back the others; false where one could
// not.
func (e *ear) take(ctx context.Context, batch []heard, take func(context.Context, channel.Heard) error) bool {
	if len(batch) == 0 {
		return true
	}
	now := e.s.clock()
	var all channel.Heard
	var owners []heard // of what is in all
	for i := range batch {
		h := &batch[i]
		if isReceipt(&h.m) {
			all.Receipts = append(all.Receipts, e.s.receipt(&h.m, now))
			owners = append(owners, *h)
			continue
		}
		reply, whole := e.parts.add(h, e.s, now)
		if whole {
			all.Replies = append(all.Replies, reply.reply)
			owners = append(owners, reply.from...)
		}
	}
	if len(owners) == 0 {
		return true
	}
	err := take(ctx, all)
	if err == nil {
		for i := range owners {
			owners[i].answer(ok)
		}
		e.parts.kept(all.Replies)
		return true
	}
	if len(all.Receipts)+len(all.Replies) > 1 {
		good := true
		e.parts.unkept(all.Replies)
		for i := range owners {
			good = e.take(ctx, owners[i:i+1], take) && good
		}
		return good
	}
	e.s.log.Warn("what a carrier told could not be kept; it was asked to tell it again", "error", err)
	e.parts.unkept(all.Replies)
	for i := range owners {
		owners[i].answer(notNow)
	}
	return false
}

func (e *ear) takeNews(ctx context.Context, take func(context.Context, channel.Heard) error) {
	e.mu.Lock()
	news := e.news
	e.news = nil
	e.mu.Unlock()
	if len(news) == 0 {
		return
	}
	for i := range news {
		news[i].At = e.s.clock()
	}
	if err := take(ctx, channel.Heard{Receipts: news}); err != nil {
		e.mu.Lock()
		e.news = append(news, e.news...)
		e.mu.Unlock()
	}
}

// reply reads what a person wrote.
func (s *Sender) reply(m *shortMessage, text string, key string, now time.Time) channel.Reply {
	from := m.from.text
	if m.from.ton == tonInternational && !strings.HasPrefix(from, "+") {
		from = "+" + from
	}
	if n, err := channel.Number(from, s.c.Region); err == nil {
		from = n
	}
	return channel.Reply{Key: "mo:" + key, Channel: duly.ChannelSMS, From: from, Text: text, At: now}
}

// replyKey is the same for a message that the carrier tells again within the hour: it has no id of its own.
func replyKey(m *shortMessage, now time.Time) string {
	h := sha256.New()
	for _, b := range [][]byte{[]byte(m.from.text), []byte(m.to.text), m.words(), m.option(tagReference), m.option(tagTransaction)} {
		h.Write(b)
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:12]) + now.UTC().Format(":2006010215")
}
