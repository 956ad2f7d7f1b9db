-- Who may use the console. hash is argon2id, in the form of PHC strings; "" until the account was opened by its link.
CREATE TABLE account (
  name TEXT NOT NULL PRIMARY KEY,
  role TEXT NOT NULL,
  hash TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  disabled_at BIGINT NOT NULL,
  failed INTEGER NOT NULL,
  failed_at BIGINT NOT NULL,
  link TEXT NOT NULL,
  link_until BIGINT NOT NULL
);

-- Who is signed in. digest is SHA-256 of what the browser holds.
CREATE TABLE session (
  digest TEXT NOT NULL PRIMARY KEY,
  account TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  seen_at BIGINT NOT NULL,
  until BIGINT NOT NULL
);
CREATE INDEX session_account ON session (account);
