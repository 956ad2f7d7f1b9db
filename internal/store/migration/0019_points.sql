-- How good a contact point is, as its use shows: failures that are not final, in a row; when it last gave a sign of its owner or of
-- life; and of when the last word of a carrier on it was, so that an older one that comes late, or again, is no news.
ALTER TABLE contact_point ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE contact_point ADD COLUMN seen_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE contact_point ADD COLUMN told_at BIGINT NOT NULL DEFAULT 0;
