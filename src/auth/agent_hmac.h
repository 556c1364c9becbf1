/* SPDX-License-Identifier: Apache-2.0 */
/**
 * agent_hmac.h - Requests to the node agent, signed with HMAC-SHA256
 *
 * The text is METHOD|PATH|BODY|TIMESTAMP, with |NONCE behind where there is one. Nothing is escaped in
 * it, so what could be read in two ways is refused: a "|" in target or nonce, a method that is no
 * plain word, a timestamp that is not digits alone. PATH is tried as it came without its query,
 * then percent-decoded, then with its query: clients sign all three.
 *
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/hmac.h"

/* struct agent_request - All borrowed; @nonce NULL or "": none */
struct agent_request {
	const char *method;
	const char *target;
	const void *body;
	size_t body_len;
	const char *timestamp;
	const char *nonce;
	const char *signature;
	bool changes;
};

/** agent_hmac_sign() - Over one spelling of the path */
void agent_hmac_sign(const struct hmac_key *k, const struct agent_request *r, const char *path,
		     uint8_t out[HMAC_LEN]);

/**
 * agent_hmac_judge() - Timestamp, its age, nonce, signature, use
 *
 * HMAC_REPLAY_DETECTED also sets @ret_use: the caller may repeat an answer whose effect still
 * stands, if no nonce said otherwise (@ret_use->has_nonce).
 */
enum hmac_verdict agent_hmac_judge(const struct hmac_key *k, struct replay_cache *cache,
				   uint64_t now_s, const struct agent_request *r,
				   struct hmac_use *ret_use);
