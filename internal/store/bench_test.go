package store_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// eachEngine runs a benchmark on every engine. The tests' Postgres does not flush to disk; SQLite does.
func eachEngine(b *testing.B, bench func(b *testing.B, db *store.DB)) {
	for _, kind := range storetest.Kinds {
		b.Run(kind, func(b *testing.B) { bench(b, storetest.Open(b, kind)) })
	}
}

func rate(b *testing.B, n int, unit string) {
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), unit+"/s")
}

func update(b *testing.B, db *store.DB, buckets []int, fn func(tx *store.Tx) error) {
	b.Helper()
	if err := db.Update(context.Background(), storetest.Noon, buckets, fn); err != nil {
		b.Fatal(err)
	}
}

// book makes borrowers with a point, a loan and instalments each, spread over all buckets.
func book(from, people, installments int) (out []duly.Fact) {
	for i := range people {
		id := duly.BorrowerID(fmt.Sprintf("B%07d", from+i))
		l := duly.LoanID(fmt.Sprintf("L%07d", from+i))
		out = append(out, storetest.Borrower(id), storetest.Loan(id, l),
			&duly.ContactPoint{BorrowerID: id, ID: "m1", Kind: duly.PointMobile, Value: "+8613800000000", State: duly.PointActive, Source: "debtor_provided", Version: 1})
		for no := range installments {
			out = append(out, storetest.Installment(id, l, no+1, civil.On(2026, 3, 13).AddMonths(no)))
		}
	}
	return out
}

// Target: 150,000 instalments a second.
func BenchmarkPutInstallments(b *testing.B) {
	eachEngine(b, func(b *testing.B, db *store.DB) {
		const people, each = 4000, 12
		from := 0
		for b.Loop() {
			b.StopTimer()
			facts := book(from, people, each)
			from += people
			buckets := storetest.Buckets(facts)
			b.StartTimer()
			update(b, db, buckets, func(tx *store.Tx) error { _, err := tx.Put(facts); return err })
		}
		rate(b, people*each, "instalments")
	})
}

func BenchmarkPutSame(b *testing.B) {
	eachEngine(b, func(b *testing.B, db *store.DB) {
		const people, each = 4000, 12
		facts := book(0, people, each)
		buckets := storetest.Buckets(facts)
		update(b, db, buckets, func(tx *store.Tx) error { _, err := tx.Put(facts); return err })
		for b.Loop() {
			update(b, db, buckets, func(tx *store.Tx) error { _, err := tx.Put(facts); return err })
		}
		rate(b, people*each, "instalments")
	})
}

// crowd is 500 borrowers for each of the first buckets: a benchmark goes from bucket to bucket, as a day's plan does.
var crowd = sync.OnceValue(func() [][]duly.BorrowerID {
	const buckets, each = 256, 500
	out := make([][]duly.BorrowerID, buckets)
	for i, missing := 0, buckets; missing > 0; i++ {
		id := duly.BorrowerID(fmt.Sprintf("B%07d", i))
		if b := id.Bucket(); b < buckets && len(out[b]) < each {
			if out[b] = append(out[b], id); len(out[b]) == each {
				missing--
			}
		}
	}
	return out
})

func contacts(ids []duly.BorrowerID, round int) []duly.Contact {
	out := make([]duly.Contact, len(ids))
	for i, id := range ids {
		out[i] = storetest.Contact(id, "d-3", civil.On(2026, 3, 10).Add(round), 0)
	}
	return out
}

// Target: 200,000 contacts a second into SQLite, 500 at a time.
func BenchmarkPutContacts(b *testing.B) {
	eachEngine(b, func(b *testing.B, db *store.DB) {
		people := crowd()
		round := 0
		for b.Loop() {
			b.StopTimer()
			at := round % len(people)
			cs := contacts(people[at], round/len(people))
			round++
			b.StartTimer()
			update(b, db, []int{at}, func(tx *store.Tx) error { return tx.PutContacts(cs) })
		}
		rate(b, len(people[0]), "contacts")
	})
}

// A claim reads what is due, moves it and writes attempts; then the answers are stored.
func BenchmarkClaimCycle(b *testing.B) {
	eachEngine(b, func(b *testing.B, db *store.DB) {
		people := crowd()
		round := 0
		for b.Loop() {
			b.StopTimer()
			at := round % len(people)
			ids := people[at][:256]
			cs := contacts(ids, round/len(people))
			round++
			update(b, db, []int{at}, func(tx *store.Tx) error { return tx.PutContacts(cs) })
			b.StartTimer()
			var due []duly.Contact
			var attempts []duly.Attempt
			update(b, db, []int{at}, func(tx *store.Tx) (err error) {
				waiting, err := tx.DueContacts([]int{at}, storetest.Noon, len(ids))
				if err != nil {
					return err
				}
				found, err := tx.FindContacts(contactIDs(waiting))
				if err != nil {
					return err
				}
				due, attempts = slices.Collect(maps.Values(found)), attempts[:0]
				for i := range due {
					attempts = append(attempts, storetest.Attempt(&due[i], 1))
				}
				if err := move(tx, due, duly.Planned, duly.Claimed); err != nil {
					return err
				}
				return tx.PutAttempts(attempts)
			})
			if len(due) != len(ids) {
				b.Fatalf("due: got %d, want %d", len(due), len(ids))
			}
			update(b, db, []int{at}, func(tx *store.Tx) error {
				for i := range attempts {
					attempts[i].State, attempts[i].ProviderID, attempts[i].EndedAt = duly.AttemptAccepted, "prov-"+string(attempts[i].ID), storetest.Noon
				}
				if err := tx.FinishAttempts(attempts); err != nil {
					return err
				}
				return move(tx, due, duly.Claimed, duly.Accepted)
			})
		}
		rate(b, 256, "contacts")
	})
}

func contactIDs(due []store.Due) []duly.ContactID {
	out := make([]duly.ContactID, len(due))
	for i := range due {
		out[i] = due[i].Contact
	}
	return out
}

func move(tx *store.Tx, cs []duly.Contact, from, to duly.ContactState) error {
	moves := make([]store.Move, len(cs))
	for i := range cs {
		cs[i].State = to
		moves[i] = store.Move{Contact: cs[i], From: from}
	}
	return tx.MoveContacts(moves)
}

// Target: 100,000 persons a second, with one loan, three open instalments and two contacts each.
func BenchmarkPersons(b *testing.B) {
	eachEngine(b, func(b *testing.B, db *store.DB) {
		ids := storetest.InBucket(1, 1000)
		var facts []duly.Fact
		for _, id := range ids {
			l := duly.LoanID("L" + string(id))
			facts = append(facts, storetest.Borrower(id), storetest.Loan(id, l),
				&duly.ContactPoint{BorrowerID: id, ID: "m1", Kind: duly.PointMobile, Value: "+8613800000000", State: duly.PointActive, Version: 1})
			for no := range 3 {
				facts = append(facts, storetest.Installment(id, l, no+1, civil.On(2026, 3, 13).AddMonths(no)))
			}
		}
		update(b, db, []int{1}, func(tx *store.Tx) error {
			if _, err := tx.Put(facts); err != nil {
				return err
			}
			if err := tx.PutContacts(contacts(ids, 0)); err != nil {
				return err
			}
			return tx.PutContacts(contacts(ids, 1))
		})
		var got []duly.Person
		for b.Loop() {
			err := db.View(context.Background(), func(tx *store.Tx) (err error) {
				got, err = tx.Persons(1, ids, storetest.Noon.Add(-35*24*time.Hour))
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		if len(got) != len(ids) || len(got[0].Installments) != 3 || len(got[0].Contacts) != 2 {
			b.Fatalf("persons: got %d", len(got))
		}
		rate(b, len(ids), "persons")
	})
}
