-- A touch may be reserved before it is made. state is '' for one that was only told of; terms is what was asked and what was
-- known, as JSON. While it is not known when a reserved touch was made, at is when its slot runs out: the latest it can be.

ALTER TABLE touch ADD COLUMN agency TEXT NOT NULL DEFAULT '';
ALTER TABLE touch ADD COLUMN state TEXT NOT NULL DEFAULT '';
ALTER TABLE touch ADD COLUMN reserved_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE touch ADD COLUMN expires_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE touch ADD COLUMN terms TEXT NOT NULL DEFAULT '';

CREATE INDEX touch_reservation ON touch (bucket, id) WHERE state <> '';
CREATE INDEX touch_reserved ON touch (bucket, expires_at) WHERE state = 'reserved';
CREATE INDEX touch_unknown ON touch (expires_at) WHERE state = 'unknown';
