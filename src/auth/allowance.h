/* SPDX-License-Identifier: Apache-2.0 */
/**
 * allowance.h - How many requests one source, or one key, may send in a second
 *
 * Both have a bucket of two seconds' worth. Loopback and local sockets are exempt, with whatever key:
 * a proxy in front of us is everybody.
 *
 * Threads: none here; time comes in.
 */
#pragma once

#include <stdint.h>

#include "auth/pace.h"
#include "auth/principal.h"
#include "base/addr.h"

/**
 * struct allowance
 * @per_s:	Requests; 0: no limit
 * @sources, @keys: Borrowed
 */
struct allowance {
	uint32_t per_s;
	struct pace *sources;
	struct pace *keys;
};

/** allowance_source() - One more of @from. Return: 0; or how many seconds it has to wait */
unsigned int allowance_source(const struct allowance *a, const struct ip_addr *from,
			      uint64_t now_ns);

/** allowance_key() - One more of @who, from @from. Return: likewise */
unsigned int allowance_key(const struct allowance *a, const struct principal *who,
			   const struct ip_addr *from, uint64_t now_ns);
