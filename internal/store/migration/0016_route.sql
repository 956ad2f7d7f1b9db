-- Several carriers to a channel. An attempt keeps what it cost, in millionths of the currency's unit. carrier_pin has all messages
-- of a channel go to one carrier. carrier_report is what each node last found out of its carriers, as JSON. An orphan is looked
-- for again from next_at on, and no more once reported_at is set: then nobody knows it.

ALTER TABLE attempt ADD COLUMN cost BIGINT NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN currency TEXT NOT NULL DEFAULT '';

CREATE INDEX attempt_cost ON attempt (claimed_at) WHERE cost <> 0;

CREATE TABLE carrier_pin (
  channel TEXT NOT NULL PRIMARY KEY,
  carrier TEXT NOT NULL,
  until BIGINT NOT NULL,
  by_whom TEXT NOT NULL,
  at BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE carrier_report (
  node TEXT NOT NULL PRIMARY KEY,
  at BIGINT NOT NULL,
  report TEXT NOT NULL
) WITHOUT ROWID;

ALTER TABLE orphan_receipt ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE orphan_receipt ADD COLUMN next_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE orphan_receipt ADD COLUMN reported_at BIGINT NOT NULL DEFAULT 0;

CREATE INDEX orphan_next ON orphan_receipt (next_at) WHERE reported_at = 0;
