/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_iface.h - An interface that keeps its peers in an array, the way wg(8) describes it
 *
 * An address moves to whichever peer was given it last. Failures come when the test says so.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "iface/iface.h"

enum {
	FAKE_PEERS_MAX = 64,
	FAKE_IPS_MAX = 4,
};

struct fake_peer {
	uint8_t public_key[32];
	struct secret_key preshared_key;
	struct ip_prefix ips[FAKE_IPS_MAX];
	size_t n_ips;
	struct frame_range keepalive;
	uint16_t port; /* of its endpoint */
	char heard[FRAME_NAME_MAX + 1];
};

struct fake_iface {
	struct iface iface;
	struct fake_peer peers[FAKE_PEERS_MAX];
	size_t n;
	int sets, gets, closes;
	size_t largest_set;
	int profile_sets; /* how many of the sets replaced the profiles */
	char profiles[FRAME_PROFILES_MAX][FRAME_NAME_MAX + 1];
	uint64_t until_s[FRAME_PROFILES_MAX];
	size_t n_profiles;
	const char *refused_profile; /* a set with it fails with -EINVAL */
	bool knows_no_profiles;	     /* a set with them fails with -EINVAL */
	int fail_sets, fail_gets;    /* how many of the next ones fail, with -EPIPE */
	bool refuses;		     /* a set with @refused_key fails with -EINVAL, whole */
	uint8_t refused_key[32];
	bool is_open;
	bool has_limits; /* a rate or a budget was said */
	bool tells_state;
	struct iface_state state; /* @number: counts changes, our own too */
};

static struct fake_peer *fake_find(struct fake_iface *f, const uint8_t key[32])
{
	for (size_t i = 0; i < f->n; i++)
		if (memcmp(f->peers[i].public_key, key, 32) == 0)
			return &f->peers[i];
	return NULL;
}

static void fake_take_away(struct fake_iface *f, const struct ip_prefix *p)
{
	for (size_t i = 0; i < f->n; i++)
		for (size_t k = 0; k < f->peers[i].n_ips; k++)
			if (memcmp(&f->peers[i].ips[k], p, sizeof(*p)) == 0)
				f->peers[i].ips[k--] = f->peers[i].ips[--f->peers[i].n_ips];
}

static void fake_apply(struct fake_iface *f, const struct uapi_set *set,
		       const struct uapi_set_peer *block)
{
	struct fake_peer *peer = fake_find(f, block->public_key);

	f->has_limits |= block->has_rate || block->has_budget;
	if (block->remove) {
		if (peer)
			*peer = f->peers[--f->n];
		return;
	}
	if (!peer) {
		peer = &f->peers[f->n++];
		*peer = (struct fake_peer){ .n_ips = 0 };
		memcpy(peer->public_key, block->public_key, 32);
	}
	if (block->replace_allowed_ips)
		peer->n_ips = 0;
	if (block->has_keepalive)
		peer->keepalive = block->keepalive;
	if (block->has_endpoint)
		peer->port = block->endpoint.port;
	if (block->has_profile_heard)
		memcpy(peer->heard, block->profile_heard, sizeof(peer->heard));
	if (block->has_preshared_key)
		peer->preshared_key = block->preshared_key;
	for (size_t i = 0; i < block->n_allowed_ips; i++) {
		const struct ip_prefix *p =
			&set->allowed_ips[block->first_allowed_ip + i].prefix;

		fake_take_away(f, p);
		peer->ips[peer->n_ips++] = *p;
	}
}

static void fake_take_profiles(struct fake_iface *f, const struct uapi_set *set)
{
	f->profile_sets += set->replace_profiles;
	if (set->replace_profiles)
		f->n_profiles = 0;
	for (size_t i = 0; i < set->n_profiles; i++) {
		size_t at = f->n_profiles++;

		memcpy(f->profiles[at], set->profiles[i].name, sizeof(f->profiles[at]));
		f->until_s[at] = set->profiles[i].until_s;
	}
}

static int fake_set(struct iface *i, const struct uapi_set *set, struct diag *d)
{
	struct fake_iface *f = (struct fake_iface *)i;

	f->sets++;
	if (f->fail_sets > 0) {
		f->fail_sets--;
		return diag_set(d, -EPIPE, 0, "the test says so");
	}
	for (size_t k = 0; f->refuses && k < set->n_peers; k++)
		if (memcmp(set->peers[k].public_key, f->refused_key, 32) == 0)
			return diag_set(d, -EINVAL, 0, "the test refuses this key");
	if (set->replace_profiles && f->knows_no_profiles)
		return diag_set(d, -EINVAL, 0, "the test knows no profiles");
	for (size_t k = 0; k < set->n_profiles && f->refused_profile; k++)
		if (strcmp(set->profiles[k].name, f->refused_profile) == 0)
			return diag_set(d, -EINVAL, 0, "the test refuses %s",
					f->refused_profile);
	f->state.number++;
	fake_take_profiles(f, set);
	if (set->n_peers > f->largest_set)
		f->largest_set = set->n_peers;
	for (size_t k = 0; k < set->n_peers; k++)
		fake_apply(f, set, &set->peers[k]);
	return 0;
}

static int fake_get(struct iface *i, iface_peer_visitor visit, void *context, struct diag *d)
{
	struct fake_iface *f = (struct fake_iface *)i;

	f->gets++;
	if (f->fail_gets > 0) {
		f->fail_gets--;
		return diag_set(d, -EPIPE, 0, "the test says so");
	}
	for (size_t k = 0; k < f->n; k++) {
		const struct fake_peer *p = &f->peers[k];
		struct uapi_get_peer peer = { .keepalive = p->keepalive,
					      .preshared_key = p->preshared_key,
					      .allowed_ips = p->ips,
					      .n_allowed_ips = p->n_ips,
					      .last_handshake_ns = p->public_key[0] % 2 };

		memcpy(peer.public_key, p->public_key, 32);
		memcpy(peer.profile_heard, p->heard, sizeof(peer.profile_heard));
		visit(context, &peer);
	}
	return 0;
}

static int fake_state(struct iface *i, struct iface_state *ret, struct diag *d)
{
	const struct fake_iface *f = (struct fake_iface *)i;

	if (!f->tells_state)
		return diag_set(d, -EOPNOTSUPP, 0, "the test tells nothing");
	*ret = f->state;
	return 0;
}

static bool fake_is_open(struct iface *i)
{
	return ((struct fake_iface *)i)->is_open;
}

static void fake_close(struct iface *i)
{
	((struct fake_iface *)i)->closes++;
}

static void fake_free(struct iface *i)
{
	(void)i; /* the test's own */
}

static const struct iface_ops fake_iface_ops = {
	.set = fake_set,
	.get = fake_get,
	.state = fake_state,
	.is_open = fake_is_open,
	.close = fake_close,
	.free = fake_free,
};
