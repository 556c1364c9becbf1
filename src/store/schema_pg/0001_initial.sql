-- SPDX-License-Identifier: Apache-2.0
-- One database serves many gateways, each with an interface of its own: every row belongs to one,
-- and only the gateway that holds the interface's advisory lock writes them. The session's search
-- path is the schema "culvert". Numbers are bigint throughout, so that a value has one width on the
-- wire. Times are nanoseconds since 1970 UTC in columns _ns, seconds in columns _s. A column
-- "sealed" holds what store/seal.h made of a secret.

CREATE TABLE interface (
	id                bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
	name              text NOT NULL UNIQUE CHECK (octet_length(name) BETWEEN 1 AND 64),
	public_key        bytea NOT NULL CHECK (octet_length(public_key) = 32),
	sealed            bytea NOT NULL, -- opens with the master key of the gateway alone
	mark              bytea NOT NULL CHECK (octet_length(mark) = 16), -- of the newest group
	signature_floor_s bigint NOT NULL DEFAULT 0, -- timestamps up to it are accepted no more
	created_ns        bigint NOT NULL
);

-- Small objects beside peers: accounts, keys, webhooks, links, access lists, settings.
CREATE TABLE record (
	id           bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
	interface_id bigint NOT NULL REFERENCES interface (id),
	kind         bigint NOT NULL, -- enum store_record_kind
	name         text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 64),
	body         text, -- JSON
	sealed       bytea, -- the same, of a kind that holds secrets
	created_ns   bigint NOT NULL,
	changed_ns   bigint NOT NULL,
	UNIQUE (interface_id, kind, name),
	UNIQUE (interface_id, id),
	CHECK ((body IS NULL) <> (sealed IS NULL))
);

CREATE TABLE peer (
	id           bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
	interface_id bigint NOT NULL REFERENCES interface (id),
	public_key   bytea NOT NULL CHECK (octet_length(public_key) = 32),
	name         text CHECK (octet_length(name) BETWEEN 1 AND 64),
	status       bigint NOT NULL CHECK (status IN (1, 2)), -- 1 active, 2 suspended
	families     bigint NOT NULL, -- of the tunnel's traffic: 1 IPv4, 2 IPv6, 3 both
	port         bigint NOT NULL, -- the customer's, echoed
	dns          text NOT NULL,
	obfuscation  text, -- JSON, validated; null when the caller sent none
	level        text NOT NULL CHECK (level IN ('off', 'low', 'medium', 'high', 'extreme')),
	account_id   bigint,
	access_id    bigint,
	sealed       bytea, -- its preshared key
	expires_ns   bigint NOT NULL, -- 0: never
	quota_bytes  bigint NOT NULL, -- 0: none
	quota_period bigint NOT NULL, -- enum store_period
	rate_bps     bigint NOT NULL, -- 0: none
	keepalive_s  bigint NOT NULL,
	blocked      bigint NOT NULL, -- enum store_block, or'ed
	routes       text, -- networks behind it: prefixes with commas
	schedule     text,
	note         text,
	created_ns   bigint NOT NULL,
	changed_ns   bigint NOT NULL,
	UNIQUE (interface_id, public_key),
	FOREIGN KEY (interface_id, account_id) REFERENCES record (interface_id, id),
	FOREIGN KEY (interface_id, access_id) REFERENCES record (interface_id, id)
);

CREATE UNIQUE INDEX peer_name ON peer (interface_id, name) WHERE name IS NOT NULL;
CREATE INDEX peer_account ON peer (interface_id, account_id) WHERE account_id IS NOT NULL;
CREATE INDEX peer_access ON peer (interface_id, access_id) WHERE access_id IS NOT NULL;

-- An address belongs to a peer or rests after one: never both, never neither.
CREATE TABLE address (
	interface_id  bigint NOT NULL REFERENCES interface (id),
	ip            bytea NOT NULL CHECK (octet_length(ip) IN (4, 16)),
	peer_id       bigint REFERENCES peer (id),
	rest_until_ns bigint,
	PRIMARY KEY (interface_id, ip),
	CHECK ((peer_id IS NULL) <> (rest_until_ns IS NULL))
);

CREATE INDEX address_peer ON address (peer_id) WHERE peer_id IS NOT NULL;

-- How messages are framed: what the interface accepts beside plain WireGuard.
CREATE TABLE profile (
	interface_id bigint NOT NULL REFERENCES interface (id),
	name         text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 31),
	level        text NOT NULL CHECK (level IN ('low', 'medium', 'high', 'extreme')),
	parameters   text NOT NULL, -- key=value key=value, as the UAPI spells them
	created_ns   bigint NOT NULL,
	until_ns     bigint, -- accepted until then; null: for good
	PRIMARY KEY (interface_id, name)
);

-- Opaque to the store: gateway/usage.h reads it.
CREATE TABLE usage (
	peer_id bigint PRIMARY KEY REFERENCES peer (id) ON DELETE CASCADE,
	data    bytea NOT NULL
);

-- Signatures that allowed a change, kept while their timestamp could be accepted again.
-- Looked up in memory; here they are only appended and, from the front, dropped.
CREATE TABLE signature (
	id           bigint GENERATED ALWAYS AS IDENTITY,
	interface_id bigint NOT NULL REFERENCES interface (id),
	digest       bytea NOT NULL CHECK (octet_length(digest) = 32),
	signed_s     bigint NOT NULL,
	PRIMARY KEY (interface_id, id)
);

-- Requests with an Idempotency-Key, and what they made.
CREATE TABLE answered (
	interface_id bigint NOT NULL REFERENCES interface (id),
	digest       bytea NOT NULL CHECK (octet_length(digest) = 32), -- of caller and key
	fingerprint  bytea NOT NULL CHECK (octet_length(fingerprint) = 32), -- of the request
	subject      bigint NOT NULL, -- id of the peer or record
	time_ns      bigint NOT NULL,
	PRIMARY KEY (interface_id, digest)
);

CREATE INDEX answered_time ON answered (interface_id, time_ns);

-- Rows of one interface are chained.
CREATE TABLE audit (
	interface_id bigint NOT NULL REFERENCES interface (id),
	id           bigint NOT NULL,
	time_ns      bigint NOT NULL,
	who          text NOT NULL,
	action       text NOT NULL,
	subject      text NOT NULL,
	detail       text NOT NULL,
	prev         bytea NOT NULL CHECK (octet_length(prev) = 32),
	hash         bytea NOT NULL CHECK (octet_length(hash) = 32),
	PRIMARY KEY (interface_id, id)
);
