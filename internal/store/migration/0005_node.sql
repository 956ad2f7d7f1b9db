-- Nodes are the processes that work on this store at one time, each with a lease. Instants here are by the database's
-- clock, never by a node's own. A node whose ended_at is set never comes back: its buckets are free for good, whatever it
-- still believes. skew is how far a node's clock was ahead of the database's when it was last heard.
CREATE TABLE node (
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  started_at BIGINT NOT NULL,
  heard_at BIGINT NOT NULL,
  until BIGINT NOT NULL,
  ended_at BIGINT NOT NULL,
  skew BIGINT NOT NULL,
  PRIMARY KEY (id)
);

-- Who works on a bucket: the node of that id while it has not ended, or nobody. epoch counts the changes of hands.
CREATE TABLE bucket_lease (
  bucket INTEGER NOT NULL PRIMARY KEY,
  owner TEXT NOT NULL DEFAULT '',
  epoch BIGINT NOT NULL DEFAULT 0,
  since BIGINT NOT NULL DEFAULT 0
);

INSERT INTO bucket_lease (bucket) SELECT bucket FROM bucket;
