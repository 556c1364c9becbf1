/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/bearer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <strings.h>

#include "base/codec.h"
#include "base/err.h"
#include "crypto/secret.h"

static const char scheme[] = "Bearer ", prefix[] = "cvk_";

void bearer_format(const struct bearer *b, char out[BEARER_TEXT_MAX])
{
	int n = snprintf(out, BEARER_TEXT_MAX, "%s%" PRId64 "_", prefix, b->id);

	hex_encode(b->secret, sizeof(b->secret), out + n);
}

int bearer_parse(const char *value, struct bearer *ret)
{
	const char *digits, *secret;
	uint64_t id;

	if (strncasecmp(value, scheme, strlen(scheme)) != 0)
		return ERR_FORMAT;
	value += strlen(scheme);
	value += strspn(value, " ");
	if (strncmp(value, prefix, strlen(prefix)) != 0)
		return ERR_FORMAT;
	digits = value + strlen(prefix);
	secret = strchr(digits, '_');
	if (!secret || decimal_parse(digits, (size_t)(secret - digits), INT64_MAX, &id) != 0)
		return ERR_FORMAT;
	secret++;
	if (strlen(secret) != 2 * BEARER_SECRET_LEN ||
	    hex_decode(secret, strlen(secret), ret->secret, sizeof(ret->secret)) !=
		    BEARER_SECRET_LEN)
		return ERR_FORMAT;
	ret->id = (int64_t)id;
	return 0;
}

void bearer_digest(const uint8_t secret[BEARER_SECRET_LEN], uint8_t out[BEARER_DIGEST_LEN])
{
	if (EVP_Digest(secret, BEARER_SECRET_LEN, out, NULL, EVP_sha256(), NULL) != 1)
		abort(); /* the library is broken or out of memory */
}

bool bearer_matches(const uint8_t secret[BEARER_SECRET_LEN], const uint8_t *digest)
{
	static const uint8_t nobodys[BEARER_DIGEST_LEN];
	uint8_t own[BEARER_DIGEST_LEN];
	bool is_equal;

	bearer_digest(secret, own);
	is_equal = secret_equal(own, digest ? digest : nobodys, sizeof(own));
	return is_equal && digest;
}
