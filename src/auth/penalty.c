/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/penalty.h"

#include <stdbool.h>

static const uint64_t FAILURE_NS = 1000000000 / PENALTY_PER_S;

static bool is_exempt(const struct ip_addr *a)
{
	return a->family == ADDR_NONE || ip_addr_is_loopback(a);
}

unsigned int penalty_wait_s(const struct pace *p, const struct ip_addr *from, uint64_t now_ns)
{
	uint64_t ahead_ns = pace_ahead_ns(p, from->b, ip_addr_source_len(from), now_ns);
	uint64_t burst_ns = (PENALTY_BURST - 1) * FAILURE_NS;

	if (is_exempt(from) || ahead_ns <= burst_ns)
		return 0;
	return (unsigned int)((ahead_ns - burst_ns + FAILURE_NS - 1) / FAILURE_NS);
}

void penalty_failed(struct pace *p, const struct ip_addr *from, uint64_t now_ns)
{
	if (!is_exempt(from))
		pace_push(p, from->b, ip_addr_source_len(from), now_ns, FAILURE_NS,
			  (PENALTY_BURST - 1 + (uint64_t)PENALTY_WAIT_S) * FAILURE_NS);
}
