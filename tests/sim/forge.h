/* SPDX-License-Identifier: Apache-2.0 */
/**
 * forge.h - Handshake messages that no engine made
 *
 * Somebody who knows a node's public key, as every attacker may, and perhaps a private key.
 */
#pragma once

#include <stdint.h>

#include "net.h"
#include "noise/cookie.h"
#include "noise/handshake.h"

struct forger {
	struct sim *sim;
	struct suite *suite;
	struct noise_identity identity;
	struct noise_remote target;
	struct cookie_maker maker; /* holds the cookie he was given */
	uint32_t type;		   /* word that he puts into initiations; plain at first */
};

/** forger_init() - @key: whose private key he has; NULL: one nobody knows */
void forger_init(struct forger *f, const struct sim_node *target, const struct secret_key *key);
void forger_done(struct forger *f);

/* A whole initiation to the target with the label of @unix_ns, with MAC1, and MAC2 if he has a
 * cookie. */
void forge_initiation(struct forger *f, uint32_t sender, uint64_t unix_ns,
		      struct msg_initiation *ret);

/* Take the cookie out of a reply to the last initiation. false: it is none. */
bool forger_take_cookie(struct forger *f, const void *reply);

/* Compute MAC1 anew after a change, as sent to @to. MAC2 is zeroed. */
void forge_mac1(struct forger *f, const struct sim_node *to, void *message, uint32_t len);
