/* SPDX-License-Identifier: Apache-2.0 */
/* An answer about a WireGuard interface: whatever is taken is in bounds, and writing it as a
 * change and reading that again gives the same peers and prefixes. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>

#include "base/err.h"
#include "fuzz.h"
#include "iface/wg_genl.h"

enum { HEADERS = 16 + 4 };

static void check_ranges(const struct wg_genl_snapshot *s)
{
	size_t at = 0;

	for (size_t i = 0; i < s->n_peers; i++) {
		HOLDS(s->peers[i].first_prefix == at);
		at += s->peers[i].n_prefixes;
	}
	HOLDS(at == s->n_prefixes);
	for (size_t i = 0; i < s->n_prefixes; i++) {
		struct ip_prefix masked = s->prefixes[i];

		HOLDS(masked.bits <= ip_addr_bits(&masked.ip));
		ip_prefix_mask(&masked);
		HOLDS(memcmp(&masked, &s->prefixes[i], sizeof(masked)) == 0);
	}
}

static struct wg_genl_set_peer change_of(const struct wg_genl_snapshot *s, size_t i)
{
	const struct wg_genl_peer *p = &s->peers[i];
	struct wg_genl_set_peer to = { .preshared_key = p->preshared_key,
				       .endpoint = p->endpoint,
				       .keepalive_s = p->keepalive_s,
				       .n_prefixes = p->n_prefixes,
				       .has_preshared_key = true,
				       .has_endpoint = true,
				       .has_keepalive = true,
				       .replace_prefixes = i % 2 };

	memcpy(to.public_key, p->public_key, 32);
	if (p->n_prefixes)
		to.prefixes = &s->prefixes[p->first_prefix];
	return to;
}

static void write_and_read(const struct wg_genl_set *set, struct wg_genl_snapshot *ret)
{
	static _Alignas(struct nlmsghdr) char buffer[WG_GENL_MESSAGE_MAX];
	struct wg_genl_cursor at = { .peer = 0 };
	bool has_more = true;

	while (has_more) {
		struct nlmsghdr *m = mnl_nlmsg_put_header(buffer);

		mnl_nlmsg_put_extra_header(m, sizeof(struct genlmsghdr));
		has_more = wg_genl_set_write(m, "wg0", set, &at);
		HOLDS(m->nlmsg_len <= sizeof(buffer));
		HOLDS(wg_genl_snapshot_add(ret, buffer + HEADERS, m->nlmsg_len - HEADERS) == 0);
	}
}

static void check_round_trip(const struct wg_genl_snapshot *s)
{
	struct wg_genl_set_peer *peers = calloc(s->n_peers + 1, sizeof(*peers));
	struct wg_genl_set set = { .peers = peers,
				   .n_peers = s->n_peers,
				   .has_listen_port = true,
				   .listen_port = s->listen_port };
	struct wg_genl_snapshot again = { .peers = NULL };

	if (!peers)
		return;
	for (size_t i = 0; i < s->n_peers; i++)
		peers[i] = change_of(s, i);
	write_and_read(&set, &again);
	HOLDS(again.listen_port == s->listen_port);
	HOLDS(again.n_peers == s->n_peers && again.n_prefixes == s->n_prefixes);
	for (size_t i = 0; i < s->n_peers; i++) {
		const struct wg_genl_peer *a = &s->peers[i], *b = &again.peers[i];

		HOLDS(memcmp(a->public_key, b->public_key, 32) == 0);
		HOLDS(memcmp(&a->preshared_key, &b->preshared_key, 32) == 0);
		HOLDS(endpoint_same_remote(&a->endpoint, &b->endpoint));
		HOLDS(a->keepalive_s == b->keepalive_s && a->n_prefixes == b->n_prefixes);
	}
	if (s->n_prefixes)
		HOLDS(memcmp(s->prefixes, again.prefixes,
			     s->n_prefixes * sizeof(*s->prefixes)) == 0);
	wg_genl_snapshot_done(&again);
	free(peers);
}

/* Messages stand behind each other, each after its length in units of four octets. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wg_genl_snapshot s = { .peers = NULL };
	int err = 0;

	while (err == 0 && size > 0) {
		size_t len = (size_t)data[0] * 4 < size - 1 ? (size_t)data[0] * 4 : size - 1;
		uint8_t *copy = malloc(len + 1); /* aligned, as a buffer of netlink is */

		if (!copy)
			break;
		memcpy(copy, data + 1, len);
		err = wg_genl_snapshot_add(&s, copy, len);
		free(copy);
		data += 1 + len;
		size -= 1 + len;
	}
	HOLDS(err == 0 || err == ERR_FORMAT || err == ERR_LIMIT || err == -ENOMEM);
	if (err == 0) {
		check_ranges(&s);
		check_round_trip(&s);
	}
	wg_genl_snapshot_done(&s);
	return 0;
}
