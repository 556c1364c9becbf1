/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/allowance.h"

#include <stdbool.h>
#include <string.h>

enum { BUCKET_S = 2 };

static const uint64_t SECOND_NS = 1000000000;

static bool is_exempt(const struct allowance *a, const struct ip_addr *from)
{
	return a->per_s == 0 || from->family == ADDR_NONE || ip_addr_is_loopback(from);
}

/* Whoever waits pays nothing for asking. */
static unsigned int take(const struct allowance *a, struct pace *p, const void *who, size_t len,
			 uint64_t now_ns)
{
	uint64_t one_ns = SECOND_NS / a->per_s, full_ns = BUCKET_S * SECOND_NS;
	uint64_t ahead_ns = pace_ahead_ns(p, who, len, now_ns);

	if (ahead_ns + one_ns > full_ns)
		return (unsigned int)((ahead_ns + one_ns - full_ns + SECOND_NS - 1) /
				      SECOND_NS);
	pace_push(p, who, len, now_ns, one_ns, full_ns);
	return 0;
}

unsigned int allowance_source(const struct allowance *a, const struct ip_addr *from,
			      uint64_t now_ns)
{
	return is_exempt(a, from)
		       ? 0
		       : take(a, a->sources, from->b, ip_addr_source_len(from), now_ns);
}

/* By id where there is one: names may be long, and are cut in @who. */
static unsigned int take_key(const struct allowance *a, const struct principal *who,
			     uint64_t now_ns)
{
	return who->kind == PRINCIPAL_KEY
		       ? take(a, a->keys, &who->key_id, sizeof(who->key_id), now_ns)
		       : take(a, a->keys, who->name, strlen(who->name), now_ns);
}

unsigned int allowance_key(const struct allowance *a, const struct principal *who,
			   const struct ip_addr *from, uint64_t now_ns)
{
	return is_exempt(a, from) ? 0 : take_key(a, who, now_ns);
}
