-- The daily roots over the records of all buckets. heads is JSON. posted_at is 0 until a root was posted.
CREATE TABLE audit_root (
  no BIGINT NOT NULL PRIMARY KEY,
  day INTEGER NOT NULL,
  at BIGINT NOT NULL,
  entries BIGINT NOT NULL,
  prev TEXT NOT NULL,
  hash TEXT NOT NULL,
  heads TEXT NOT NULL,
  posted_at BIGINT NOT NULL
);

-- What commitments in the audit open to, until it is erased.
CREATE TABLE audit_opening (
  bucket INTEGER NOT NULL,
  borrower_id TEXT NOT NULL,
  hash TEXT NOT NULL,
  salt TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (bucket, borrower_id, hash)
) WITHOUT ROWID;

-- When the POST began, when a payment came in that it must not begin after, and the salt of the certificate's commitment.
ALTER TABLE attempt ADD COLUMN begun_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN fenced_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN salt TEXT NOT NULL DEFAULT '';

-- From which version of its bucket on the payment, as it stands, was known, and when; 0: it was not noted.
ALTER TABLE payment ADD COLUMN known_version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE payment ADD COLUMN known_at BIGINT NOT NULL DEFAULT 0;
