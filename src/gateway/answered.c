/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/answered.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1 << 14 };

static const uint64_t KEPT_NS = (uint64_t)STORE_ANSWERED_S * 1000000000;

struct entry {
	struct store_answered one;
	struct entry *next;  /* of its bucket */
	struct entry *later; /* the next in time */
};

struct answered {
	struct entry *buckets[BUCKETS];
	struct entry *oldest;
	struct entry *newest;
	size_t n;
};

int answered_new(struct answered **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

/* The digest is a hash: nobody chooses where it goes. */
static struct entry **bucket(struct answered *a, const uint8_t digest[STORE_DIGEST_LEN])
{
	return &a->buckets[(digest[0] << 8 | digest[1]) & (BUCKETS - 1)];
}

static void drop_oldest(struct answered *a)
{
	struct entry *e = a->oldest;
	struct entry **at = bucket(a, e->one.digest);

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	a->oldest = e->later;
	if (!a->oldest)
		a->newest = NULL;
	a->n--;
	free(e);
}

struct answered *answered_free(struct answered *a)
{
	while (a && a->oldest)
		drop_oldest(a);
	free(a);
	return NULL;
}

int answered_add(struct answered *a, const struct store_answered *one)
{
	struct entry *e = malloc(sizeof(*e));
	struct entry **head = bucket(a, one->digest);

	if (!e)
		return -ENOMEM;
	while (a->oldest &&
	       (a->n >= ANSWERED_MAX || a->oldest->one.time_ns + KEPT_NS < one->time_ns))
		drop_oldest(a);
	*e = (struct entry){ .one = *one, .next = *head };
	*head = e;
	if (a->newest)
		a->newest->later = e;
	else
		a->oldest = e;
	a->newest = e;
	a->n++;
	return 0;
}

const struct store_answered *answered_find(const struct answered *a,
					   const uint8_t digest[STORE_DIGEST_LEN],
					   uint64_t now_ns)
{
	const struct entry *e = *bucket((struct answered *)(uintptr_t)a, digest);

	while (e && memcmp(e->one.digest, digest, STORE_DIGEST_LEN) != 0)
		e = e->next;
	return e && e->one.time_ns + KEPT_NS >= now_ns ? &e->one : NULL;
}
