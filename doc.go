// Package duly holds the words of the product: the nouns that every other package speaks. It does no I/O.
//
// Duly tells borrowers, properly and at the proper time, that a repayment is due. It mirrors a lender's loan book
// ([Borrower], [Loan], [Installment], [Payment]), keeps what limits contact ([Consent], [OptOut], [Hold]) and decides
// each day which messages ([Contact]) to send, by which channel and when. Every decision is a [Decision] with all of its
// reasons; every try to send is an [Attempt], written down before it leaves; what comes back is a [Receipt].
//
// # The life of one contact
//
//	            ┌────────────── temporary failure ──────────────┐
//	            ▼                                               │
//	plan ──▶ planned ──claim──▶ claimed ──POST──▶ accepted ──▶ delivered ──▶ read
//	            │                │  │  │             │              ▲
//	            │                │  │  └─ no answer ─▶ in_doubt ─────┤ receipt, provider query or a person
//	            │                │  └─ permanent ──▶ failed ◀───────┘
//	            └───────┬────────┘
//	                    ▼
//	      blocked · cancelled (paid, replaced, held, opted_out, expired)
//
// [ContactState.CanBecome] is that picture as a table; the engine makes no move that is not in it. A contact in doubt is
// never sent again by itself: it counts against every cap until it is known what became of it.
//
// # Buckets
//
// A person's data lives in one of 1,024 buckets, a hash of the borrower's id ([BorrowerID.Bucket]). The bucket is the
// unit of work, of ownership and of sharding; ids of contacts and attempts carry it, so that a receipt finds its way.
//
// # Time
//
// Days are civil dates in the lender's calendar, instants are UTC. Nothing here or below reads a clock: now is passed in.
package duly
