/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/networks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/short_hash.h"
#include "sys/random.h"

enum { FIRST_BUCKETS = 64 }; /* a power of two; doubles with the number of networks */

struct network {
	struct ip_prefix prefix;
	size_t n;
	struct network *next;
};

struct networks {
	uint8_t hash_key[SHORT_HASH_KEY_LEN];
	struct network **buckets;
	size_t n_buckets;
	size_t n;
};

int networks_new(struct networks **ret)
{
	struct networks *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->n_buckets = FIRST_BUCKETS;
	n->buckets = calloc(n->n_buckets, sizeof(struct network *));
	if (!n->buckets) {
		free(n);
		return -ENOMEM;
	}
	random_fill(n->hash_key, sizeof(n->hash_key));
	*ret = n;
	return 0;
}

struct networks *networks_free(struct networks *n)
{
	if (!n)
		return NULL;
	for (size_t i = 0; i < n->n_buckets; i++) {
		for (struct network *next, *one = n->buckets[i]; one; one = next) {
			next = one->next;
			free(one);
		}
	}
	free(n->buckets);
	free(n);
	return NULL;
}

static struct network **bucket_of(const struct networks *n, const struct ip_prefix *p)
{
	uint8_t octets[2 + sizeof(p->ip.b)] = { p->ip.family, p->bits };

	memcpy(octets + 2, p->ip.b, p->ip.family == ADDR_V4 ? 4 : sizeof(p->ip.b));
	return &n->buckets[short_hash(n->hash_key, octets, sizeof(octets)) &
			   (n->n_buckets - 1)];
}

/* The link that leads to it; to NULL when there is none. */
static struct network **find(const struct networks *n, const struct ip_prefix *p)
{
	struct network **at = bucket_of(n, p);

	while (*at &&
	       ((*at)->prefix.bits != p->bits || !ip_addr_equal(&(*at)->prefix.ip, &p->ip)))
		at = &(*at)->next;
	return at;
}

/* Without memory chains grow instead. */
static void grow(struct networks *n)
{
	struct network **old = n->buckets, **fresh = calloc(2 * n->n_buckets, sizeof(*fresh));
	size_t n_old = n->n_buckets;

	if (!fresh)
		return;
	n->buckets = fresh;
	n->n_buckets *= 2;
	for (size_t i = 0; i < n_old; i++) {
		for (struct network *next, *one = old[i]; one; one = next) {
			struct network **to = bucket_of(n, &one->prefix);

			next = one->next;
			one->next = *to;
			*to = one;
		}
	}
	free(old);
}

int networks_claim(struct networks *n, const struct ip_prefix *p)
{
	struct network **at = find(n, p), *one = *at;

	if (one) {
		one->n++;
		return 0;
	}
	one = calloc(1, sizeof(*one));
	if (!one)
		return -ENOMEM;
	one->prefix = *p;
	one->n = 1;
	*at = one;
	if (++n->n > n->n_buckets)
		grow(n);
	return 0;
}

void networks_release(struct networks *n, const struct ip_prefix *p)
{
	struct network **at = find(n, p), *one = *at;

	if (!one || --one->n > 0)
		return;
	*at = one->next;
	n->n--;
	free(one);
}

size_t networks_count(const struct networks *n, const struct ip_prefix *p)
{
	const struct network *one = *find(n, p);

	return one ? one->n : 0;
}
