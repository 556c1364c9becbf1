/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_kernel.h - The kernel's side of wg_genl.h as an array, by its documented rules
 *
 * A prefix moves to whichever peer was given it last. What a request asks is remembered, so that a
 * test can see what reached the kernel.
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iface/kernel_server.h"

enum {
	FAKE_PEERS_MAX = 64,
	FAKE_PREFIXES_MAX = 64,
};

struct fake_peer {
	struct wg_genl_peer peer;
	struct ip_prefix prefixes[FAKE_PREFIXES_MAX];
	size_t n;
};

struct fake_kernel {
	struct fake_peer peers[FAKE_PEERS_MAX];
	size_t n;
	unsigned int gets, sets;
	uint8_t public_key[32];
	uint16_t listen_port;
	bool touched_identity; /* a key, port or mark was set */
	int fail_get, fail_set;
	size_t stop_after; /* with @fail_set: so many peers are applied before it fails */
};

static struct fake_peer *fake_find(struct fake_kernel *k, const uint8_t key[32])
{
	for (size_t i = 0; i < k->n; i++)
		if (memcmp(k->peers[i].peer.public_key, key, 32) == 0)
			return &k->peers[i];
	return NULL;
}

static void fake_take_away(struct fake_kernel *k, const struct ip_prefix *p)
{
	for (size_t i = 0; i < k->n; i++)
		for (size_t j = 0; j < k->peers[i].n; j++)
			if (memcmp(&k->peers[i].prefixes[j], p, sizeof(*p)) == 0)
				k->peers[i].prefixes[j--] =
					k->peers[i].prefixes[--k->peers[i].n];
}

static struct fake_peer *fake_make(struct fake_kernel *k, const uint8_t key[32])
{
	struct fake_peer *p = k->n < FAKE_PEERS_MAX ? &k->peers[k->n++] : NULL;

	if (p) {
		*p = (struct fake_peer){ .n = 0 };
		memcpy(p->peer.public_key, key, 32);
	}
	return p;
}

static void fake_apply(struct fake_kernel *k, const struct wg_genl_set_peer *s)
{
	struct fake_peer *p = fake_find(k, s->public_key);

	if (s->remove) {
		if (p)
			*p = k->peers[--k->n];
		return;
	}
	if (!p && !s->update_only)
		p = fake_make(k, s->public_key);
	if (!p)
		return;
	if (s->has_preshared_key)
		p->peer.preshared_key = s->preshared_key;
	if (s->has_endpoint)
		p->peer.endpoint = s->endpoint;
	if (s->has_keepalive)
		p->peer.keepalive_s = s->keepalive_s;
	if (s->replace_prefixes)
		p->n = 0;
	for (size_t i = 0; i < s->n_prefixes; i++) {
		fake_take_away(k, &s->prefixes[i]);
		if (p->n < FAKE_PREFIXES_MAX)
			p->prefixes[p->n++] = s->prefixes[i];
	}
}

static int fake_set(void *context, const struct wg_genl_set *set)
{
	struct fake_kernel *k = context;

	k->sets++;
	k->touched_identity |= set->has_private_key || set->has_listen_port || set->has_fwmark;
	if (set->replace_peers)
		k->n = 0;
	if (set->has_listen_port)
		k->listen_port = set->listen_port;
	for (size_t i = 0; i < set->n_peers; i++) {
		if (k->fail_set && i == k->stop_after)
			break;
		fake_apply(k, &set->peers[i]);
	}
	return k->fail_set;
}

static int fake_get(void *context, struct wg_genl_snapshot *ret)
{
	struct fake_kernel *k = context;
	struct wg_genl_snapshot s = { .listen_port = k->listen_port };

	k->gets++;
	if (k->fail_get)
		return k->fail_get;
	s.peers = calloc(k->n + 1, sizeof(*s.peers));
	s.prefixes = calloc(k->n * FAKE_PREFIXES_MAX + 1, sizeof(*s.prefixes));
	if (!s.peers || !s.prefixes)
		abort();
	memcpy(s.public_key, k->public_key, 32);
	for (size_t i = 0; i < k->n; i++) {
		struct wg_genl_peer *p = &s.peers[s.n_peers++];

		*p = k->peers[i].peer;
		p->first_prefix = s.n_prefixes;
		p->n_prefixes = k->peers[i].n;
		memcpy(&s.prefixes[s.n_prefixes], k->peers[i].prefixes,
		       p->n_prefixes * sizeof(*s.prefixes));
		s.n_prefixes += p->n_prefixes;
	}
	*ret = s;
	return 0;
}
