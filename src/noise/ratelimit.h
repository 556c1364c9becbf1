/* SPDX-License-Identifier: Apache-2.0 */
/**
 * ratelimit.h - A token bucket per source address, in bounded memory
 *
 * Sources are IPv4 addresses and IPv6 /64 networks. A table keyed with a secret
 * holds those seen lately; an entry idle long enough to be full again is free to
 * be reused. A new source that finds its row of eight entries taken is refused:
 * with a sixth of the table in use that happens to one newcomer in 20 000.
 *
 * Source:  WireGuard whitepaper, section 5.3; Linux ratelimiter.c (behaviour:
 *          20 per second, burst 5, refuse when full).
 * Threads: none here; the owner makes the calls one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct ratelimit;

/**
 * ratelimit_new() - Make a table
 * @sources:	Most sources remembered at once; rounded up to a power of two
 * @per_second, @burst:	Tokens gained per second, and most that can be saved
 * @key:	16 random octets, so that nobody can aim at one bucket
 *
 * Return: 0 or -ENOMEM.
 */
int ratelimit_new(size_t sources, uint32_t per_second, uint32_t burst, const uint8_t key[16],
		  struct ratelimit **ret);
struct ratelimit *ratelimit_free(struct ratelimit *r);

/**
 * ratelimit_spread() - From now on a token takes between half and one and a half times as long
 *
 * Which, a hash decides; the mean stays. Sources that began in one moment, as a flood does,
 * otherwise come back for their next token in one moment, again and again.
 */
void ratelimit_spread(struct ratelimit *r);

/** ratelimit_take() - true if @source may pass now; one token is then spent */
bool ratelimit_take(struct ratelimit *r, uint64_t now_ns, const struct ip_addr *source);
