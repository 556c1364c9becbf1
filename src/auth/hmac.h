/* SPDX-License-Identifier: Apache-2.0 */
/**
 * hmac.h - Requests signed with HMAC-SHA256, versions 1 and 2
 *
 * Version 1 signs "timestamp=<ts>, body_hash=<hex SHA-256 of the signed body>", with
 * ", nonce=<nonce>" after the timestamp where a route reads one. It binds neither method
 * nor path: what was captured can be aimed at another target while its timestamp lives.
 * Version 2 (header X-Signature-Version: 2) binds them, and always carries a nonce:
 * "v2\n<METHOD>\n<raw target>\n<timestamp>\n<nonce>\n<hex SHA-256 of the raw body>".
 *
 * Both are refused when used twice: a signature on one method and target once if it may
 * change something, a nonce once altogether.
 *
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/replay_cache.h"

enum {
	HMAC_KEY_MAX = 1024,
	HMAC_NONCE_MAX = 128,
	HMAC_TIMESTAMP_DIGITS_MAX = 12,
	HMAC_LEN = 32,
};

/**
 * struct hmac_key - The text that is the key
 * @id:		Short name, for the replay cache and the audit trail
 * @text:	Used as octets, not decoded
 */
struct hmac_key {
	char id[32];
	size_t len;
	uint8_t text[HMAC_KEY_MAX];
};

/**
 * struct hmac_request - What the caller knows of a request; all borrowed
 * @target:	The raw request target, query included
 * @resource:	What the target stands for, in one spelling: version 1 signs no target, so
 *		another spelling must not be another use. NULL: @target itself
 * @signature, @timestamp, @nonce: Header values, NULL when absent
 * @body, @body_len: The body as received
 * @signed_body, @signed_body_len: What version 1 signs on this route
 * @canonical, @canonical_len: A second text version 1 may have signed; NULL: none
 * @is_v2:	Version 2 is claimed
 * @reads_nonce: This route reads a nonce in version 1 too
 * @changes:	The request may change something: it is good for one use only
 */
struct hmac_request {
	const char *method;
	const char *target;
	const char *resource;
	const char *signature;
	const char *timestamp;
	const char *nonce;
	const void *body;
	size_t body_len;
	const void *signed_body;
	size_t signed_body_len;
	const void *canonical;
	size_t canonical_len;
	bool is_v2;
	bool reads_nonce;
	bool changes;
};

enum hmac_verdict {
	HMAC_ACCEPTED,
	HMAC_INVALID_TIMESTAMP,
	HMAC_TIMESTAMP_EXPIRED,
	HMAC_REPLAY_DETECTED,
	HMAC_INVALID_SIGNATURE,
	HMAC_CACHE_FULL, /* cannot promise to notice a replay: try again later */
};

/**
 * struct hmac_use - What was remembered of an accepted request
 * @has_digest:	The request changes something: @digest goes to the store with the change
 */
struct hmac_use {
	bool has_digest;
	bool has_nonce;
	uint8_t digest[REPLAY_CACHE_DIGEST_LEN];
	uint8_t nonce_digest[REPLAY_CACHE_DIGEST_LEN];
	uint64_t signed_s;
};

/* Wipe the key. */
void hmac_key_done(struct hmac_key *k);

/** hmac_sign_v1() - The signature over a body, @nonce NULL or "" for none */
void hmac_sign_v1(const struct hmac_key *k, const char *timestamp, const char *nonce,
		  const void *body, size_t body_len, uint8_t out[HMAC_LEN]);
void hmac_sign_v2(const struct hmac_key *k, const char *method, const char *target,
		  const char *timestamp, const char *nonce, const void *body, size_t body_len,
		  uint8_t out[HMAC_LEN]);

/**
 * hmac_judge() - Check in this order: timestamp, its age, nonce, signature, use
 *
 * Only an accepted request is remembered. @ret_use is written when accepted.
 */
enum hmac_verdict hmac_judge(const struct hmac_key *k, struct replay_cache *cache,
			     uint64_t now_s, const struct hmac_request *r,
			     struct hmac_use *ret_use);

/* --- For other texts that are signed with such a key (agent_hmac.h) --- */

/** hmac_judge_time() - Is @timestamp a number, and is it near @now_s? */
enum hmac_verdict hmac_judge_time(struct replay_cache *cache, uint64_t now_s,
				  const char *timestamp, uint64_t *ret_signed_s);

/** hmac_verdict_of() - What the replay cache said, as a verdict */
enum hmac_verdict hmac_verdict_of(int err);

/** hmac_forget() - The request came to nothing (a full disk): it may be sent again as it is */
void hmac_forget(struct replay_cache *cache, const struct hmac_use *use);

/** hmac_verdict_text() - As the callers know it: "Timestamp expired" */
const char *hmac_verdict_text(enum hmac_verdict v);
