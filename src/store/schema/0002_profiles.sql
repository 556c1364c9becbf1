-- SPDX-License-Identifier: Apache-2.0
-- How messages are framed: the profiles that an interface accepts beside plain WireGuard, and
-- the level that each peer's configuration was made for. A level is spelled off, low, medium,
-- high or extreme here; records for others derive the word they know from it.

CREATE TABLE profile (
	interface_id INTEGER NOT NULL REFERENCES interface (id),
	name         TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 31),
	level        TEXT NOT NULL CHECK (level IN ('low', 'medium', 'high', 'extreme')),
	parameters   TEXT NOT NULL, -- key=value key=value, as the UAPI spells them
	created_ns   INTEGER NOT NULL,
	until_ns     INTEGER, -- accepted until then; null: for good
	PRIMARY KEY (interface_id, name)
) STRICT, WITHOUT ROWID;

ALTER TABLE peer ADD COLUMN level TEXT NOT NULL DEFAULT 'off'
	CHECK (level IN ('off', 'low', 'medium', 'high', 'extreme'));
