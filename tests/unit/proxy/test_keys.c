/* SPDX-License-Identifier: Apache-2.0 */
/* The table against an array of flags, and used by several threads at once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>
#include <sodium/crypto_hash_sha256.h>

#include "../test.h"
#include "base/err.h"
#include "proxy/keys.h"

enum { MODEL = 300, STEPS = 20000 };

static void digest_of(unsigned int number, uint8_t out[KEYS_DIGEST_LEN])
{
	crypto_hash_sha256(out, (const uint8_t *)&number, sizeof(number));
}

static bool is_there(struct proxy_keys *k, unsigned int number)
{
	struct proxy_key *key = proxy_keys_find(k, &number, sizeof(number));
	bool found = key != NULL;

	proxy_key_release(key);
	return found;
}

static void finds_what_was_put_and_only_that(void)
{
	bool model[MODEL] = { false };
	struct proxy_keys *k = NULL;
	unsigned int state = 12345;
	size_t n = 0;

	printf("# seed %u\n", state);
	CHECK(proxy_keys_new(&k) == 0);
	for (int i = 0; i < STEPS; i++) {
		uint8_t digest[KEYS_DIGEST_LEN];
		unsigned int which;

		state = state * 1664525 + 1013904223;
		which = (state >> 8) % MODEL;
		digest_of(which, digest);
		if (state >> 31)
			CHECK(proxy_keys_put(k, "some", digest) == 0);
		else
			proxy_keys_remove(k, digest);
		n += (size_t)(state >> 31) - (size_t)model[which];
		model[which] = state >> 31;
		which = (which + 1) % MODEL;
		CHECK(is_there(k, which) == model[which]);
		CHECK(proxy_keys_count(k) == n);
	}
	proxy_keys_free(k);
}

static void locks_nobody_out_before_a_new_table_is_complete(void)
{
	struct proxy_keys *k = NULL;
	uint8_t one[KEYS_DIGEST_LEN], two[KEYS_DIGEST_LEN];
	unsigned int removals;

	digest_of(1, one);
	digest_of(2, two);
	CHECK(proxy_keys_new(&k) == 0);
	CHECK(proxy_keys_put(k, "a", one) == 0 && proxy_keys_put(k, "b", two) == 0);
	removals = proxy_keys_removals(k);
	proxy_keys_begin(k);
	CHECK(proxy_keys_put(k, "a", one) == 0);
	CHECK(is_there(k, 1) && is_there(k, 2));
	CHECK(proxy_keys_removals(k) == removals);
	proxy_keys_commit(k);
	CHECK(is_there(k, 1) && !is_there(k, 2));
	CHECK(proxy_keys_removals(k) != removals);
	proxy_keys_free(k);
}

static void takes_so_many_and_no_more(void)
{
	struct proxy_keys *k = NULL;
	uint8_t digest[KEYS_DIGEST_LEN];

	CHECK(proxy_keys_new(&k) == 0);
	for (unsigned int i = 0; i < KEYS_MAX; i++) {
		digest_of(i, digest);
		if (proxy_keys_put(k, "x", digest) != 0)
			FAIL("no room too early");
	}
	digest_of(KEYS_MAX, digest);
	CHECK(proxy_keys_put(k, "x", digest) == ERR_LIMIT);
	digest_of(5, digest);
	CHECK(proxy_keys_put(k, "x", digest) == 0);
	proxy_keys_free(k);
}

static void *look_up(void *context)
{
	struct proxy_keys *k = context;

	for (unsigned int i = 0; i < STEPS; i++) {
		unsigned int number = i % MODEL;
		struct proxy_key *key = proxy_keys_find(k, &number, sizeof(number));

		if (key)
			atomic_fetch_add(&key->tunnels, 1);
		proxy_key_release(key);
	}
	return NULL;
}

static void lets_keys_go_while_others_hold_them(void)
{
	struct proxy_keys *k = NULL;
	pthread_t threads[3];
	uint8_t digest[KEYS_DIGEST_LEN];

	CHECK(proxy_keys_new(&k) == 0);
	for (size_t i = 0; i < 3; i++)
		CHECK(pthread_create(&threads[i], NULL, look_up, k) == 0);
	for (unsigned int i = 0; i < STEPS; i++) {
		digest_of(i % MODEL, digest);
		if (i / MODEL % 2)
			proxy_keys_remove(k, digest);
		else
			CHECK(proxy_keys_put(k, "x", digest) == 0);
	}
	for (size_t i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	proxy_keys_free(k);
}

static void knows_what_an_id_is(void)
{
	char longest[KEYS_ID_MAX + 1];

	memset(longest, 'a', sizeof(longest));
	CHECK(proxy_keys_is_id("user-1_x.Y", 10));
	CHECK(proxy_keys_is_id(longest, KEYS_ID_MAX));
	CHECK(!proxy_keys_is_id(longest, KEYS_ID_MAX + 1));
	CHECK(!proxy_keys_is_id("", 0));
	CHECK(!proxy_keys_is_id("a/b", 3));
	CHECK(!proxy_keys_is_id("a\0b", 3));
}

int main(void)
{
	RUN(finds_what_was_put_and_only_that);
	RUN(locks_nobody_out_before_a_new_table_is_complete);
	RUN(takes_so_many_and_no_more);
	RUN(lets_keys_go_while_others_hold_them);
	RUN(knows_what_an_id_is);
	return DONE();
}
