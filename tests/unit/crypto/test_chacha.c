/* SPDX-License-Identifier: Apache-2.0 */
/* ChaCha20 with a nonce per lane, against the vectors of RFC 8439 and against OpenSSL. The
 * source is part of this test, so that each processor's variant can be called by name. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "../../vectors/vectors.h"
#include "../test.h"
#include "crypto/chacha.c"
#include "seeded.h"

enum { BLOCKS_MAX = 40 };

/* --- Vectors --- */

struct published {
	const char *where;
	const char *key;
	const char *nonce;
	uint32_t counter;
	const char *block;
};

#define ZERO_KEY   "0000000000000000000000000000000000000000000000000000000000000000"
#define ZERO_NONCE "000000000000000000000000"

static const struct published published[] = {
	{ "2.3.2", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	  "000000090000004a00000000", 1,
	  "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
	  "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e" },
	{ "A.1 #1", ZERO_KEY, ZERO_NONCE, 0,
	  "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
	  "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586" },
	{ "A.1 #2", ZERO_KEY, ZERO_NONCE, 1,
	  "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
	  "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f" },
	{ "A.1 #3", "0000000000000000000000000000000000000000000000000000000000000001",
	  ZERO_NONCE, 1,
	  "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"
	  "8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0" },
	{ "A.1 #4", "00ff000000000000000000000000000000000000000000000000000000000000",
	  ZERO_NONCE, 2,
	  "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca"
	  "13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096" },
	{ "A.1 #5", ZERO_KEY, "000000000000000000000002", 0,
	  "c2c64d378cd536374ae204b9ef933fcd1a8b2288b3dfa49672ab765b54ee27c7"
	  "8a970e0e955c14f3a88e741b97c286f75f8fc299e8148362fa198a39531bed6d" },
};

enum { PUBLISHED = sizeof(published) / sizeof(published[0]) };

static void makes_the_blocks_of_rfc_8439(void)
{
	for (size_t i = 0; i < PUBLISHED; i++) {
		const struct published *v = &published[i];
		uint8_t key[CHACHA_KEY_LEN], expected[CHACHA_BLOCK_LEN];
		uint8_t out[1][CHACHA_BLOCK_LEN];
		struct chacha_at at = { .counter = v->counter };

		vectors_hex(v->key, key, sizeof(key));
		vectors_hex(v->nonce, at.nonce, sizeof(at.nonce));
		vectors_hex(v->block, expected, sizeof(expected));
		chacha_blocks(key, &at, 1, out);
		if (memcmp(out, expected, sizeof(expected)) != 0)
			FAIL(v->where);
	}
}

/* --- OpenSSL --- */

/* Its IV is the counter, little-endian, and the nonce. */
static void openssl_block(const uint8_t key[CHACHA_KEY_LEN], const struct chacha_at *at,
			  uint8_t out[CHACHA_BLOCK_LEN])
{
	static const uint8_t zeros[CHACHA_BLOCK_LEN];
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t iv[16];
	int len = 0;

	for (int i = 0; i < 4; i++)
		iv[i] = (uint8_t)(at->counter >> 8 * i);
	memcpy(iv + 4, at->nonce, CHACHA_NONCE_LEN);
	CHECK(EVP_EncryptInit_ex(ctx, EVP_chacha20(), NULL, key, iv) == 1);
	CHECK(EVP_EncryptUpdate(ctx, out, &len, zeros, sizeof(zeros)) == 1);
	CHECK(len == CHACHA_BLOCK_LEN);
	EVP_CIPHER_CTX_free(ctx);
}

static void draw_case(uint8_t key[CHACHA_KEY_LEN], struct chacha_at *at, size_t n)
{
	seeded_fill(key, CHACHA_KEY_LEN);
	for (size_t i = 0; i < n; i++) {
		seeded_fill(at[i].nonce, sizeof(at[i].nonce));
		at[i].counter = seeded_next() % 4 == 0 ? UINT32_MAX : (uint32_t)seeded_next();
	}
}

/* Output in memory of exactly its size: a sanitizer sees the first octet too much. */
static void agrees_with_openssl_for_any_number_of_blocks(void)
{
	for (size_t n = 1; n <= BLOCKS_MAX; n++)
		for (int round = 0; round < 4; round++) {
			uint8_t key[CHACHA_KEY_LEN], expected[CHACHA_BLOCK_LEN];
			struct chacha_at *at = calloc(n, sizeof(*at));
			uint8_t(*out)[CHACHA_BLOCK_LEN] = malloc(n * sizeof(*out));

			draw_case(key, at, n);
			chacha_blocks(key, at, n, out);
			for (size_t i = 0; i < n; i++) {
				openssl_block(key, &at[i], expected);
				CHECK(memcmp(out[i], expected, sizeof(expected)) == 0);
			}
			free(out);
			free(at);
		}
}

static void heads_are_the_first_octets_of_blocks(void)
{
	for (size_t n = 1; n <= BLOCKS_MAX; n++) {
		uint8_t key[CHACHA_KEY_LEN], expected[CHACHA_BLOCK_LEN];
		struct chacha_at *at = calloc(n, sizeof(*at));
		uint8_t(*out)[CHACHA_HEAD_LEN] = malloc(n * sizeof(*out));

		draw_case(key, at, n);
		chacha_heads(key, at, n, out);
		for (size_t i = 0; i < n; i++) {
			openssl_block(key, &at[i], expected);
			CHECK(memcmp(out[i], expected, CHACHA_HEAD_LEN) == 0);
		}
		free(out);
		free(at);
	}
}

static void no_blocks_are_no_output(void)
{
	uint8_t key[CHACHA_KEY_LEN] = { 0 }, out[1][CHACHA_BLOCK_LEN] = { { 7 } };
	uint8_t heads[1][CHACHA_HEAD_LEN] = { { 7 } };

	chacha_blocks(key, NULL, 0, out);
	chacha_heads(key, NULL, 0, heads);
	CHECK(out[0][0] == 7 && heads[0][0] == 7);
}

/* --- Variants --- */

static void check_variant(run_function *run)
{
	static uint32_t start[16][CHACHA_LANES], out[16][CHACHA_LANES];
	uint8_t key[CHACHA_KEY_LEN], expected[CHACHA_BLOCK_LEN], block[CHACHA_BLOCK_LEN];
	struct chacha_at at[CHACHA_LANES];

	for (int round = 0; round < 20; round++) {
		draw_case(key, at, CHACHA_LANES);
		fill_start(key, at, CHACHA_LANES, start);
		run(start, out);
		for (size_t i = 0; i < CHACHA_LANES; i++) {
			put_words(out, i, sizeof(block) / 4, block);
			openssl_block(key, &at[i], expected);
			CHECK(memcmp(block, expected, sizeof(expected)) == 0);
		}
	}
}

static void every_variant_of_this_processor_agrees_with_openssl(void)
{
	check_variant(run_portable);
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		check_variant(run_avx2);
	if (__builtin_cpu_supports("avx512f"))
		check_variant(run_avx512);
	printf("# avx2 %s, avx512 %s\n", __builtin_cpu_supports("avx2") ? "yes" : "no",
	       __builtin_cpu_supports("avx512f") ? "yes" : "no");
#endif
}

int main(void)
{
	RUN(makes_the_blocks_of_rfc_8439);
	RUN(agrees_with_openssl_for_any_number_of_blocks);
	RUN(heads_are_the_first_octets_of_blocks);
	RUN(no_blocks_are_no_output);
	RUN(every_variant_of_this_processor_agrees_with_openssl);
	return DONE();
}
