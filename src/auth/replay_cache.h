/* SPDX-License-Identifier: Apache-2.0 */
/**
 * replay_cache.h - Signatures and nonces that were accepted, as long as they could be again
 *
 * A timestamp bounds how long a captured request is of use, not how often. The cache
 * remembers a digest of everything accepted whose timestamp is still inside the window.
 * Nothing alive is ever dropped to make room: a full cache refuses.
 *
 * What left the window leaves the cache, and from then on its timestamp and all before
 * are refused for good (the floor): setting the clock back must not make forgotten
 * signatures acceptable again.
 *
 * Memory:  about 50 octets per entry, at most @max entries.
 * Threads: none here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	REPLAY_CACHE_DIGEST_LEN = 32,
	REPLAY_CACHE_WINDOW_MAX_S = 300,
};

struct replay_cache;

/**
 * replay_cache_new() - Remember for timestamps at most @window_s away from the clock
 * @window_s:	1 to REPLAY_CACHE_WINDOW_MAX_S
 *
 * Return: 0 or -ENOMEM.
 */
int replay_cache_new(uint64_t window_s, uint32_t max, struct replay_cache **ret);
struct replay_cache *replay_cache_free(struct replay_cache *c); /* takes NULL, returns NULL */

/**
 * replay_cache_judge() - Was this accepted before, or could it have been?
 * @digest:	A cryptographic hash: nobody can choose where it goes
 * @signed_s:	The timestamp of the request
 *
 * Return: 0 when it is new; ERR_REPLAY when it is not; ERR_EXPIRED when @signed_s lies
 *	   outside the window around @now_s or not above the floor.
 */
int replay_cache_judge(struct replay_cache *c, uint64_t now_s,
		       const uint8_t digest[REPLAY_CACHE_DIGEST_LEN], uint64_t signed_s);

/** replay_cache_add() - Judge and remember. Return: also ERR_LIMIT (full) and -ENOMEM */
int replay_cache_add(struct replay_cache *c, uint64_t now_s,
		     const uint8_t digest[REPLAY_CACHE_DIGEST_LEN], uint64_t signed_s);

/** replay_cache_remove() - Forget one after all: the request came to nothing */
void replay_cache_remove(struct replay_cache *c, const uint8_t digest[REPLAY_CACHE_DIGEST_LEN],
			 uint64_t signed_s);

/** replay_cache_raise_floor() - Refuse timestamps up to @floor_s (loaded from the store) */
void replay_cache_raise_floor(struct replay_cache *c, uint64_t floor_s);

uint32_t replay_cache_count(const struct replay_cache *c);
