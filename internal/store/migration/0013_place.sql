-- Where a bucket is, as one cell of several says: place is that of store.Place, 0 where nothing was said yet. moves counts how often
-- the bucket has changed its cell; peer is the cell that it goes to or comes from. mover is the run of the move that works on it, until
-- mover_until by the database's clock.
ALTER TABLE bucket ADD COLUMN place SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE bucket ADD COLUMN moves BIGINT NOT NULL DEFAULT 0;
ALTER TABLE bucket ADD COLUMN peer TEXT NOT NULL DEFAULT '';
ALTER TABLE bucket ADD COLUMN mover TEXT NOT NULL DEFAULT '';
ALTER TABLE bucket ADD COLUMN mover_until BIGINT NOT NULL DEFAULT 0;

-- Commands that a log has taken and that were not known to be applied when their call was answered; kept in any cell that was there, to
-- be told again if the log has lost them. data is personal.
CREATE TABLE kept_command (
  id TEXT NOT NULL,
  part INTEGER NOT NULL,
  log BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  data TEXT NOT NULL,
  PRIMARY KEY (id)
);
