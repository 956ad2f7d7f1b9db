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

-- Of Postgres alone. Rows that change leave room on their page, so that the next version of a row lies beside it and, where no
-- indexed column changed, no index is written. The tables of the queue are vacuumed while what is dead in them is still a
-- small part; those of few rows after some thousand changes.
ALTER TABLE bucket SET (fillfactor = 25, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 4000);
ALTER TABLE bucket_lease SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 4000);
ALTER TABLE stream_mark SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 4000);
ALTER TABLE node SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
ALTER TABLE dirty SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000);
ALTER TABLE borrower SET (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE contact_point SET (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE loan SET (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE installment SET (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE contact SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
ALTER TABLE attempt SET (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
ALTER TABLE receipt SET (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
