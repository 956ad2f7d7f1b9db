-- When a bucket was last gone through for what need not be kept any more, and for each kind of record that hangs on a contact
-- up to which day it is gone, as JSON. kept_back are the persons of whom something was kept though it was old enough: they are
-- looked at again the next time.
CREATE TABLE keep_mark (
  bucket INTEGER NOT NULL PRIMARY KEY,
  looked_on INTEGER NOT NULL DEFAULT 0,
  through TEXT NOT NULL DEFAULT ''
);

INSERT INTO keep_mark (bucket) SELECT bucket FROM bucket;

CREATE TABLE kept_back (
  bucket INTEGER NOT NULL,
  borrower_id TEXT NOT NULL,
  looked_on INTEGER NOT NULL,
  PRIMARY KEY (bucket, borrower_id)
) WITHOUT ROWID;

-- Of Postgres alone. A nightly import writes every row of the book anew, if only its version, and a bucket's row is written by
-- each transaction: they leave room on their pages, so that the next version of a row lies beside it and no index is written.
-- Not contacts, attempts and receipts: what changes in them is what their indexes of the queue are made of, so room would be
-- lost. They are vacuumed while what is dead in them is still a small part of a long history.
ALTER TABLE bucket SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE bucket_lease SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE stream_mark SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE dirty SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE borrower SET (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE contact_point SET (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE loan SET (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE installment SET (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE contact SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
ALTER TABLE attempt SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
ALTER TABLE receipt SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
