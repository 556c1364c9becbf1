-- SPDX-License-Identifier: Apache-2.0
-- Times are nanoseconds since 1970 UTC in columns _ns, seconds in columns _s.

CREATE TABLE interface (
	id         INTEGER PRIMARY KEY,
	name       TEXT NOT NULL UNIQUE,
	public_key BLOB NOT NULL CHECK (length(public_key) = 32),
	created_ns INTEGER NOT NULL
) STRICT;

CREATE TABLE account (
	id         INTEGER PRIMARY KEY,
	name       TEXT NOT NULL UNIQUE,
	created_ns INTEGER NOT NULL
) STRICT;

CREATE TABLE peer (
	id           INTEGER PRIMARY KEY AUTOINCREMENT,
	interface_id INTEGER NOT NULL REFERENCES interface (id),
	account_id   INTEGER REFERENCES account (id),
	public_key   BLOB NOT NULL CHECK (length(public_key) = 32),
	name         TEXT CHECK (length(name) BETWEEN 1 AND 64),
	status       INTEGER NOT NULL CHECK (status IN (1, 2)), -- 1 active, 2 suspended
	families     INTEGER NOT NULL, -- of the tunnel's traffic: 1 IPv4, 2 IPv6, 3 both
	port         INTEGER NOT NULL, -- the customer's, echoed
	dns          TEXT NOT NULL,
	obfuscation  TEXT, -- JSON, validated; null when the caller sent none
	created_ns   INTEGER NOT NULL,
	changed_ns   INTEGER NOT NULL,
	UNIQUE (interface_id, public_key)
) STRICT;

CREATE UNIQUE INDEX peer_name ON peer (name) WHERE name IS NOT NULL;

-- An address belongs to a peer or rests after one: never both, never neither.
CREATE TABLE address (
	interface_id  INTEGER NOT NULL REFERENCES interface (id),
	ip            BLOB NOT NULL CHECK (length(ip) IN (4, 16)),
	peer_id       INTEGER REFERENCES peer (id),
	rest_until_ns INTEGER,
	PRIMARY KEY (interface_id, ip),
	CHECK ((peer_id IS NULL) <> (rest_until_ns IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX address_peer ON address (peer_id) WHERE peer_id IS NOT NULL;

-- Signatures that allowed a change, kept while their timestamp could be accepted again.
-- Looked up in memory; here they are only appended and, from the front, dropped.
CREATE TABLE signature (
	id       INTEGER PRIMARY KEY,
	digest   BLOB NOT NULL CHECK (length(digest) = 32),
	signed_s INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (
	id      INTEGER PRIMARY KEY,
	time_ns INTEGER NOT NULL,
	who     TEXT NOT NULL,
	action  TEXT NOT NULL,
	subject TEXT NOT NULL
) STRICT;

-- Single facts. signature_floor_s: no timestamp up to it is accepted any more, because
-- signatures with it have been forgotten.
CREATE TABLE fact (
	name  TEXT PRIMARY KEY,
	value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
