/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forward secrecy needs ephemeral keys to be gone from memory, not only from our
 * structs. So this looks through everything the process can write to, for the key.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "../test.h"
#include "pair.h"

enum { KEY_LEN = 32, MASK = 0x5a };

static struct suite *suite;

/* What is looked for, masked so that it does not find itself. */
static uint8_t masked[KEY_LEN];

__attribute__((no_sanitize("address"))) static bool is_needle(const uint8_t *p)
{
	for (size_t i = 0; i < KEY_LEN; i++) {
		if ((p[i] ^ MASK) != masked[i])
			return false;
	}
	return true;
}

/* The sanitizers would stop a reader who looks behind their fences. */
__attribute__((no_sanitize("address"))) static size_t count_in(const uint8_t *p,
							       const uint8_t *end)
{
	size_t found = 0;

	for (; p + KEY_LEN <= end; p++) {
		if ((*p ^ MASK) == masked[0] && is_needle(p))
			found++;
	}
	return found;
}

/* Copies of the key in the heap and in our own data and stack. */
static size_t count_copies(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long begin, end;
	char line[512], access[5];
	size_t found = 0;

	CHECK(maps != NULL);
	while (maps && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %4s", &begin, &end, access) != 3)
			continue;
		if (strncmp(access, "rw", 2) != 0 || end - begin > UINT64_C(1) << 30)
			continue; /* the sanitizers' own maps are larger than all of us */
		found += count_in((const uint8_t *)begin, (const uint8_t *)end);
	}
	if (maps)
		fclose(maps);
	return found;
}

/* A key that clamping leaves as it is; afterwards only the callee has it. */
static void draw_key(uint8_t key[KEY_LEN])
{
	seeded_fill(key, KEY_LEN);
	key[0] &= 248;
	key[31] = (uint8_t)((key[31] & 127) | 64);
	for (size_t i = 0; i < KEY_LEN; i++)
		masked[i] = key[i] ^ MASK;
}

struct scene {
	struct pair pair;
	struct noise_handshake hs;
	struct msg_initiation m1;
	struct msg_response m2;
	struct noise_keys keys;
	uint8_t random[KEY_LEN], other[KEY_LEN], time[NOISE_TIME_LEN];
};

static void initiators_forget_their_ephemeral_key(void)
{
	static struct scene s;

	pair_meet(&s.pair, suite, true);
	draw_key(s.random);
	seeded_fill(s.other, sizeof(s.other));
	CHECK(pair_initiate(&s.pair, s.random, s.time, &s.hs, &s.m1) == 0);
	secret_wipe(s.random, sizeof(s.random));
	CHECK(count_copies() == 1); /* in the handshake, where the response needs it */

	CHECK(pair_answer(&s.pair, &s.m1, s.other, s.time, &s.m2, &s.keys) == 0);
	CHECK(pair_accept(&s.pair, &s.hs, &s.m2, &s.keys) == 0);
	noise_handshake_done(&s.hs);
	CHECK(count_copies() == 0);
}

static void responders_forget_their_ephemeral_key(void)
{
	static struct scene s;

	pair_meet(&s.pair, suite, true);
	seeded_fill(s.other, sizeof(s.other));
	CHECK(pair_initiate(&s.pair, s.other, s.time, &s.hs, &s.m1) == 0);
	draw_key(s.random);
	CHECK(count_copies() == 1); /* ours, to be given away */
	CHECK(pair_answer(&s.pair, &s.m1, s.random, s.time, &s.m2, &s.keys) == 0);
	secret_wipe(s.random, sizeof(s.random));
	CHECK(count_copies() == 0);
}

static void refused_responses_leave_no_further_copy_of_the_key(void)
{
	static struct scene s;

	pair_meet(&s.pair, suite, false);
	draw_key(s.random);
	CHECK(pair_initiate(&s.pair, s.random, s.time, &s.hs, &s.m1) == 0);
	secret_wipe(s.random, sizeof(s.random));
	for (int i = 0; i < 10; i++) {
		seeded_fill(&s.m2, sizeof(s.m2));
		CHECK(pair_accept(&s.pair, &s.hs, &s.m2, &s.keys) != 0);
	}
	CHECK(count_copies() == 1);
}

static void a_suite_forgets_the_keys_it_kept_ready_when_freed(void)
{
	struct suite *own = NULL;
	struct secret_key k;
	uint8_t out[32], base[32] = { 9 };

	CHECK(suite_new(SUITE_BEST, &own) == 0);
	draw_key(k.b);
	CHECK(dh(own, out, &k, base));
	secret_key_done(&k);
	CHECK(count_copies() >= 1);
	suite_free(own);
	CHECK(count_copies() == 0);
}

static void back_ends_forget_packet_keys_when_freed(void)
{
	static const enum suite_backend backends[] = { SUITE_BEST, SUITE_OPENSSL };

	for (size_t i = 0; i < 2; i++) {
		struct suite *own = NULL;
		uint8_t key[KEY_LEN], text[1024 + AEAD_TAG_LEN] = { 0 };
		struct aead_job j = { .key = key, .src = text, .dst = text, .len = 1024 };

		CHECK(suite_new(backends[i], &own) == 0);
		draw_key(key);
		aead_seal(own, &j, 1);
		aead_open(own, &j, 1);
		secret_wipe(key, sizeof(key));
		suite_free(own);
		CHECK(count_copies() == 0);
	}
}

int main(void)
{
	if (suite_new(SUITE_BEST, &suite) != 0)
		return 1;
	RUN(initiators_forget_their_ephemeral_key);
	RUN(responders_forget_their_ephemeral_key);
	RUN(refused_responses_leave_no_further_copy_of_the_key);
	RUN(a_suite_forgets_the_keys_it_kept_ready_when_freed);
	RUN(back_ends_forget_packet_keys_when_freed);
	suite_free(suite);
	return DONE();
}
