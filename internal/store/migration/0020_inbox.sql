-- Messages of channel in_app, which the lender's app fetches: kept by person, with what they are about. They go with the words of
-- their contact.

CREATE TABLE inbox_entry (
  bucket INTEGER NOT NULL,
  borrower_id TEXT NOT NULL,
  attempt_id TEXT NOT NULL,
  contact_id TEXT NOT NULL,
  carrier TEXT NOT NULL,
  title TEXT NOT NULL,
  body TEXT NOT NULL,
  language TEXT NOT NULL,
  items TEXT NOT NULL,
  at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  fetched_at BIGINT NOT NULL,
  read_at BIGINT NOT NULL,
  dismissed_at BIGINT NOT NULL,
  PRIMARY KEY (bucket, borrower_id, attempt_id)
) WITHOUT ROWID;

CREATE INDEX inbox_entry_contact ON inbox_entry (bucket, contact_id);
