/* SPDX-License-Identifier: Apache-2.0 */
/**
 * enrolments.h - Tokens with which somebody becomes a user, once, without any key of the gateway's
 *
 * Whoever has a master key hands out a token instead of it: POST /api/v1/enrolments, or POST /enrolments of
 * the users' API. Its holder makes a key pair, sends the public key with POST /enroll (users_enroll.c),
 * and is told the rest of a configuration and a key of its own. The private key is never here.
 *
 * Of a token the store has its SHA-256, as a record's name; the body says {"client_id": "…" or null,
 * "until_ns": …}. The record is dropped in the very transaction that makes the user.
 *
 * Bounds:  records_max(STORE_ENROLMENT); those whose time is over go when others are made.
 * Threads: the main loop's.
 */
#pragma once

#include "api/call.h"
#include "gateway/user_text.h"

enum {
	ENROLMENT_TOKEN_LEN = 32,
	ENROLMENT_TOKEN_TEXT_LEN = 64, /* hex digits */
	ENROLMENT_TTL_S = 3600,
	ENROLMENT_TTL_MIN_S = 60,
	ENROLMENT_TTL_MAX_S = 7 * 86400,
};

/** struct enrolment - @client_id: "": whoever has the token chooses */
struct enrolment {
	char client_id[USER_ID_MAX + 1];
	uint64_t until_ns;
};

/** enrolment_read() - From a record's body. Return: 0; ERR_CORRUPT */
int enrolment_read(const char *body, struct enrolment *ret);

/** enrolment_find() - The record of a token that is good now; NULL: none */
const struct record *enrolment_find(const struct call *call, const char *token,
				    struct enrolment *ret);

void enrolments_create(struct call *call);
void enrolments_list(struct call *call);
void enrolments_delete(struct call *call);
