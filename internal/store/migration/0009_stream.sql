-- How far the commands of a log have taken effect in a bucket. Written in the transaction that they take effect in: one that is
-- delivered again is known by it. log is the instant at which the log was made, in microseconds, so that numbers which begin
-- anew are not taken for old ones; answer is what became of the command last_seq, as JSON, to be told again.
CREATE TABLE stream_mark (
  bucket INTEGER NOT NULL PRIMARY KEY,
  log BIGINT NOT NULL DEFAULT 0,
  last_seq BIGINT NOT NULL DEFAULT 0,
  answer TEXT NOT NULL DEFAULT ''
);

INSERT INTO stream_mark (bucket) SELECT bucket FROM bucket;
