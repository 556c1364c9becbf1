/* SPDX-License-Identifier: Apache-2.0 */
#include "iface/kernel.h"

#include <stdlib.h>
#include <string.h>

/* --- Requests --- */

static int judge_device(const struct uapi_set *set, struct diag *d)
{
	if (set->framing_given || set->n_profiles || set->replace_profiles) {
		diag_set(d, 0, 0, "the kernel's WireGuard knows no obfuscation");
		return UAPI_EINVAL;
	}
	return 0;
}

static int judge_peer(const struct uapi_set_peer *p, struct diag *d)
{
	const char *what = NULL;

	if (p->profile_pin[0] || p->profile_heard[0] || p->sends_prelude)
		what = "obfuscation";
	else if (p->keepalive.lo != p->keepalive.hi)
		what = "interval that is a range";
	else if (p->rate_bps)
		what = "limit of a rate";
	else if (p->has_greatest_timestamp)
		what = "time of a last handshake that could be set";
	if (!what)
		return 0;
	diag_set(d, 0, 0, "the kernel's WireGuard knows no %s", what);
	return UAPI_EINVAL;
}

static int judge(const struct uapi_set *set, struct diag *d)
{
	int err = judge_device(set, d);

	for (size_t i = 0; i < set->n_peers && err == 0; i++)
		err = judge_peer(&set->peers[i], d);
	for (size_t i = 0; i < set->n_allowed_ips && err == 0; i++)
		if (set->allowed_ips[i].remove) {
			diag_set(d, 0, 0, "the kernel's WireGuard takes no prefix away alone");
			err = UAPI_EINVAL;
		}
	return err;
}

static struct wg_genl_set_peer translate(const struct uapi_set_peer *p,
					 const struct ip_prefix *prefixes)
{
	struct wg_genl_set_peer to = {
		.preshared_key = p->preshared_key,
		.endpoint = p->endpoint,
		.keepalive_s = (uint16_t)p->keepalive.hi,
		.prefixes = prefixes + p->first_allowed_ip,
		.n_prefixes = p->n_allowed_ips,
		.remove = p->remove,
		.update_only = p->update_only,
		.replace_prefixes = p->replace_allowed_ips,
		.has_preshared_key = p->has_preshared_key,
		.has_endpoint = p->has_endpoint,
		.has_keepalive = p->has_keepalive,
	};

	memcpy(to.public_key, p->public_key, sizeof(to.public_key));
	return to;
}

/* One more than there are: an array of none is one that could not be had. */
static int make_room(const struct uapi_set *set, struct kernel_change *c)
{
	c->set.n_peers = set->n_peers;
	c->peers = calloc(set->n_peers + 1, sizeof(*c->peers));
	c->prefixes = calloc(set->n_allowed_ips + 1, sizeof(*c->prefixes));
	return c->peers && c->prefixes ? 0 : UAPI_EOTHER;
}

int kernel_change_make(const struct uapi_set *set, struct kernel_change *ret, struct diag *d)
{
	struct kernel_change c = { .set = { .private_key = set->private_key,
					    .fwmark = set->fwmark,
					    .listen_port = set->listen_port,
					    .has_private_key = set->has_private_key,
					    .has_listen_port = set->has_listen_port,
					    .has_fwmark = set->has_fwmark,
					    .replace_peers = set->replace_peers } };
	int err = judge(set, d);

	if (err == 0 && make_room(set, &c) != 0) {
		diag_set(d, 0, 0, "no memory for a request of that size");
		err = UAPI_EOTHER;
	}
	for (size_t i = 0; i < set->n_allowed_ips && err == 0; i++)
		c.prefixes[i] = set->allowed_ips[i].prefix;
	for (size_t i = 0; i < set->n_peers && err == 0; i++)
		c.peers[i] = translate(&set->peers[i], c.prefixes);
	c.set.peers = c.peers;
	if (err == 0)
		*ret = c;
	else
		kernel_change_done(&c);
	secret_key_done(&c.set.private_key);
	return err;
}

void kernel_change_done(struct kernel_change *c)
{
	if (c->peers)
		secret_wipe(c->peers, c->set.n_peers * sizeof(*c->peers));
	free(c->peers);
	free(c->prefixes);
	secret_wipe(c, sizeof(*c));
}

/* --- Answers --- */

static void write_peer(struct text *out, const struct wg_genl_snapshot *s,
		       const struct wg_genl_peer *p)
{
	struct uapi_get_peer get = {
		.preshared_key = p->preshared_key,
		.endpoint = p->endpoint,
		.last_handshake_ns = p->last_handshake_ns,
		.tx_bytes = p->tx_bytes,
		.rx_bytes = p->rx_bytes,
		.keepalive = { p->keepalive_s, p->keepalive_s },
		.allowed_ips = p->n_prefixes ? &s->prefixes[p->first_prefix] : NULL,
		.n_allowed_ips = p->n_prefixes,
		.budget_bytes = UINT64_MAX,
	};

	memcpy(get.public_key, p->public_key, sizeof(get.public_key));
	uapi_write_peer(out, UAPI_AMNEZIA, &get);
	secret_key_done(&get.preshared_key);
}

void kernel_write(struct text *out, const struct wg_genl_snapshot *s)
{
	const struct uapi_get_device device = { .listen_port = s->listen_port,
						.fwmark = s->fwmark };

	uapi_write_device(out, &device);
	for (size_t i = 0; i < s->n_peers; i++)
		write_peer(out, s, &s->peers[i]);
}

static uint64_t print_peer(const struct wg_genl_snapshot *s, const struct wg_genl_peer *p,
			   const uint8_t key[SHORT_HASH_KEY_LEN])
{
	uint8_t octets[32 + 32 + 2];
	uint64_t sum;

	memcpy(octets, p->public_key, 32);
	memcpy(octets + 32, p->preshared_key.b, 32);
	memcpy(octets + 64, &p->keepalive_s, 2);
	sum = short_hash(key, octets, sizeof(octets));
	for (size_t i = 0; i < p->n_prefixes; i++) {
		const struct ip_prefix *prefix = &s->prefixes[p->first_prefix + i];

		octets[32] = prefix->ip.family;
		octets[33] = prefix->bits;
		memcpy(octets + 34, prefix->ip.b, sizeof(prefix->ip.b));
		sum += short_hash(key, octets, 34 + sizeof(prefix->ip.b));
	}
	secret_wipe(octets, sizeof(octets));
	return sum;
}

uint64_t kernel_print(const struct wg_genl_snapshot *s, const uint8_t key[SHORT_HASH_KEY_LEN])
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->n_peers; i++)
		sum += print_peer(s, &s->peers[i], key);
	return sum;
}
