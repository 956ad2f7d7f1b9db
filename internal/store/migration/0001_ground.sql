-- Instants are microseconds UTC (0: unset), days YYYYMMDD (0: none), amounts minor units, flags 0 or 1.
-- Fact tables are clustered by person, so that one person is read from neighbouring pages.

CREATE TABLE bucket (
  bucket INTEGER NOT NULL PRIMARY KEY,
  version BIGINT NOT NULL DEFAULT 0,
  changed_at BIGINT NOT NULL DEFAULT 0,
  people BIGINT NOT NULL DEFAULT 0,
  planned_through INTEGER NOT NULL DEFAULT 0,
  measured_through INTEGER NOT NULL DEFAULT 0,
  audit_seq BIGINT NOT NULL DEFAULT 0,
  audit_hash TEXT NOT NULL DEFAULT ''
);

INSERT INTO bucket (bucket)
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1023) SELECT i FROM n;

CREATE TABLE borrower (
  bucket INTEGER NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  language TEXT NOT NULL,
  country TEXT NOT NULL,
  tier TEXT NOT NULL,
  segment TEXT NOT NULL,
  zones TEXT NOT NULL,
  flags TEXT NOT NULL,
  version BIGINT NOT NULL,
  digest BIGINT NOT NULL,
  PRIMARY KEY (bucket, id)
) WITHOUT ROWID;

CREATE TABLE contact_point (
  bucket INTEGER NOT NULL,
  borrower_id TEXT NOT NULL,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  state TEXT NOT NULL,
  source TEXT NOT NULL,
  rank INTEGER NOT NULL,
  verified_at BIGINT NOT NULL,
  observed_at BIGINT NOT NULL,
  version BIGINT NOT NULL,
  digest BIGINT NOT NULL,
  PRIMARY KEY (bucket, borrower_id, id)
) WITHOUT ROWID;

CREATE TABLE loan (
  bucket INTEGER NOT NULL,
  borrower_id TEXT NOT NULL,
  id TEXT NOT NULL,
  contract_no TEXT NOT NULL,
  product TEXT NOT NULL,
  schedule TEXT NOT NULL,
  currency TEXT NOT NULL,
  principal BIGINT NOT NULL,
  disbursed_on INTEGER NOT NULL,
  auto_debit SMALLINT NOT NULL,
  version BIGINT NOT NULL,
  digest BIGINT NOT NULL,
  PRIMARY KEY (bucket, borrower_id, id)
) WITHOUT ROWID;

CREATE INDEX loan_id ON loan (id);

CREATE TABLE installment (
  bucket INTEGER NOT NULL,
  borrower_id TEXT NOT NULL,
  loan_id TEXT NOT NULL,
  no INTEGER NOT NULL,
  due_on INTEGER NOT NULL,
  currency TEXT NOT NULL,
  principal BIGINT NOT NULL,
  interest BIGINT NOT NULL,
  fee BIGINT NOT NULL,
  paid_principal BIGINT NOT NULL DEFAULT 0,
  paid_interest BIGINT NOT NULL DEFAULT 0,
  paid_fee BIGINT NOT NULL DEFAULT 0,
  settled_at BIGINT NOT NULL DEFAULT 0,
  open SMALLINT NOT NULL,
  version BIGINT NOT NULL,
  digest BIGINT NOT NULL,
  PRIMARY KEY (bucket, borrower_id, loan_id, no)
) WITHOUT ROWID;

CREATE INDEX installment_due ON installment (bucket, due_on, borrower_id) WHERE open = 1;

CREATE TABLE payment (
  bucket INTEGER NOT NULL,
  borrower_id TEXT NOT NULL,
  id TEXT NOT NULL,
  loan_id TEXT NOT NULL,
  currency TEXT NOT NULL,
  amount BIGINT NOT NULL,
  value_at BIGINT NOT NULL,
  arrived_at BIGINT NOT NULL,
  reverses TEXT NOT NULL,
  method TEXT NOT NULL,
  version BIGINT NOT NULL,
  digest BIGINT NOT NULL,
  PRIMARY KEY (bucket, borrower_id, id)
) WITHOUT ROWID;

CREATE TABLE debit (
  bucket INTEGER NOT NULL,
  borrower_id TEXT NOT NULL,
  id TEXT NOT NULL,
  loan_id TEXT NOT NULL,
  installment_no INTEGER NOT NULL,
  at BIGINT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  version BIGINT NOT NULL,
  digest BIGINT NOT NULL,
  PRIMARY KEY (bucket, borrower_id, id)
) WITHOUT ROWID;

CREATE TABLE consent (
  bucket INTEGER NOT NULL,
  borrower_id TEXT NOT NULL,
  id TEXT NOT NULL,
  key TEXT NOT NULL,
  given_at BIGINT NOT NULL,
  until BIGINT NOT NULL,
  withdrawn_at BIGINT NOT NULL,
  evidence TEXT NOT NULL,
  version BIGINT NOT NULL,
  digest BIGINT NOT NULL,
  PRIMARY KEY (bucket, borrower_id, id)
) WITHOUT ROWID;

CREATE TABLE opt_out (
  bucket INTEGER NOT NULL,
  borrower_id TEXT NOT NULL,
  id TEXT NOT NULL,
  key TEXT NOT NULL,
  loan_id TEXT NOT NULL,
  at BIGINT NOT NULL,
  revoked_at BIGINT NOT NULL,
  source TEXT NOT NULL,
  version BIGINT NOT NULL,
  digest BIGINT NOT NULL,
  PRIMARY KEY (bucket, borrower_id, id)
) WITHOUT ROWID;

CREATE TABLE hold (
  bucket INTEGER NOT NULL,
  borrower_id TEXT NOT NULL,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  scope TEXT NOT NULL,
  loan_id TEXT NOT NULL,
  point_id TEXT NOT NULL,
  reason TEXT NOT NULL,
  author TEXT NOT NULL,
  from_at BIGINT NOT NULL,
  until BIGINT NOT NULL,
  released_at BIGINT NOT NULL,
  review_on INTEGER NOT NULL,
  version BIGINT NOT NULL,
  digest BIGINT NOT NULL,
  PRIMARY KEY (bucket, borrower_id, id)
) WITHOUT ROWID;

CREATE TABLE touch (
  bucket INTEGER NOT NULL,
  borrower_id TEXT NOT NULL,
  id TEXT NOT NULL,
  loan_id TEXT NOT NULL,
  point_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  purpose TEXT NOT NULL,
  inbound SMALLINT NOT NULL,
  outcome TEXT NOT NULL,
  at BIGINT NOT NULL,
  version BIGINT NOT NULL,
  digest BIGINT NOT NULL,
  PRIMARY KEY (bucket, borrower_id, id)
) WITHOUT ROWID;

-- Contacts lie in the order in which they were planned, which is the order in which they are sent: what is claimed
-- together is on the same pages. wake_at is when a planned contact next needs someone: the earlier of not_before and
-- expires_at. measure is 0 never sent, 1 waiting for its outcome, 2 measured.
CREATE TABLE contact (
  bucket INTEGER NOT NULL,
  id TEXT NOT NULL,
  borrower_id TEXT NOT NULL,
  strategy TEXT NOT NULL,
  strategy_hash TEXT NOT NULL,
  step TEXT NOT NULL,
  day INTEGER NOT NULL,
  rung INTEGER NOT NULL,
  channel TEXT NOT NULL,
  point_id TEXT NOT NULL,
  purpose TEXT NOT NULL,
  tone TEXT NOT NULL,
  template TEXT NOT NULL,
  late SMALLINT NOT NULL,
  priority INTEGER NOT NULL,
  items TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  not_before BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  wake_at BIGINT NOT NULL,
  fallback_at BIGINT NOT NULL,
  attempts INTEGER NOT NULL,
  sent_at BIGINT NOT NULL,
  decision TEXT NOT NULL,
  planned_at BIGINT NOT NULL,
  changed_at BIGINT NOT NULL,
  measure SMALLINT NOT NULL,
  PRIMARY KEY (bucket, id)
);

CREATE INDEX contact_person ON contact (bucket, borrower_id, day);
CREATE INDEX contact_day ON contact (day);
CREATE INDEX contact_wake ON contact (bucket, wake_at) WHERE state = 'planned';
CREATE INDEX contact_fallback ON contact (bucket, fallback_at) WHERE fallback_at > 0;
CREATE INDEX contact_measure ON contact (bucket, day) WHERE measure = 1;

CREATE TABLE attempt (
  bucket INTEGER NOT NULL,
  contact_id TEXT NOT NULL,
  no INTEGER NOT NULL,
  borrower_id TEXT NOT NULL,
  carrier TEXT NOT NULL,
  state TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  class TEXT NOT NULL,
  detail TEXT NOT NULL,
  segments INTEGER NOT NULL,
  body TEXT NOT NULL,
  known TEXT NOT NULL,
  claimed_at BIGINT NOT NULL,
  lease_until BIGINT NOT NULL,
  ended_at BIGINT NOT NULL,
  PRIMARY KEY (bucket, contact_id, no)
);

CREATE INDEX attempt_open ON attempt (bucket, lease_until) WHERE state = 'open';
CREATE INDEX attempt_doubt ON attempt (ended_at) WHERE state = 'in_doubt';
CREATE INDEX attempt_provider ON attempt (provider_id) WHERE provider_id <> '';

CREATE TABLE receipt (
  bucket INTEGER NOT NULL,
  provider TEXT NOT NULL,
  key TEXT NOT NULL,
  contact_id TEXT NOT NULL,
  attempt_id TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  status TEXT NOT NULL,
  detail TEXT NOT NULL,
  at BIGINT NOT NULL,
  received_at BIGINT NOT NULL,
  applied_at BIGINT NOT NULL,
  PRIMARY KEY (bucket, provider, key)
);

CREATE INDEX receipt_contact ON receipt (bucket, contact_id);
CREATE INDEX receipt_pending ON receipt (bucket, received_at) WHERE applied_at = 0;

CREATE TABLE orphan_receipt (
  provider TEXT NOT NULL,
  key TEXT NOT NULL,
  attempt_id TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  status TEXT NOT NULL,
  detail TEXT NOT NULL,
  at BIGINT NOT NULL,
  received_at BIGINT NOT NULL,
  PRIMARY KEY (provider, key)
);

CREATE TABLE outcome (
  bucket INTEGER NOT NULL,
  contact_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (bucket, contact_id)
) WITHOUT ROWID;

CREATE TABLE dirty (
  bucket INTEGER NOT NULL,
  borrower_id TEXT NOT NULL,
  marked_at BIGINT NOT NULL,
  PRIMARY KEY (bucket, borrower_id)
) WITHOUT ROWID;

CREATE TABLE feed (
  name TEXT NOT NULL PRIMARY KEY,
  watermark BIGINT NOT NULL,
  changed_at BIGINT NOT NULL
);

CREATE TABLE import_run (
  hash TEXT NOT NULL,
  mapping TEXT NOT NULL,
  line_count BIGINT NOT NULL,
  version BIGINT NOT NULL,
  complete SMALLINT NOT NULL,
  changed_at BIGINT NOT NULL,
  PRIMARY KEY (hash, mapping)
);

CREATE TABLE sandbox_message (
  bucket INTEGER NOT NULL,
  attempt_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  to_value TEXT NOT NULL,
  subject TEXT NOT NULL,
  body TEXT NOT NULL,
  sent_at BIGINT NOT NULL,
  PRIMARY KEY (bucket, attempt_id)
);

CREATE INDEX sandbox_message_sent ON sandbox_message (sent_at);

CREATE TABLE sandbox_receipt (
  bucket INTEGER NOT NULL,
  attempt_id TEXT NOT NULL,
  no INTEGER NOT NULL,
  key TEXT NOT NULL,
  status TEXT NOT NULL,
  at BIGINT NOT NULL,
  due_at BIGINT NOT NULL,
  taken SMALLINT NOT NULL,
  PRIMARY KEY (bucket, attempt_id, no)
);

CREATE INDEX sandbox_receipt_due ON sandbox_receipt (due_at) WHERE taken = 0;

CREATE TABLE audit (
  bucket INTEGER NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  kind TEXT NOT NULL,
  actor TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (bucket, seq)
) WITHOUT ROWID;
