/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE2s and what is built on it, against RFC 7693 and Python's hashlib and hmac. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "../../vectors/vectors.h"
#include "../test.h"
#include "crypto/short_hash.h"
#include "crypto/suite.h"
#include "seeded.h"

static struct suite *suite;

static void hashes_the_example_of_rfc_7693(void)
{
	uint8_t expected[HASH_LEN], out[HASH_LEN];

	vectors_hex("508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982",
		    expected, sizeof(expected));
	hash_parts(suite, out, &(struct hash_part){ "abc", 3 }, 1);
	CHECK(memcmp(out, expected, HASH_LEN) == 0);
}

/* @parts of @text, cut at random places. */
static size_t cut(const uint8_t *text, size_t len, struct hash_part parts[4])
{
	size_t used = 0;

	for (size_t i = 0; i < 3; i++) {
		size_t take = seeded_next() % (len - used + 1);

		parts[i] = (struct hash_part){ text + used, take };
		used += take;
	}
	parts[3] = (struct hash_part){ text + used, len - used };
	return 4;
}

static bool case_holds(const struct vectors *v)
{
	uint8_t key[256], text[1024], expected[3 * HASH_LEN], out[3 * HASH_LEN];
	size_t key_len = vectors_bytes(v, 1, key, sizeof(key));
	size_t len = vectors_bytes(v, 2, text, sizeof(text));
	size_t out_len = vectors_bytes(v, 3, expected, sizeof(expected));
	struct hash_part parts[4];
	size_t n = cut(text, len, parts);

	if (strcmp(v->field[0], "hash") == 0)
		hash_parts(suite, out, parts, n);
	else if (strcmp(v->field[0], "mac") == 0)
		mac_parts(suite, out, key, key_len, parts, n);
	else if (strcmp(v->field[0], "hmac") == 0)
		hmac_blake2s(suite, out, key, key_len, parts, n);
	else if (strcmp(v->field[0], "kdf") == 0)
		kdf(suite, (uint8_t *[]){ out, out + HASH_LEN, out + 2 * HASH_LEN },
		    out_len / HASH_LEN, key, text, len);
	else
		return false;
	return memcmp(out, expected, out_len) == 0;
}

static void agrees_with_hashlib_and_hmac_however_the_text_is_cut(void)
{
	struct vectors v = { 0 };

	if (vectors_open(&v, "blake2s.txt")) {
		while (vectors_next(&v))
			CHECK(case_holds(&v));
	}
	CHECK(v.cases == 296);
}

static void writes_the_output_over_an_input(void)
{
	uint8_t buffer[HASH_LEN + 8], expected[HASH_LEN], second[HASH_LEN], out[HASH_LEN];

	seeded_fill(buffer, sizeof(buffer));
	hash_parts(suite, expected, &(struct hash_part){ buffer, sizeof(buffer) }, 1);
	hash_parts(suite, buffer, &(struct hash_part){ buffer, sizeof(buffer) }, 1);
	CHECK(memcmp(buffer, expected, HASH_LEN) == 0);

	kdf(suite, (uint8_t *[]){ expected, second }, 2, buffer, "x", 1);
	kdf(suite, (uint8_t *[]){ buffer, out }, 2, buffer, "x", 1);
	CHECK(memcmp(buffer, expected, HASH_LEN) == 0);
	CHECK(memcmp(out, second, HASH_LEN) == 0);
}

static void a_mac_of_128_bits_is_not_a_shortened_longer_one(void)
{
	uint8_t hash[HASH_LEN], mac[MAC_LEN], key[32] = { 0 };

	hash_parts(suite, hash, NULL, 0);
	mac_parts(suite, mac, key, sizeof(key), NULL, 0);
	CHECK(memcmp(hash, mac, MAC_LEN) != 0);
}

static void short_hash_is_siphash_2_4(void)
{
	uint8_t key[SHORT_HASH_KEY_LEN], text[15];

	for (uint8_t i = 0; i < 16; i++)
		key[i] = i;
	for (uint8_t i = 0; i < 15; i++)
		text[i] = i;
	/* The example in appendix A of the SipHash paper */
	CHECK(short_hash(key, text, sizeof(text)) == UINT64_C(0xa129ca6149be45e5));
}

int main(void)
{
	if (suite_new(SUITE_BEST, &suite) != 0)
		return 1;
	RUN(hashes_the_example_of_rfc_7693);
	RUN(agrees_with_hashlib_and_hmac_however_the_text_is_cut);
	RUN(writes_the_output_over_an_input);
	RUN(a_mac_of_128_bits_is_not_a_shortened_longer_one);
	RUN(short_hash_is_siphash_2_4);
	suite_free(suite);
	return DONE();
}
