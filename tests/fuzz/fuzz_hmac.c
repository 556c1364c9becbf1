/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header fields and body of a signed request, one per line: method, target, timestamp,
 * nonce, signature, then the body. Nothing is accepted that was not signed with the key;
 * the same fields signed properly are accepted once.
 */
#include <string.h>

#include <strings.h>

#include "auth/hmac.h"
#include "base/codec.h"
#include "fuzz.h"

enum {
	FIELDS = 5,
	NOW = 1700000000,
};

struct fields {
	char *text[FIELDS];
	const char *body;
	size_t body_len;
};

/* Cut lines off a copy that ends with a NUL. False: too few, or a NUL inside. */
static bool cut(char *copy, size_t size, struct fields *f)
{
	char *at = copy;

	for (int i = 0; i < FIELDS; i++) {
		char *end = memchr(at, '\n', size - (size_t)(at - copy));

		if (!end || memchr(at, '\0', (size_t)(end - at)))
			return false;
		*end = '\0';
		f->text[i] = at;
		at = end + 1;
	}
	f->body = at;
	f->body_len = size - (size_t)(at - copy);
	return true;
}

static struct hmac_request request_of(const struct fields *f, bool is_v2)
{
	return (struct hmac_request){
		.method = f->text[0],
		.target = f->text[1],
		.timestamp = f->text[2],
		.nonce = f->text[3],
		.signature = f->text[4],
		.body = f->body,
		.body_len = f->body_len,
		.signed_body = f->body,
		.signed_body_len = f->body_len,
		.is_v2 = is_v2,
		.reads_nonce = true,
		.changes = true,
	};
}

static void judge(const struct fields *f, bool is_v2)
{
	struct hmac_key key = { .id = "k", .len = 3, .text = "key" };
	struct hmac_request r = request_of(f, is_v2);
	struct replay_cache *cache = NULL;
	char good[2 * HMAC_LEN + 1];
	uint8_t mac[HMAC_LEN];
	struct hmac_use use;
	enum hmac_verdict given, again;

	HOLDS(replay_cache_new(60, 8, &cache) == 0);
	if (is_v2)
		hmac_sign_v2(&key, r.method, r.target, r.timestamp, r.nonce, r.body, r.body_len,
			     mac);
	else
		hmac_sign_v1(&key, r.timestamp, r.nonce, r.body, r.body_len, mac);
	hex_encode(mac, sizeof(mac), good);
	given = hmac_judge(&key, cache, NOW, &r, &use);
	HOLDS(given != HMAC_ACCEPTED || strcasecmp(r.signature, good) == 0);
	r.signature = good;
	again = hmac_judge(&key, cache, NOW, &r, &use);
	if (given == HMAC_ACCEPTED)
		HOLDS(again == HMAC_REPLAY_DETECTED);
	if (again == HMAC_ACCEPTED) {
		HOLDS(use.signed_s >= NOW - 60 && use.signed_s <= NOW + 60);
		HOLDS(!is_v2 || (r.nonce[0] && strlen(r.nonce) <= HMAC_NONCE_MAX));
		HOLDS(hmac_judge(&key, cache, NOW, &r, &use) == HMAC_REPLAY_DETECTED);
	}
	replay_cache_free(cache);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size + 1);
	struct fields f;

	HOLDS(copy);
	if (size > 0)
		memcpy(copy, data, size);
	copy[size] = '\0';
	if (cut(copy, size, &f)) {
		judge(&f, false);
		judge(&f, true);
	}
	free(copy);
	return 0;
}
