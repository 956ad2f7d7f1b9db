-- Notices that were given to borrowers, which some acts need before them, and the hours in which borrowers asked to be contacted
-- or not to be: clocks are minutes after midnight, days as rules write them.

CREATE TABLE notice (
  bucket INTEGER NOT NULL,
  borrower_id TEXT NOT NULL,
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  loan_id TEXT NOT NULL,
  at BIGINT NOT NULL,
  evidence TEXT NOT NULL,
  version BIGINT NOT NULL,
  digest BIGINT NOT NULL,
  PRIMARY KEY (bucket, borrower_id, id)
) WITHOUT ROWID;

CREATE TABLE preference (
  bucket INTEGER NOT NULL,
  borrower_id TEXT NOT NULL,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  days TEXT NOT NULL,
  from_clock INTEGER NOT NULL,
  to_clock INTEGER NOT NULL,
  source TEXT NOT NULL,
  at BIGINT NOT NULL,
  revoked_at BIGINT NOT NULL,
  version BIGINT NOT NULL,
  digest BIGINT NOT NULL,
  PRIMARY KEY (bucket, borrower_id, id)
) WITHOUT ROWID;
