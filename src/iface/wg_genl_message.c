/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of wg_genl.h as bytes: no socket here. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/wireguard.h>
#include <netinet/in.h>

#include "base/array.h"
#include "base/err.h"
#include "iface/wg_genl.h"

enum {
	/* Most that one peer takes without its prefixes, and one prefix, with their padding. */
	PEER_ROOM = 4 + 36 + 8 + 36 + 32 + 8 + 4,
	PREFIX_ROOM = 4 + 8 + 20 + 8,
	DEVICE_ROOM = 4 + WG_GENL_NAME_MAX + 8 + 36 + 8 + 8 + 4,
	KEY_LEN = 32,
};

#define SECOND_NS UINT64_C(1000000000)

/* --- reading --- */

/* mnl_attr_parse_…() stop at a false answer of a callback; what it was is kept here. */
struct reading {
	struct wg_genl_snapshot *s;
	struct wg_genl_peer peer; /* the block that is being read */
	struct ip_prefix prefix;
	bool has_key;
	uint16_t family; /* of the prefix; AF_UNSPEC: not said */
	bool has_bits;
	int err;
};

static int fail(struct reading *r, int err)
{
	r->err = err;
	return MNL_CB_ERROR;
}

/* An attribute is copied only at the very size that it must have. */
static bool take(const struct nlattr *a, void *out, size_t len)
{
	if (mnl_attr_get_payload_len(a) != len)
		return false;
	memcpy(out, mnl_attr_get_payload(a), len);
	return true;
}

static bool take_endpoint(const struct nlattr *a, struct endpoint *out)
{
	struct sockaddr_in6 six;
	struct sockaddr_in four;

	*out = (struct endpoint){ .port = 0 };
	if (take(a, &four, sizeof(four)) && four.sin_family == AF_INET) {
		out->ip = ip_addr_v4((const uint8_t *)&four.sin_addr);
		out->port = ntohs(four.sin_port);
		return true;
	}
	if (!take(a, &six, sizeof(six)) || six.sin6_family != AF_INET6)
		return false;
	out->ip = ip_addr_v6(six.sin6_addr.s6_addr);
	out->port = ntohs(six.sin6_port);
	/* Of a link-local address only: elsewhere it means nothing, and would not compare equal. */
	if (out->ip.family == ADDR_V6 && IN6_IS_ADDR_LINKLOCAL(&six.sin6_addr))
		out->scope = six.sin6_scope_id;
	return true;
}

static bool take_time(const struct nlattr *a, uint64_t *ret_ns)
{
	int64_t at[2]; /* struct __kernel_timespec: seconds, nanoseconds */

	if (!take(a, at, sizeof(at)))
		return false;
	*ret_ns = 0;
	/* The kernel's clock is ours to read, not to trust: no overflow, no time before 1970. */
	if (at[0] >= 0 && at[0] < INT64_C(18000000000) && at[1] >= 0 && at[1] < 1000000000)
		*ret_ns = (uint64_t)at[0] * SECOND_NS + (uint64_t)at[1];
	return true;
}

static bool take_address(const struct nlattr *a, struct ip_addr *out)
{
	uint16_t len = mnl_attr_get_payload_len(a);

	if (len != 4 && len != 16)
		return false;
	/* Not ip_addr_v6(): a prefix below ::ffff:0:0/96 stays what it is. */
	out->family = len == 4 ? ADDR_V4 : ADDR_V6;
	memcpy(out->b, mnl_attr_get_payload(a), len);
	return true;
}

static int read_prefix_attribute(const struct nlattr *a, void *context)
{
	struct reading *r = context;
	bool is_good = true;

	switch (mnl_attr_get_type(a)) {
	case WGALLOWEDIP_A_FAMILY:
		is_good = take(a, &r->family, sizeof(r->family));
		break;
	case WGALLOWEDIP_A_IPADDR:
		is_good = take_address(a, &r->prefix.ip);
		break;
	case WGALLOWEDIP_A_CIDR_MASK:
		is_good = r->has_bits = take(a, &r->prefix.bits, 1);
		break;
	default:
		break;
	}
	return is_good ? MNL_CB_OK : fail(r, ERR_FORMAT);
}

static int read_prefix(const struct nlattr *a, void *context)
{
	struct reading *r = context;
	struct wg_genl_snapshot *s = r->s;

	r->prefix = (struct ip_prefix){ .bits = 0 };
	r->family = AF_UNSPEC;
	r->has_bits = false;
	if (mnl_attr_parse_nested(a, read_prefix_attribute, r) < 0)
		return fail(r, r->err ? r->err : ERR_FORMAT);
	if (!r->has_bits || r->prefix.ip.family == ADDR_NONE ||
	    r->family != (r->prefix.ip.family == ADDR_V4 ? AF_INET : AF_INET6) ||
	    r->prefix.bits > ip_addr_bits(&r->prefix.ip))
		return fail(r, ERR_FORMAT);
	if (s->n_prefixes == WG_GENL_PREFIXES_MAX)
		return fail(r, ERR_LIMIT);
	if (array_room(&s->prefixes, s->n_prefixes, sizeof(*s->prefixes),
		       &s->prefixes_capacity) < 0)
		return fail(r, -ENOMEM);
	ip_prefix_mask(&r->prefix);
	s->prefixes[s->n_prefixes++] = r->prefix;
	r->peer.n_prefixes++;
	return MNL_CB_OK;
}

static int read_prefixes(const struct nlattr *a, struct reading *r)
{
	if (mnl_attr_parse_nested(a, read_prefix, r) < 0)
		return fail(r, r->err ? r->err : ERR_FORMAT);
	return MNL_CB_OK;
}

static int read_peer_attribute(const struct nlattr *a, void *context)
{
	struct reading *r = context;
	struct wg_genl_peer *p = &r->peer;
	bool is_good = true;

	switch (mnl_attr_get_type(a)) {
	case WGPEER_A_PUBLIC_KEY:
		is_good = r->has_key = take(a, p->public_key, KEY_LEN);
		break;
	case WGPEER_A_PRESHARED_KEY:
		is_good = take(a, p->preshared_key.b, KEY_LEN);
		break;
	case WGPEER_A_ENDPOINT:
		is_good = take_endpoint(a, &p->endpoint);
		break;
	case WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL:
		is_good = take(a, &p->keepalive_s, sizeof(p->keepalive_s));
		break;
	case WGPEER_A_LAST_HANDSHAKE_TIME:
		is_good = take_time(a, &p->last_handshake_ns);
		break;
	case WGPEER_A_RX_BYTES:
		is_good = take(a, &p->rx_bytes, sizeof(p->rx_bytes));
		break;
	case WGPEER_A_TX_BYTES:
		is_good = take(a, &p->tx_bytes, sizeof(p->tx_bytes));
		break;
	case WGPEER_A_ALLOWEDIPS:
		return read_prefixes(a, r);
	default:
		break;
	}
	return is_good ? MNL_CB_OK : fail(r, ERR_FORMAT);
}

/* The block that was read: more of the last peer, or another one. */
static int keep_peer(struct reading *r)
{
	struct wg_genl_snapshot *s = r->s;
	struct wg_genl_peer *last = s->n_peers ? &s->peers[s->n_peers - 1] : NULL;

	if (last && memcmp(last->public_key, r->peer.public_key, KEY_LEN) == 0) {
		last->n_prefixes += r->peer.n_prefixes;
		return MNL_CB_OK;
	}
	if (s->n_peers == WG_GENL_PEERS_MAX)
		return fail(r, ERR_LIMIT);
	if (array_room(&s->peers, s->n_peers, sizeof(*s->peers), &s->peers_capacity) < 0)
		return fail(r, -ENOMEM);
	s->peers[s->n_peers++] = r->peer;
	return MNL_CB_OK;
}

static int read_peer(const struct nlattr *a, void *context)
{
	struct reading *r = context;
	int more;

	r->peer = (struct wg_genl_peer){ .first_prefix = r->s->n_prefixes };
	r->has_key = false;
	if (mnl_attr_parse_nested(a, read_peer_attribute, r) < 0 || !r->has_key)
		more = fail(r, r->err ? r->err : ERR_FORMAT);
	else
		more = keep_peer(r);
	secret_key_done(&r->peer.preshared_key);
	return more;
}

static int read_device_attribute(const struct nlattr *a, void *context)
{
	struct reading *r = context;
	bool is_good = true;

	switch (mnl_attr_get_type(a)) {
	case WGDEVICE_A_PUBLIC_KEY:
		is_good = take(a, r->s->public_key, KEY_LEN);
		break;
	case WGDEVICE_A_LISTEN_PORT:
		is_good = take(a, &r->s->listen_port, sizeof(r->s->listen_port));
		break;
	case WGDEVICE_A_FWMARK:
		is_good = take(a, &r->s->fwmark, sizeof(r->s->fwmark));
		break;
	case WGDEVICE_A_PEERS:
		if (mnl_attr_parse_nested(a, read_peer, r) < 0)
			return fail(r, r->err ? r->err : ERR_FORMAT);
		break;
	default: /* the private key too */
		break;
	}
	return is_good ? MNL_CB_OK : fail(r, ERR_FORMAT);
}

int wg_genl_snapshot_add(struct wg_genl_snapshot *s, const void *attributes, size_t len)
{
	struct reading r = { .s = s };

	if (mnl_attr_parse_payload(attributes, len, read_device_attribute, &r) < 0)
		return r.err ? r.err : ERR_FORMAT;
	return 0;
}

void wg_genl_snapshot_done(struct wg_genl_snapshot *s)
{
	if (s->peers)
		secret_wipe(s->peers, s->n_peers * sizeof(*s->peers));
	free(s->peers);
	free(s->prefixes);
	*s = (struct wg_genl_snapshot){ .peers = NULL };
}

/* --- writing --- */

static size_t room_of(const struct nlmsghdr *message)
{
	return WG_GENL_MESSAGE_MAX - message->nlmsg_len;
}

static void put_device(struct nlmsghdr *message, const struct wg_genl_set *set)
{
	if (set->has_private_key)
		mnl_attr_put(message, WGDEVICE_A_PRIVATE_KEY, KEY_LEN, set->private_key.b);
	if (set->has_listen_port)
		mnl_attr_put_u16(message, WGDEVICE_A_LISTEN_PORT, set->listen_port);
	if (set->has_fwmark)
		mnl_attr_put_u32(message, WGDEVICE_A_FWMARK, set->fwmark);
	if (set->replace_peers)
		mnl_attr_put_u32(message, WGDEVICE_A_FLAGS, WGDEVICE_F_REPLACE_PEERS);
}

static void put_endpoint(struct nlmsghdr *message, const struct endpoint *e)
{
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(e->port) };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6,
				    .sin6_port = htons(e->port),
				    .sin6_scope_id = e->scope };

	memcpy(&four.sin_addr, e->ip.b, sizeof(four.sin_addr));
	memcpy(&six.sin6_addr, e->ip.b, sizeof(six.sin6_addr));
	if (e->ip.family == ADDR_V4)
		mnl_attr_put(message, WGPEER_A_ENDPOINT, sizeof(four), &four);
	else if (e->ip.family == ADDR_V6)
		mnl_attr_put(message, WGPEER_A_ENDPOINT, sizeof(six), &six);
}

static void put_prefix(struct nlmsghdr *message, const struct ip_prefix *p)
{
	struct nlattr *nest = mnl_attr_nest_start(message, 0);
	bool is_four = p->ip.family == ADDR_V4;

	mnl_attr_put_u16(message, WGALLOWEDIP_A_FAMILY, is_four ? AF_INET : AF_INET6);
	mnl_attr_put(message, WGALLOWEDIP_A_IPADDR, is_four ? 4 : 16, p->ip.b);
	mnl_attr_put_u8(message, WGALLOWEDIP_A_CIDR_MASK, p->bits);
	mnl_attr_nest_end(message, nest);
}

/* What is said of a peer once: its list must not be emptied again half way. */
static void put_peer_head(struct nlmsghdr *message, const struct wg_genl_set_peer *p)
{
	if (p->has_preshared_key)
		mnl_attr_put(message, WGPEER_A_PRESHARED_KEY, KEY_LEN, p->preshared_key.b);
	if (p->has_endpoint)
		put_endpoint(message, &p->endpoint);
	if (p->has_keepalive)
		mnl_attr_put_u16(message, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL,
				 p->keepalive_s);
}

static uint32_t flags_of(const struct wg_genl_set_peer *p, bool is_first)
{
	uint32_t flags = 0;

	if (p->remove)
		flags |= WGPEER_F_REMOVE_ME;
	if (p->update_only)
		flags |= WGPEER_F_UPDATE_ONLY;
	if (p->replace_prefixes && is_first)
		flags |= WGPEER_F_REPLACE_ALLOWEDIPS;
	return flags;
}

/* Return: the peer is written to its end. */
static bool put_peer(struct nlmsghdr *message, const struct wg_genl_set_peer *p, size_t *prefix)
{
	struct nlattr *nest = mnl_attr_nest_start(message, 0);
	uint32_t flags = flags_of(p, *prefix == 0);

	mnl_attr_put(message, WGPEER_A_PUBLIC_KEY, KEY_LEN, p->public_key);
	if (flags)
		mnl_attr_put_u32(message, WGPEER_A_FLAGS, flags);
	if (*prefix == 0)
		put_peer_head(message, p);
	if (*prefix < p->n_prefixes) {
		struct nlattr *list = mnl_attr_nest_start(message, WGPEER_A_ALLOWEDIPS);

		while (*prefix < p->n_prefixes && room_of(message) >= PREFIX_ROOM)
			put_prefix(message, &p->prefixes[(*prefix)++]);
		mnl_attr_nest_end(message, list);
	}
	mnl_attr_nest_end(message, nest);
	return *prefix == p->n_prefixes;
}

bool wg_genl_set_write(struct nlmsghdr *message, const char *name,
		       const struct wg_genl_set *set, struct wg_genl_cursor *at)
{
	size_t end = at->peer + WG_GENL_PIECE;
	struct nlattr *list;

	_Static_assert(WG_GENL_MESSAGE_MAX > DEVICE_ROOM + PEER_ROOM + PREFIX_ROOM + 64,
		       "each message gets further");
	mnl_attr_put_strz(message, WGDEVICE_A_IFNAME, name);
	if (!at->is_begun)
		put_device(message, set);
	at->is_begun = true;
	if (at->peer == set->n_peers)
		return false;
	list = mnl_attr_nest_start(message, WGDEVICE_A_PEERS);
	while (at->peer < set->n_peers && at->peer < end &&
	       room_of(message) >= PEER_ROOM + PREFIX_ROOM) {
		if (!put_peer(message, &set->peers[at->peer], &at->prefix))
			break;
		at->peer++;
		at->prefix = 0;
	}
	mnl_attr_nest_end(message, list);
	return at->peer < set->n_peers;
}
