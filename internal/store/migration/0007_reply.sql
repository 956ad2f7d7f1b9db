-- What borrowers wrote back. The text is personal. The meaning is worked out when the reply is taken in, and is no part of its
-- digest.

CREATE TABLE reply (
  bucket INTEGER NOT NULL,
  borrower_id TEXT NOT NULL,
  id TEXT NOT NULL,
  contact_id TEXT NOT NULL,
  loan_id TEXT NOT NULL,
  point_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  language TEXT NOT NULL,
  text TEXT NOT NULL,
  at BIGINT NOT NULL,
  version BIGINT NOT NULL,
  digest BIGINT NOT NULL,
  meaning TEXT NOT NULL DEFAULT '{}',
  PRIMARY KEY (bucket, borrower_id, id)
) WITHOUT ROWID;
