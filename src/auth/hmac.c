/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/hmac.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/codec.h"
#include "base/err.h"
#include "base/text.h"
#include "crypto/secret.h"

/* Hashing fails for want of memory only. There is nothing sound to go on with then: a
 * signature that was not computed must not be compared. */
static void must(bool done)
{
	if (!done)
		abort();
}

static void sha256(const void *data, size_t len, uint8_t out[HMAC_LEN])
{
	must(EVP_Digest(data ? data : "", len, out, NULL, EVP_sha256(), NULL) == 1);
}

static void sign(const struct hmac_key *k, struct text *message, uint8_t out[HMAC_LEN])
{
	must(message->err == 0);
	must(HMAC(EVP_sha256(), k->text, (int)k->len, (const uint8_t *)message->data,
		  message->len, out, NULL));
	text_done(message);
}

static void add_body_hash(struct text *message, const void *body, size_t len)
{
	uint8_t hash[HMAC_LEN];

	sha256(body, len, hash);
	text_put_hex(message, hash, sizeof(hash));
}

void hmac_key_done(struct hmac_key *k)
{
	secret_wipe(k->text, sizeof(k->text));
	k->len = 0;
}

void hmac_sign_v1(const struct hmac_key *k, const char *timestamp, const char *nonce,
		  const void *body, size_t body_len, uint8_t out[HMAC_LEN])
{
	struct text message = { .data = NULL };

	text_printf(&message, "timestamp=%s, ", timestamp);
	if (nonce && nonce[0])
		text_printf(&message, "nonce=%s, ", nonce);
	text_puts(&message, "body_hash=");
	add_body_hash(&message, body, body_len);
	sign(k, &message, out);
}

void hmac_sign_v2(const struct hmac_key *k, const char *method, const char *target,
		  const char *timestamp, const char *nonce, const void *body, size_t body_len,
		  uint8_t out[HMAC_LEN])
{
	struct text message = { .data = NULL };

	text_printf(&message, "v2\n%s\n%s\n%s\n%s\n", method, target, timestamp, nonce);
	add_body_hash(&message, body, body_len);
	sign(k, &message, out);
}

/* --- Judging --- */

static bool has_nonce(const struct hmac_request *r)
{
	return (r->is_v2 || r->reads_nonce) && r->nonce && r->nonce[0];
}

/* Every candidate is computed and compared, whichever fits. */
static bool verifies(const struct hmac_key *k, const struct hmac_request *r,
		     const uint8_t given[HMAC_LEN])
{
	const char *nonce = has_nonce(r) ? r->nonce : NULL;
	uint8_t expected[HMAC_LEN];
	bool fits;

	if (r->is_v2) {
		if (!nonce)
			return false;
		hmac_sign_v2(k, r->method, r->target, r->timestamp, nonce, r->body, r->body_len,
			     expected);
		return secret_equal(expected, given, HMAC_LEN);
	}
	hmac_sign_v1(k, r->timestamp, nonce, r->signed_body, r->signed_body_len, expected);
	fits = secret_equal(expected, given, HMAC_LEN);
	if (r->canonical) {
		hmac_sign_v1(k, r->timestamp, nonce, r->canonical, r->canonical_len, expected);
		fits |= secret_equal(expected, given, HMAC_LEN);
	}
	return fits;
}

/* Fields are told apart by the zero octet that ends each: none of them can contain one. */
static void digest_use(const struct hmac_key *k, const struct hmac_request *r,
		       const uint8_t signature[HMAC_LEN], uint8_t out[REPLAY_CACHE_DIGEST_LEN])
{
	const char *what = r->resource && !r->is_v2 ? r->resource : r->target;
	struct text t = { .data = NULL };

	text_add(&t, "use", 4);
	text_add(&t, k->id, strlen(k->id) + 1);
	text_add(&t, r->method, strlen(r->method) + 1);
	text_add(&t, what, strlen(what) + 1);
	text_add(&t, signature, HMAC_LEN);
	must(t.err == 0);
	sha256(t.data, t.len, out);
	text_done(&t);
}

static void digest_nonce(const struct hmac_key *k, const char *nonce,
			 uint8_t out[REPLAY_CACHE_DIGEST_LEN])
{
	struct text t = { .data = NULL };

	text_add(&t, "nonce", 6);
	text_add(&t, k->id, strlen(k->id) + 1);
	text_puts(&t, nonce);
	must(t.err == 0);
	sha256(t.data, t.len, out);
	text_done(&t);
}

enum hmac_verdict hmac_verdict_of(int err)
{
	switch (err) {
	case 0:
		return HMAC_ACCEPTED;
	case ERR_REPLAY:
		return HMAC_REPLAY_DETECTED;
	case ERR_EXPIRED:
		return HMAC_TIMESTAMP_EXPIRED;
	default:
		return HMAC_CACHE_FULL;
	}
}

enum hmac_verdict hmac_judge_time(struct replay_cache *cache, uint64_t now_s,
				  const char *timestamp, uint64_t *ret_signed_s)
{
	static const uint8_t nobody[REPLAY_CACHE_DIGEST_LEN];
	size_t len = strlen(timestamp);

	if (len > HMAC_TIMESTAMP_DIGITS_MAX ||
	    decimal_parse(timestamp, len, UINT64_MAX, ret_signed_s) != 0)
		return HMAC_INVALID_TIMESTAMP;
	return hmac_verdict_of(replay_cache_judge(cache, now_s, nobody, *ret_signed_s));
}

static enum hmac_verdict remember(struct replay_cache *cache, uint64_t now_s,
				  struct hmac_use *use)
{
	int err = 0;

	if (use->has_digest)
		err = replay_cache_add(cache, now_s, use->digest, use->signed_s);
	if (err != 0 || !use->has_nonce)
		return hmac_verdict_of(err);
	err = replay_cache_add(cache, now_s, use->nonce_digest, use->signed_s);
	if (err != 0 && use->has_digest)
		replay_cache_remove(cache, use->digest, use->signed_s);
	return hmac_verdict_of(err);
}

enum hmac_verdict hmac_judge(const struct hmac_key *k, struct replay_cache *cache,
			     uint64_t now_s, const struct hmac_request *r,
			     struct hmac_use *ret_use)
{
	struct hmac_use use = { .has_digest = r->changes, .has_nonce = has_nonce(r) };
	uint8_t given[HMAC_LEN];
	enum hmac_verdict v = hmac_judge_time(cache, now_s, r->timestamp, &use.signed_s);

	if (v != HMAC_ACCEPTED)
		return v;
	if (use.has_nonce) {
		if (strlen(r->nonce) > HMAC_NONCE_MAX)
			return HMAC_INVALID_SIGNATURE;
		digest_nonce(k, r->nonce, use.nonce_digest);
		v = hmac_verdict_of(
			replay_cache_judge(cache, now_s, use.nonce_digest, use.signed_s));
		if (v != HMAC_ACCEPTED)
			return v;
	}
	if (key_from_hex(r->signature, strlen(r->signature), given) != 0 ||
	    !verifies(k, r, given))
		return HMAC_INVALID_SIGNATURE;
	if (use.has_digest)
		digest_use(k, r, given, use.digest);
	v = remember(cache, now_s, &use);
	if (v == HMAC_ACCEPTED)
		*ret_use = use;
	return v;
}

void hmac_forget(struct replay_cache *cache, const struct hmac_use *use)
{
	if (use->has_digest)
		replay_cache_remove(cache, use->digest, use->signed_s);
	if (use->has_nonce)
		replay_cache_remove(cache, use->nonce_digest, use->signed_s);
}

const char *hmac_verdict_text(enum hmac_verdict v)
{
	switch (v) {
	case HMAC_ACCEPTED:
		return "accepted";
	case HMAC_INVALID_TIMESTAMP:
		return "Invalid timestamp";
	case HMAC_TIMESTAMP_EXPIRED:
		return "Timestamp expired";
	case HMAC_REPLAY_DETECTED:
		return "Replay detected";
	case HMAC_INVALID_SIGNATURE:
		return "Invalid signature";
	case HMAC_CACHE_FULL:
		break;
	}
	return "Too many requests to remember";
}
