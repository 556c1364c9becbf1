/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/penalty.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/short_hash.h"
#include "sys/random.h"

enum { PLACES = 1 << 16 };

static const uint64_t FAILURE_NS = 1000000000 / PENALTY_PER_S;

/* Each place is a clock that runs ahead: every failure puts it one FAILURE_NS further, from now on
 * if it was behind. How far it is ahead of now is what has been used of the burst. */
struct penalty {
	uint8_t hash_key[SHORT_HASH_KEY_LEN];
	uint64_t until_ns[PLACES];
};

int penalty_new(struct penalty **ret)
{
	struct penalty *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	random_fill(p->hash_key, sizeof(p->hash_key));
	*ret = p;
	return 0;
}

struct penalty *penalty_free(struct penalty *p)
{
	free(p);
	return NULL;
}

static bool is_exempt(const struct ip_addr *a)
{
	static const uint8_t loopback[16] = { [15] = 1 };

	return a->family == ADDR_NONE || (a->family == ADDR_V4 && a->b[0] == 127) ||
	       (a->family == ADDR_V6 && memcmp(a->b, loopback, sizeof(loopback)) == 0);
}

static size_t place_of(const struct penalty *p, const struct ip_addr *a)
{
	return short_hash(p->hash_key, a->b, a->family == ADDR_V4 ? 4 : 8) & (PLACES - 1);
}

unsigned int penalty_wait_s(const struct penalty *p, const struct ip_addr *from,
			    uint64_t now_ns)
{
	uint64_t until_ns = p->until_ns[place_of(p, from)];
	uint64_t free_ns = now_ns + (PENALTY_BURST - 1) * FAILURE_NS;

	if (is_exempt(from) || until_ns <= free_ns)
		return 0;
	return (unsigned int)((until_ns - free_ns + FAILURE_NS - 1) / FAILURE_NS);
}

void penalty_failed(struct penalty *p, const struct ip_addr *from, uint64_t now_ns)
{
	uint64_t *until_ns = &p->until_ns[place_of(p, from)];
	uint64_t most_ns = now_ns + (PENALTY_BURST - 1 + (uint64_t)PENALTY_WAIT_S) * FAILURE_NS;

	if (is_exempt(from))
		return;
	if (*until_ns < now_ns)
		*until_ns = now_ns;
	*until_ns += FAILURE_NS;
	if (*until_ns > most_ns)
		*until_ns = most_ns;
}
