-- What waits: a contact to be sent (kind 0; at is the earlier of its not_before and expires_at), or for its next rung to be due
-- (kind 1; at is its fallback_at). A contact has a row here just while it waits, so that no index of contact holds anything that
-- sending changes, and Postgres changes a contact in place. measure is 1 too for what is yet to be sent, for the same reason.

CREATE TABLE waiting (
  bucket INTEGER NOT NULL,
  contact_id TEXT NOT NULL,
  borrower_id TEXT NOT NULL,
  kind SMALLINT NOT NULL,
  at BIGINT NOT NULL,
  priority INTEGER NOT NULL,
  PRIMARY KEY (bucket, contact_id)
) WITHOUT ROWID;

INSERT INTO waiting (bucket, contact_id, borrower_id, kind, at, priority)
SELECT bucket, id, borrower_id, 0, wake_at, priority FROM contact WHERE state = 'planned';

INSERT INTO waiting (bucket, contact_id, borrower_id, kind, at, priority)
SELECT bucket, id, borrower_id, 1, fallback_at, priority FROM contact WHERE fallback_at > 0 AND state IN ('accepted', 'failed', 'delivered');

CREATE INDEX waiting_at ON waiting (bucket, kind, at);

UPDATE contact SET measure = 1 WHERE state = 'planned' AND measure = 0;

DROP INDEX contact_wake;
DROP INDEX contact_fallback;

ALTER TABLE contact DROP COLUMN wake_at;

-- Of Postgres alone. A contact is claimed and answered once or twice each: half a page leaves room for that beside it.
ALTER TABLE contact SET (fillfactor = 50);
ALTER TABLE waiting SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
