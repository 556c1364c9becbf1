/* SPDX-License-Identifier: Apache-2.0 */
#include "iface/from_conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

/* --- The device --- */

static bool is_same_value(const struct frame_parameters *a, const struct frame_parameters *b,
			  enum frame_key key)
{
	struct text one = { 0 }, other = { 0 };
	bool same;

	frame_parameters_put(&one, FRAME_UAPI, a, key);
	frame_parameters_put(&other, FRAME_UAPI, b, key);
	same = !one.err && !other.err && one.len == other.len &&
	       (!one.len || memcmp(one.data, other.data, one.len) == 0);
	text_done(&one);
	text_done(&other);
	return same;
}

static int set_framing(const struct from_conf *from, struct uapi_set *ret)
{
	const struct frame_parameters *wanted = &from->conf->interface.framing;
	int err = frame_parameters_copy(&ret->framing, wanted);

	for (int key = 0; key < FRAME_KEYS; key++) {
		if (!is_same_value(wanted, &from->now->framing, (enum frame_key)key))
			ret->framing_given |= UINT32_C(1) << key;
	}
	return err;
}

static int set_profiles(const struct from_conf *from, struct uapi_set *ret)
{
	const struct wgconf *c = from->conf;

	ret->replace_profiles = c->n_profiles || from->now->n_profiles;
	for (size_t i = 0; i < c->n_profiles; i++) {
		struct uapi_profile copy = c->profiles[i];

		if (array_room(&ret->profiles, ret->n_profiles, sizeof(copy),
			       &ret->profiles_capacity) ||
		    frame_parameters_copy(&copy.parameters, &c->profiles[i].parameters))
			return -ENOMEM;
		ret->profiles[ret->n_profiles++] = copy;
		secret_key_done(&copy.parameters.protection_key);
	}
	return 0;
}

static int set_device(const struct from_conf *from, struct uapi_set *ret)
{
	const struct wgconf_interface *i = &from->conf->interface;
	const struct iface_snapshot *now = from->now;
	int err = set_framing(from, ret);

	ret->private_key = i->private_key;
	ret->has_private_key =
		!secret_equal(&i->private_key, &now->private_key, sizeof(i->private_key));
	ret->listen_port = i->listen_port;
	ret->has_listen_port = i->has_listen_port && i->listen_port != now->listen_port;
	ret->fwmark = i->fwmark;
	ret->has_fwmark = (i->has_fwmark || !from->keep_peers) && i->fwmark != now->fwmark;
	return err ? err : set_profiles(from, ret);
}

/* --- Peers --- */

static int add_block(struct uapi_set *set, const uint8_t public_key[32],
		     struct uapi_set_peer **ret)
{
	struct uapi_set_peer *block;

	if (array_room(&set->peers, set->n_peers, sizeof(*block), &set->peers_capacity))
		return -ENOMEM;
	block = &set->peers[set->n_peers++];
	*block = (struct uapi_set_peer){
		.first_allowed_ip = (uint32_t)set->n_allowed_ips,
		.budget_bytes = UINT64_MAX,
	};
	memcpy(block->public_key, public_key, 32);
	*ret = block;
	return 0;
}

static int add_allowed_ips(const struct wgconf *c, const struct wgconf_peer *peer,
			   struct uapi_set *set, struct uapi_set_peer *block)
{
	block->replace_allowed_ips = true;
	for (size_t i = 0; i < peer->n_allowed_ips; i++) {
		if (array_room(&set->allowed_ips, set->n_allowed_ips, sizeof(*set->allowed_ips),
			       &set->allowed_ips_capacity))
			return -ENOMEM;
		set->allowed_ips[set->n_allowed_ips++] = (struct uapi_allowed_ip){
			.prefix = c->allowed_ips[peer->first_allowed_ip + i]
		};
		block->n_allowed_ips++;
	}
	return 0;
}

static bool has_same_prefixes(const struct wgconf *c, const struct wgconf_peer *peer,
			      const struct uapi_get_peer *now)
{
	return peer->n_allowed_ips == now->n_allowed_ips &&
	       (!now->n_allowed_ips ||
		memcmp(&c->allowed_ips[peer->first_allowed_ip], now->allowed_ips,
		       now->n_allowed_ips * sizeof(*now->allowed_ips)) == 0);
}

static bool is_same_range(struct frame_range a, struct frame_range b)
{
	return a.lo == b.lo && a.hi == b.hi;
}

/* What differs from @now, which is all zeroes for a peer that is new. */
static int set_peer(const struct from_conf *from, size_t index, const struct uapi_get_peer *now,
		    bool is_new, struct uapi_set *ret)
{
	const struct wgconf_peer *peer = &from->conf->peers[index];
	const struct endpoint *endpoint = &from->endpoints[index];
	struct uapi_set_peer *block;
	int err = 0;

	if (add_block(ret, peer->public_key, &block))
		return -ENOMEM;
	block->preshared_key = peer->preshared_key;
	block->has_preshared_key = !secret_equal(&peer->preshared_key, &now->preshared_key,
						 sizeof(now->preshared_key));
	block->endpoint = *endpoint;
	block->has_endpoint = endpoint->ip.family != ADDR_NONE &&
			      !endpoint_same_remote(endpoint, &now->endpoint);
	block->keepalive = peer->keepalive;
	block->has_keepalive = !is_same_range(peer->keepalive, now->keepalive);
	if (is_new || !has_same_prefixes(from->conf, peer, now))
		err = add_allowed_ips(from->conf, peer, ret, block);
	if (!is_new && !block->has_preshared_key && !block->has_endpoint &&
	    !block->has_keepalive && !block->replace_allowed_ips)
		ret->n_peers--; /* nothing differs */
	return err;
}

static int compare_keys(const void *a, const void *b)
{
	const struct wgconf_peer *const *one = a, *const *other = b;

	return memcmp((*one)->public_key, (*other)->public_key, 32);
}

/* Peers that the file does not have, first: what they hold becomes free. */
static int remove_others(const struct from_conf *from, struct uapi_set *ret)
{
	const struct wgconf *c = from->conf;
	const struct wgconf_peer **sorted = calloc(c->n_peers + 1, sizeof(*sorted));
	int err = sorted ? 0 : -ENOMEM;

	for (size_t i = 0; sorted && i < c->n_peers; i++)
		sorted[i] = &c->peers[i];
	if (sorted)
		qsort(sorted, c->n_peers, sizeof(*sorted), compare_keys);
	for (size_t i = 0; !err && i < from->now->n_peers; i++) {
		struct wgconf_peer wanted = { 0 };
		const struct wgconf_peer *key = &wanted;
		struct uapi_set_peer *block;

		memcpy(wanted.public_key, from->now->peers[i].public_key, 32);
		if (bsearch(&key, sorted, c->n_peers, sizeof(*sorted), compare_keys))
			continue;
		err = add_block(ret, wanted.public_key, &block);
		if (!err)
			block->remove = true;
	}
	free(sorted);
	return err;
}

int from_conf_make(const struct from_conf *from, struct uapi_set *ret)
{
	static const struct uapi_get_peer none;
	int err = set_device(from, ret);

	ret->replace_peers = !from->keep_peers;
	if (!err && from->keep_peers)
		err = remove_others(from, ret);
	for (size_t i = 0; i < from->conf->n_peers && !err; i++) {
		const struct uapi_get_peer *now =
			from->keep_peers ? iface_snapshot_find(from->now,
							       from->conf->peers[i].public_key)
					 : NULL;

		err = set_peer(from, i, now ? now : &none, !now, ret);
	}
	return err;
}
