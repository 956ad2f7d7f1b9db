// Package ingest reads loan books and payment feeds: files of other people's making, row by row, into facts.
//
// A [Mapping] says which columns of a CSV file, a workbook or a file of JSON lines make which nouns. [Read] streams
// a file through it. A row is taken whole or refused whole: a [Row] has facts, or problems with their place, reason and
// remedy, never both. Nothing here knows what was read before or what the store holds; whether a borrower exists and
// whether two rows contradict each other is for the store to say.
//
//	m, err := ingest.LoadMapping("payments.yaml", src)
//	err = ingest.Read(ctx, "payments.csv.gz", m, ingest.Options{}, func(row ingest.Row) error {
//		return apply(row.Facts, row.Problems)
//	})
//
// A problem tells what sort of value was found ("digits(18)", "text(7)", "date-like"), never the value: it may be a
// person's.
package ingest
