/* SPDX-License-Identifier: Apache-2.0 */
#include "store/seal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/wire.h"
#include "crypto/suite.h"

enum { AD_MAX = 256 };

struct seal {
	struct suite *suite;
	struct secret_key secrets;
	struct secret_key chain;
};

int seal_new(const struct secret_key *master, struct seal **ret)
{
	static const uint8_t salt[HASH_LEN] = "culvert seal 1";
	struct seal *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	err = suite_new(SUITE_OPENSSL, &s->suite);
	if (err != 0) {
		free(s);
		return err;
	}
	kdf(s->suite, (uint8_t *const[]){ s->secrets.b, s->chain.b }, 2, salt, master->b,
	    sizeof(master->b));
	*ret = s;
	return 0;
}

struct seal *seal_free(struct seal *s)
{
	if (!s)
		return NULL;
	secret_key_done(&s->secrets);
	secret_key_done(&s->chain);
	suite_free(s->suite);
	free(s);
	return NULL;
}

/* "what" NUL place: no two places have the same text. Return: its length. */
static size_t bind_place(const char *what, const void *place, size_t place_len,
			 uint8_t ad[AD_MAX])
{
	size_t what_len = strlen(what) + 1;

	assert(what_len + place_len <= AD_MAX);
	memcpy(ad, what, what_len);
	if (place_len > 0)
		memcpy(ad + what_len, place, place_len);
	return what_len + place_len;
}

void seal_close(struct seal *s, const char *what, const void *place, size_t place_len,
		const uint8_t nonce[SEAL_NONCE_LEN], const void *in, size_t len, uint8_t *out)
{
	uint8_t ad[AD_MAX];
	size_t ad_len = bind_place(what, place, place_len, ad);

	memcpy(out, nonce, SEAL_NONCE_LEN);
	xaead_seal(s->suite, s->secrets.b, nonce, ad, ad_len, in, len, out + SEAL_NONCE_LEN);
}

int seal_open(struct seal *s, const char *what, const void *place, size_t place_len,
	      const uint8_t *in, size_t len, uint8_t *out)
{
	uint8_t ad[AD_MAX];
	size_t ad_len = bind_place(what, place, place_len, ad);

	if (len < SEAL_OVERHEAD)
		return ERR_AUTH;
	return xaead_open(s->suite, s->secrets.b, in, ad, ad_len, in + SEAL_NONCE_LEN,
			  len - SEAL_OVERHEAD, out)
		       ? 0
		       : ERR_AUTH;
}

void seal_chain(struct seal *s, const uint8_t prev[SEAL_CHAIN_LEN], const struct seal_row *row,
		uint8_t out[SEAL_CHAIN_LEN])
{
	uint8_t numbers[16];
	const struct hash_part parts[] = {
		{ prev, SEAL_CHAIN_LEN },
		{ numbers, sizeof(numbers) },
		/* With their NUL: where one text ends and the next begins is part of it. */
		{ row->who, strlen(row->who) + 1 },
		{ row->action, strlen(row->action) + 1 },
		{ row->subject, strlen(row->subject) + 1 },
		{ row->detail, strlen(row->detail) + 1 },
	};

	put_be64(numbers, (uint64_t)row->id);
	put_be64(numbers + 8, row->time_ns);
	hmac_blake2s(s->suite, out, s->chain.b, sizeof(s->chain.b), parts,
		     sizeof(parts) / sizeof(parts[0]));
}
