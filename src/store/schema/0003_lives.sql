-- SPDX-License-Identifier: Apache-2.0
-- The lives of a peer: who owns it, until when, how much and how fast, where to; small objects
-- beside peers (accounts, keys, webhooks, links, access lists); what a peer has used; which
-- requests were answered; and an audit trail whose rows are chained.
-- A column "sealed" holds what store/seal.h made of a secret.

ALTER TABLE peer DROP COLUMN account_id;
DROP TABLE account;

CREATE TABLE record (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	kind       INTEGER NOT NULL, -- enum store_record_kind
	name       TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
	body       TEXT, -- JSON
	sealed     BLOB, -- the same, of a kind that holds secrets
	created_ns INTEGER NOT NULL,
	changed_ns INTEGER NOT NULL,
	UNIQUE (kind, name),
	CHECK ((body IS NULL) <> (sealed IS NULL))
) STRICT;

ALTER TABLE peer ADD COLUMN account_id INTEGER REFERENCES record (id);
ALTER TABLE peer ADD COLUMN access_id INTEGER REFERENCES record (id);
ALTER TABLE peer ADD COLUMN sealed BLOB; -- its preshared key
ALTER TABLE peer ADD COLUMN expires_ns INTEGER NOT NULL DEFAULT 0; -- 0: never
ALTER TABLE peer ADD COLUMN quota_bytes INTEGER NOT NULL DEFAULT 0; -- 0: none
ALTER TABLE peer ADD COLUMN quota_period INTEGER NOT NULL DEFAULT 0; -- enum store_period
ALTER TABLE peer ADD COLUMN rate_bps INTEGER NOT NULL DEFAULT 0; -- 0: none
ALTER TABLE peer ADD COLUMN keepalive_s INTEGER NOT NULL DEFAULT 25;
ALTER TABLE peer ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0; -- enum store_block, or'ed
ALTER TABLE peer ADD COLUMN routes TEXT; -- networks behind it: prefixes with commas
ALTER TABLE peer ADD COLUMN schedule TEXT;
ALTER TABLE peer ADD COLUMN note TEXT;

CREATE INDEX peer_account ON peer (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX peer_access ON peer (access_id) WHERE access_id IS NOT NULL;

-- Opaque to the store: gateway/usage.h reads it.
CREATE TABLE usage (
	peer_id INTEGER PRIMARY KEY REFERENCES peer (id) ON DELETE CASCADE,
	data    BLOB NOT NULL
) STRICT;

-- Requests with an Idempotency-Key, and what they made.
CREATE TABLE answered (
	digest      BLOB PRIMARY KEY CHECK (length(digest) = 32), -- of caller and key
	fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32), -- of the request
	subject     INTEGER NOT NULL, -- id of the peer or record
	time_ns     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX answered_time ON answered (time_ns);

-- Rows written before have no place in the chain.
ALTER TABLE audit ADD COLUMN detail TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN prev BLOB;
ALTER TABLE audit ADD COLUMN hash BLOB;
