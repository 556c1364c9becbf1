/* SPDX-License-Identifier: Apache-2.0 */
/**
 * peer_fields.h - The members of a peer that our own API reads, for new peers and for changes
 *
 * "name", "enabled", "obfuscation_level", "dns", "public_key", "preshared_key", "addresses",
 * "account", "access", "expires", "quota", "rate_bps", "keepalive", "routes", "schedule", "note".
 * In a change a member that is absent stays what it is, and null takes it away.
 *
 * Threads: none here.
 */
#pragma once

#include "api/call.h"
#include "gateway/gateway.h"
#include "http/json.h"

/**
 * struct peer_fields - What was read; @edit points into it and into the JSON
 * @edit.fields: Which members there were
 * @has_private_key: A preshared key was made here, and is to be shown
 */
struct peer_fields {
	struct gateway_edit edit;
	char routes[STORE_ROUTES_MAX + 1];
	bool made_preshared_key;
};

/**
 * peer_fields_read() - Read them all; what is wrong is in @r's errors
 * @now_ns:	Wall clock: nothing expires in the past
 */
void peer_fields_read(struct json_reader *r, uint64_t now_ns, struct peer_fields *ret);

/** peer_fields_init_add() - The limits of a new peer: what was read, else the defaults */
void peer_fields_init_add(const struct peer_fields *f, struct gateway_add *ret);

/**
 * peer_fields_refuse_unknown() - Whatever else there is in the body is refused by its name
 * @beside:	One more that it may have; NULL: none
 */
void peer_fields_refuse_unknown(struct json_reader *r, const char *beside);

const char *peer_fields_period_word(enum store_period period);
