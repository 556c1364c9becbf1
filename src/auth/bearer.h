/* SPDX-License-Identifier: Apache-2.0 */
/**
 * bearer.h - Keys that are shown to a server whole: made, written, recognised
 *
 * A key of ours is "cvk_<id>_<64 hex digits>": the number finds its record, the 256 random bits prove
 * it. Only their SHA-256 is kept: there is nothing to guess in it, so no slow hash is needed.
 *
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	BEARER_SECRET_LEN = 32,
	BEARER_DIGEST_LEN = 32,
	BEARER_TEXT_MAX = 96, /* NUL included */
};

/* struct bearer - A key as it was shown */
struct bearer {
	int64_t id;
	uint8_t secret[BEARER_SECRET_LEN];
};

/** bearer_format() - The text of a key; the caller wipes @out */
void bearer_format(const struct bearer *b, char out[BEARER_TEXT_MAX]);

/**
 * bearer_parse() - The key in the value of an Authorization field, "Bearer cvk_7_…"
 *
 * Return: 0; ERR_FORMAT. The caller wipes @ret.
 */
int bearer_parse(const char *value, struct bearer *ret);

void bearer_digest(const uint8_t secret[BEARER_SECRET_LEN], uint8_t out[BEARER_DIGEST_LEN]);

/** bearer_matches() - Is it the secret with that digest? In constant time; @digest NULL: no, and it
 *  takes as long */
bool bearer_matches(const uint8_t secret[BEARER_SECRET_LEN], const uint8_t *digest);
