/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "auth/replay_cache.h"
#include "base/err.h"

static const uint64_t NOW = 1700000000;

static struct replay_cache *cache(uint32_t max)
{
	struct replay_cache *c = NULL;

	if (replay_cache_new(60, max, &c) != 0)
		abort();
	return c;
}

/* Well spread, like a hash. */
static const uint8_t *digest(uint32_t n)
{
	static uint8_t d[REPLAY_CACHE_DIGEST_LEN];
	uint32_t spread = n * 2654435761U;

	spread = (spread ^ spread >> 15) * 2246822519U;
	spread ^= spread >> 13;

	memset(d, 0, sizeof(d));
	memcpy(d, &spread, 4);
	memcpy(d + 4, &n, 4);
	return d;
}

static void what_was_added_is_a_replay(void)
{
	struct replay_cache *c = cache(10);

	CHECK(replay_cache_add(c, NOW, digest(1), NOW) == 0);
	CHECK(replay_cache_add(c, NOW, digest(1), NOW) == ERR_REPLAY);
	CHECK(replay_cache_judge(c, NOW + 60, digest(1), NOW) == ERR_REPLAY);
	CHECK(replay_cache_judge(c, NOW, digest(2), NOW) == 0);
	CHECK(replay_cache_count(c) == 1);
	replay_cache_free(c);
}

static void entries_live_exactly_as_long_as_their_timestamp(void)
{
	struct replay_cache *c = cache(10);

	CHECK(replay_cache_add(c, NOW, digest(1), NOW + 60) == 0); /* as far ahead as may be */
	CHECK(replay_cache_judge(c, NOW + 120, digest(1), NOW + 60) == ERR_REPLAY);
	CHECK(replay_cache_count(c) == 1);
	CHECK(replay_cache_judge(c, NOW + 121, digest(1), NOW + 60) == ERR_EXPIRED);
	CHECK(replay_cache_count(c) == 0);
	replay_cache_free(c);
}

static void setting_the_clock_back_does_not_reopen_the_window(void)
{
	struct replay_cache *c = cache(10);

	CHECK(replay_cache_add(c, NOW, digest(1), NOW) == 0);
	CHECK(replay_cache_judge(c, NOW + 3600, digest(2), NOW + 3600) == 0);
	CHECK(replay_cache_count(c) == 0);
	CHECK(replay_cache_judge(c, NOW, digest(1), NOW) == ERR_EXPIRED);
	CHECK(replay_cache_judge(c, NOW, digest(3), NOW - 1) == ERR_EXPIRED);
	/* What no forgotten signature can carry is good. */
	CHECK(replay_cache_judge(c, NOW, digest(4), NOW + 1) == 0);
	replay_cache_free(c);
}

static void the_loaded_floor_counts(void)
{
	struct replay_cache *c = cache(10);

	replay_cache_raise_floor(c, NOW);
	replay_cache_raise_floor(c, NOW - 100);
	CHECK(replay_cache_judge(c, NOW, digest(1), NOW) == ERR_EXPIRED);
	CHECK(replay_cache_judge(c, NOW, digest(1), NOW + 1) == 0);
	replay_cache_free(c);
}

static void a_full_cache_refuses_and_takes_again_once_entries_expire(void)
{
	struct replay_cache *c = cache(3);

	for (uint32_t i = 0; i < 3; i++)
		CHECK(replay_cache_add(c, NOW, digest(i), NOW) == 0);
	CHECK(replay_cache_add(c, NOW, digest(3), NOW) == ERR_LIMIT);
	CHECK(replay_cache_judge(c, NOW, digest(0), NOW) == ERR_REPLAY);
	CHECK(replay_cache_add(c, NOW + 61, digest(3), NOW + 61) == 0);
	CHECK(replay_cache_count(c) == 1);
	replay_cache_free(c);
}

static void a_removed_entry_may_come_again(void)
{
	struct replay_cache *c = cache(10);

	for (uint32_t i = 0; i < 3; i++)
		CHECK(replay_cache_add(c, NOW, digest(i), NOW) == 0);
	replay_cache_remove(c, digest(1), NOW);
	replay_cache_remove(c, digest(9), NOW); /* never was there */
	CHECK(replay_cache_count(c) == 2);
	CHECK(replay_cache_add(c, NOW, digest(1), NOW) == 0);
	CHECK(replay_cache_add(c, NOW, digest(0), NOW) == ERR_REPLAY);
	CHECK(replay_cache_add(c, NOW, digest(2), NOW) == ERR_REPLAY);
	replay_cache_free(c);
}

static void growing_and_reusing_entries_loses_none(void)
{
	struct replay_cache *c = cache(100000);

	for (uint32_t i = 0; i < 5000; i++)
		CHECK(replay_cache_add(c, NOW, digest(i), NOW + i % 50) == 0);
	for (uint32_t i = 0; i < 5000; i += 3)
		replay_cache_remove(c, digest(i), NOW + i % 50);
	for (uint32_t i = 5000; i < 12000; i++)
		CHECK(replay_cache_add(c, NOW, digest(i), NOW) == 0);
	for (uint32_t i = 0; i < 12000; i++)
		CHECK(replay_cache_judge(c, NOW, digest(i), NOW) ==
		      (i < 5000 && i % 3 == 0 ? 0 : ERR_REPLAY));
	replay_cache_free(c);
}

/* A model: every entry ever added, looked through from the start. */
static void many_seconds_of_load_agree_with_a_list(void)
{
	enum { SECONDS_RUN = 700, PER_SECOND = 20 };
	static struct {
		uint32_t n;
		uint64_t signed_s;
	} list[SECONDS_RUN * PER_SECOND];
	struct replay_cache *c = cache(100000);
	uint64_t state = 1;
	uint32_t n = 0;

	for (uint64_t now = NOW; now < NOW + SECONDS_RUN; now++) {
		for (int i = 0; i < PER_SECOND; i++) {
			state = state * 6364136223846793005U + 1442695040888963407U;

			uint64_t signed_s = now - 60 + (state >> 33) % 121;
			uint32_t back = (uint32_t)(state >> 40) % 2000;

			if (back < n && i % 2) {
				bool alive = list[n - 1 - back].signed_s + 60 >= now;

				CHECK(replay_cache_add(c, now, digest(list[n - 1 - back].n),
						       list[n - 1 - back].signed_s) ==
				      (alive ? ERR_REPLAY : ERR_EXPIRED));
				continue;
			}
			/* At the old edge the floor may stand already. */
			int err = replay_cache_add(c, now, digest(n), signed_s);

			CHECK(err == 0 || (err == ERR_EXPIRED && signed_s <= now - 60));
			if (err != 0)
				continue;
			list[n].n = n;
			list[n].signed_s = signed_s;
			n++;
		}
	}

	uint32_t alive = 0;

	for (uint32_t i = 0; i < n; i++)
		alive += list[i].signed_s + 60 >= NOW + SECONDS_RUN - 1;
	CHECK(replay_cache_count(c) == alive);
	replay_cache_free(c);
}

int main(void)
{
	RUN(what_was_added_is_a_replay);
	RUN(entries_live_exactly_as_long_as_their_timestamp);
	RUN(setting_the_clock_back_does_not_reopen_the_window);
	RUN(the_loaded_floor_counts);
	RUN(a_full_cache_refuses_and_takes_again_once_entries_expire);
	RUN(a_removed_entry_may_come_again);
	RUN(growing_and_reusing_entries_loses_none);
	RUN(many_seconds_of_load_agree_with_a_list);
	return DONE();
}
