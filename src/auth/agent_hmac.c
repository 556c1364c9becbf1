/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/agent_hmac.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/codec.h"
#include "base/err.h"
#include "base/text.h"
#include "crypto/secret.h"

enum { PATH_MAX_LEN = 8192 };

static void must(bool done)
{
	if (!done)
		abort(); /* the library is broken or out of memory */
}

void agent_hmac_sign(const struct hmac_key *k, const struct agent_request *r, const char *path,
		     uint8_t out[HMAC_LEN])
{
	struct text t = { .data = NULL };
	unsigned int len = HMAC_LEN;

	text_printf(&t, "%s|%s|", r->method, path);
	text_add(&t, r->body, r->body_len);
	text_printf(&t, "|%s", r->timestamp);
	if (r->nonce && r->nonce[0])
		text_printf(&t, "|%s", r->nonce);
	must(t.err == 0 && HMAC(EVP_sha256(), k->text, (int)k->len, (const uint8_t *)t.data,
				t.len, out, &len));
	text_done(&t);
}

/* Could the text be another request's as well? */
static bool is_ambiguous(const struct agent_request *r)
{
	return strchr(r->target, '|') || (r->nonce && strchr(r->nonce, '|')) ||
	       strspn(r->method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(r->method);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* false: a broken escape, or one that hides a "|" or what is not visible ASCII. */
static bool decode(const char *path, char out[PATH_MAX_LEN + 1])
{
	size_t n = 0;

	for (; *path; path++) {
		char c = *path;

		if (c == '%') {
			int hi = hex_digit(path[1]);
			int lo = hi < 0 ? -1 : hex_digit(path[2]);

			if (lo < 0)
				return false;
			c = (char)(hi * 16 + lo);
			path += 2;
		}
		if (c <= ' ' || c == '|' || c == 0x7f)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return true;
}

static bool fits(const struct hmac_key *k, const struct agent_request *r, const char *path,
		 const uint8_t given[HMAC_LEN])
{
	uint8_t own[HMAC_LEN];

	agent_hmac_sign(k, r, path, own);
	return secret_equal(own, given, HMAC_LEN);
}

static bool verifies(const struct hmac_key *k, const struct agent_request *r,
		     const uint8_t given[HMAC_LEN])
{
	static const char none[] = "";
	char raw[PATH_MAX_LEN + 1], decoded[PATH_MAX_LEN + 1];
	size_t len = strcspn(r->target, "?");
	bool good;

	if (strlen(r->target) > PATH_MAX_LEN)
		return false;
	memcpy(raw, r->target, len);
	raw[len] = '\0';
	good = fits(k, r, raw, given);
	good |= fits(k, r, decode(raw, decoded) ? decoded : none, given) &&
		decode(raw, decoded);
	return good | fits(k, r, r->target, given);
}

/* Fields are told apart by the zero octet that ends each. */
static void digest(const struct hmac_key *k, const char *kind, const void *what, size_t len,
		   uint8_t out[REPLAY_CACHE_DIGEST_LEN])
{
	struct text t = { .data = NULL };

	text_add(&t, kind, strlen(kind) + 1);
	text_add(&t, k->id, strlen(k->id) + 1);
	text_add(&t, what, len);
	must(t.err == 0 && EVP_Digest(t.data, t.len, out, NULL, EVP_sha256(), NULL) == 1);
	text_done(&t);
}

enum hmac_verdict agent_hmac_judge(const struct hmac_key *k, struct replay_cache *cache,
				   uint64_t now_s, const struct agent_request *r,
				   struct hmac_use *ret_use)
{
	const char *nonce = r->nonce ? r->nonce : "";
	size_t nonce_len = strlen(nonce);
	struct hmac_use use = { .has_digest = r->changes, .has_nonce = nonce_len > 0 };
	uint8_t given[HMAC_LEN];
	enum hmac_verdict v = hmac_judge_time(cache, now_s, r->timestamp, &use.signed_s);

	if (v != HMAC_ACCEPTED)
		return v;
	if (is_ambiguous(r) || nonce_len > HMAC_NONCE_MAX ||
	    key_from_hex(r->signature, strlen(r->signature), given) != 0 ||
	    !verifies(k, r, given))
		return HMAC_INVALID_SIGNATURE;
	if (use.has_nonce) {
		digest(k, "agent nonce", nonce, nonce_len, use.nonce_digest);
		v = hmac_verdict_of(
			replay_cache_add(cache, now_s, use.nonce_digest, use.signed_s));
	}
	if (v == HMAC_ACCEPTED && use.has_digest) {
		/* Nothing of the target, which has many spellings: the signature binds it. */
		digest(k, "agent use", given, sizeof(given), use.digest);
		v = hmac_verdict_of(replay_cache_add(cache, now_s, use.digest, use.signed_s));
	}
	if (v == HMAC_ACCEPTED || v == HMAC_REPLAY_DETECTED)
		*ret_use = use;
	return v;
}
