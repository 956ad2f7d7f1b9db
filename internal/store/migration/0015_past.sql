-- What was known before. since is the version of its bucket with which a row came to say what it says; 0 for what is older than
-- this table. A fact that is overwritten is kept in fact_past, as JSON of its columns, with the version that ended it. Contacts
-- are never overwritten whole: contact_past says, for each version of a bucket, what of them was otherwise before it. plan_round
-- is one planning of a bucket: version is the one that it made, so it was decided from the one before; asked are the persons
-- who were marked, as JSON. document keeps each text that decided anything, by its SHA-256.

ALTER TABLE borrower ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE contact_point ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE loan ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE installment ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE payment ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE debit ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE consent ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE opt_out ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE hold ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE touch ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE case_file ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE reply ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE notice ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE preference ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE contact ADD COLUMN since BIGINT NOT NULL DEFAULT 0;

CREATE TABLE fact_past (
  bucket INTEGER NOT NULL,
  borrower_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  until BIGINT NOT NULL,
  since BIGINT NOT NULL,
  content TEXT NOT NULL,
  PRIMARY KEY (bucket, borrower_id, kind, key, until)
) WITHOUT ROWID;

CREATE TABLE contact_past (
  bucket INTEGER NOT NULL,
  version BIGINT NOT NULL,
  moves TEXT NOT NULL,
  PRIMARY KEY (bucket, version)
) WITHOUT ROWID;

CREATE TABLE plan_round (
  bucket INTEGER NOT NULL,
  version BIGINT NOT NULL,
  day INTEGER NOT NULL,
  at BIGINT NOT NULL,
  through INTEGER NOT NULL,
  asked TEXT NOT NULL,
  configuration TEXT NOT NULL,
  persons BIGINT NOT NULL,
  changes BIGINT NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (bucket, version)
) WITHOUT ROWID;

CREATE INDEX plan_round_day ON plan_round (bucket, day);

CREATE TABLE document (
  hash TEXT NOT NULL PRIMARY KEY,
  text TEXT NOT NULL,
  first_used_at BIGINT NOT NULL
);

-- Copies of this store that were put in the place of it. Nothing is sent while one is not released. What the store sent between
-- taken_at and restored_at is not known: contacts whose day is up to through are never sent by themselves. unknown is what
-- becomes of them.
CREATE TABLE restoration (
  id TEXT NOT NULL PRIMARY KEY,
  taken_at BIGINT NOT NULL,
  restored_at BIGINT NOT NULL,
  released_at BIGINT NOT NULL,
  through INTEGER NOT NULL,
  unknown TEXT NOT NULL
);
