-- Who has an address: address is a digest of a contact point's kind and value, for what comes from there, and 0 only until the program
-- that brings this table up to date has worked it out. What was said of a reply besides its words is JSON.
ALTER TABLE contact_point ADD COLUMN address BIGINT NOT NULL DEFAULT 0;
ALTER TABLE reply ADD COLUMN said TEXT NOT NULL DEFAULT '';

CREATE INDEX contact_point_address ON contact_point (address);

-- What carriers told of people whom nobody knows yet: kept for a while and looked at again, for the loan book may bring them. data is
-- personal, and JSON.
CREATE TABLE unmatched (
  carrier TEXT NOT NULL,
  key TEXT NOT NULL,
  kind TEXT NOT NULL,
  data TEXT NOT NULL,
  received_at BIGINT NOT NULL,
  tried_at BIGINT NOT NULL,
  PRIMARY KEY (carrier, key)
);

CREATE INDEX unmatched_tried ON unmatched (tried_at);
CREATE INDEX unmatched_received ON unmatched (received_at);
