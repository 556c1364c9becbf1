/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/endpoints.h"

#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include "gateway/observer.h"

static const uint64_t LIFE_NS = (uint64_t)ENDPOINTS_LIFE_S * 1000000000;

struct known {
	uint8_t public_key[32];
	struct endpoints_entry entry;
	uint64_t noted_ns;
};

struct endpoints {
	pthread_mutex_t lock;
	struct known *known; /* sorted by key */
	size_t n;
};

struct endpoints *endpoints_new(void)
{
	struct endpoints *e = calloc(1, sizeof(*e));

	if (e)
		pthread_mutex_init(&e->lock, NULL);
	return e;
}

struct endpoints *endpoints_free(struct endpoints *e)
{
	if (!e)
		return NULL;
	pthread_mutex_destroy(&e->lock);
	free(e->known);
	free(e);
	return NULL;
}

static bool lives(const struct observed *o, uint64_t wall_ns)
{
	return o->endpoint.ip.family != ADDR_NONE && o->last_handshake_ns != 0 &&
	       o->last_handshake_ns + LIFE_NS > wall_ns;
}

static void note(const struct observed *seen, uint64_t now_ns, struct known *ret)
{
	*ret = (struct known){ .entry.endpoint = seen->endpoint, .noted_ns = now_ns };
	memcpy(ret->public_key, seen->public_key, 32);
	memcpy(ret->entry.profile, seen->profile_heard, sizeof(ret->entry.profile));
}

/* Two sorted lists become one: what is seen wins over what was known. Return: how many. */
static size_t merge(const struct endpoints *e, const struct observed *seen, size_t n,
		    uint64_t now_ns, uint64_t wall_ns, struct known *out)
{
	size_t at = 0, made = 0;

	for (size_t i = 0; i < n || at < e->n;) {
		int order = i == n ? 1
			    : at == e->n
				    ? -1
				    : memcmp(seen[i].public_key, e->known[at].public_key, 32);

		if (order <= 0 && lives(&seen[i], wall_ns)) {
			note(&seen[i], now_ns, &out[made++]);
		} else if (order >= 0 && now_ns - e->known[at].noted_ns < LIFE_NS) {
			out[made++] = e->known[at];
		}
		i += order <= 0;
		at += order >= 0;
	}
	return made;
}

void endpoints_note(struct endpoints *e, const struct observed *seen, size_t n, uint64_t now_ns,
		    uint64_t wall_ns)
{
	struct known *made;

	pthread_mutex_lock(&e->lock);
	made = calloc(n + e->n + 1, sizeof(*made));
	if (made) {
		e->n = merge(e, seen, n, now_ns, wall_ns, made);
		free(e->known);
		e->known = reallocarray(made, e->n + 1, sizeof(*made));
		if (!e->known) /* it could not even be made smaller */
			e->known = made;
	}
	pthread_mutex_unlock(&e->lock);
}

static int by_key(const void *key, const void *known)
{
	return memcmp(key, ((const struct known *)known)->public_key, 32);
}

bool endpoints_find(struct endpoints *e, const uint8_t public_key[32], uint64_t now_ns,
		    struct endpoints_entry *ret)
{
	const struct known *found = NULL;
	bool is_good;

	pthread_mutex_lock(&e->lock);
	if (e->n > 0)
		found = bsearch(public_key, e->known, e->n, sizeof(*found), by_key);
	is_good = found && now_ns - found->noted_ns < LIFE_NS;
	if (is_good)
		*ret = found->entry;
	pthread_mutex_unlock(&e->lock);
	return is_good;
}
