/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/pace.h"

#include <errno.h>
#include <stdlib.h>

#include "crypto/short_hash.h"
#include "sys/random.h"

enum { PLACES = 1 << 16 };

struct pace {
	uint8_t hash_key[SHORT_HASH_KEY_LEN];
	uint64_t until_ns[PLACES];
};

int pace_new(struct pace **ret)
{
	struct pace *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	random_fill(p->hash_key, sizeof(p->hash_key));
	*ret = p;
	return 0;
}

struct pace *pace_free(struct pace *p)
{
	free(p);
	return NULL;
}

static size_t place_of(const struct pace *p, const void *who, size_t len)
{
	return short_hash(p->hash_key, who, len) & (PLACES - 1);
}

uint64_t pace_ahead_ns(const struct pace *p, const void *who, size_t len, uint64_t now_ns)
{
	uint64_t until_ns = p->until_ns[place_of(p, who, len)];

	return until_ns > now_ns ? until_ns - now_ns : 0;
}

void pace_push(struct pace *p, const void *who, size_t len, uint64_t now_ns, uint64_t by_ns,
	       uint64_t most_ns)
{
	uint64_t *until_ns = &p->until_ns[place_of(p, who, len)];

	if (*until_ns < now_ns)
		*until_ns = now_ns;
	*until_ns += by_ns;
	if (*until_ns > now_ns + most_ns)
		*until_ns = now_ns + most_ns;
}
