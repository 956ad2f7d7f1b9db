-- Cases are facts: matters of a borrower that somebody has to look at. Duties are what the law demands because of a case;
-- they are worked out from it and the rule packs, so they carry no version. due_at is when the time has run out, 0 where it
-- is not known; due_on is the day, for terms of days. condition is what has to hold for the duty to apply.

CREATE TABLE case_file (
  bucket INTEGER NOT NULL,
  borrower_id TEXT NOT NULL,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  loan_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  urgent SMALLINT NOT NULL,
  complex SMALLINT NOT NULL,
  state TEXT NOT NULL,
  opened_at BIGINT NOT NULL,
  done_at BIGINT NOT NULL,
  author TEXT NOT NULL,
  outcome TEXT NOT NULL,
  version BIGINT NOT NULL,
  digest BIGINT NOT NULL,
  PRIMARY KEY (bucket, borrower_id, id)
) WITHOUT ROWID;

CREATE INDEX case_file_id ON case_file (id);
CREATE INDEX case_file_open ON case_file (opened_at) WHERE state = 'open';

CREATE TABLE duty (
  bucket INTEGER NOT NULL,
  borrower_id TEXT NOT NULL,
  case_id TEXT NOT NULL,
  rule TEXT NOT NULL,
  pack TEXT NOT NULL,
  title_zh TEXT NOT NULL,
  title_en TEXT NOT NULL,
  demand TEXT NOT NULL,
  condition TEXT NOT NULL,
  due_on INTEGER NOT NULL,
  due_at BIGINT NOT NULL,
  lack TEXT NOT NULL,
  shadow SMALLINT NOT NULL,
  source TEXT NOT NULL,
  done_at BIGINT NOT NULL,
  PRIMARY KEY (bucket, borrower_id, case_id, rule, pack)
) WITHOUT ROWID;

CREATE INDEX duty_due ON duty (due_at) WHERE done_at = 0;
