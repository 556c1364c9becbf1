/* SPDX-License-Identifier: Apache-2.0 */
#include "device/uapi_apply.h"

#include <stdlib.h>
#include <string.h>

static int apply_endpoint_and_keys(struct engine_worker *w, uint64_t now_ns, struct peer *p,
				   const struct uapi_set_peer *from)
{
	int err = 0;

	if (from->has_preshared_key)
		engine_peer_set_preshared_key(p, &from->preshared_key);
	if (from->has_endpoint)
		err = engine_peer_set_endpoint(w, p, &from->endpoint);
	if (from->has_budget)
		engine_peer_set_budget(p, from->budget_bytes);
	if (from->has_rate)
		engine_peer_set_rate(p, from->rate_bps);
	if (from->has_greatest_timestamp)
		engine_peer_set_greatest_time(p, from->greatest_timestamp);
	if (from->has_keepalive)
		engine_peer_set_keepalive(w, now_ns, p, from->keepalive_s);
	return err;
}

static int apply_allowed_ips(struct engine *e, struct peer *p, const struct uapi_set *set,
			     const struct uapi_set_peer *from)
{
	const struct uapi_allowed_ip *a = set->allowed_ips + from->first_allowed_ip;
	int err = 0;

	if (from->replace_allowed_ips)
		engine_allowed_ip_remove_all(e, p);
	for (uint32_t i = 0; i < from->n_allowed_ips && err == 0; i++)
		if (a[i].remove)
			engine_allowed_ip_remove(e, p, &a[i].prefix);
		else
			err = engine_allowed_ip_add(e, p, &a[i].prefix);
	return err;
}

/* The peer a block is about, made if need be; NULL with 0: there is nothing to do. */
static int find_or_add(struct engine_worker *w, const struct uapi_set_peer *from,
		       struct peer **ret)
{
	struct peer *p = engine_peer_find(w, from->public_key);
	int err = 0;

	*ret = NULL;
	if (from->remove) {
		if (p)
			engine_peer_remove(w, p);
		return 0;
	}
	if (!p && !from->update_only) {
		err = engine_peer_add(w, from->public_key, &p);
		if (err == ERR_KEY) /* ourselves: ignored, as everywhere */
			return 0;
	}
	if (err == 0)
		*ret = p;
	return err;
}

static int apply_peer(struct engine *e, struct engine_worker *w, uint64_t now_ns,
		      const struct uapi_set *set, const struct uapi_set_peer *from)
{
	struct peer *p = NULL;
	int err = find_or_add(w, from, &p);

	if (err < 0 || !p)
		return err;
	err = apply_allowed_ips(e, p, set, from);
	if (err == 0)
		err = apply_endpoint_and_keys(w, now_ns, p, from);
	engine_peer_flush(w, now_ns, p);
	return err;
}

/* How many blocks may add a peer. Too many at worst: the rest is used next time. */
static size_t count_new(struct engine_worker *w, const struct uapi_set *set)
{
	size_t n = 0;

	for (size_t i = 0; i < set->n_peers; i++)
		n += !set->peers[i].remove && !set->peers[i].update_only &&
		     (set->replace_peers || !engine_peer_find(w, set->peers[i].public_key));
	return n;
}

int uapi_prepare(struct engine *e, struct engine_worker *w, const struct uapi_set *set,
		 struct diag *d)
{
	size_t n_new = count_new(w, set);
	size_t before = set->replace_peers ? 0 : engine_peer_count(e);

	if (before + n_new > ENGINE_PEERS_MAX) {
		diag_set(d, 0, 0, "more than %d peers", ENGINE_PEERS_MAX);
		return UAPI_EINVAL;
	}
	if (engine_reserve(e, n_new, set->n_allowed_ips) < 0) {
		diag_set(d, 0, 0, "no memory for %zu more peers", n_new);
		return UAPI_EOTHER;
	}
	return 0;
}

int uapi_apply(struct engine *e, struct engine_worker *w, uint64_t now_ns,
	       const struct uapi_set *set, struct diag *d)
{
	int refused = uapi_prepare(e, w, set, d);
	int err = 0;

	if (refused)
		return refused;
	if (set->has_private_key)
		err = engine_set_private_key(w, now_ns, &set->private_key);
	if (err == 0 && set->replace_peers)
		engine_peer_remove_all(w);
	for (size_t i = 0; i < set->n_peers && err == 0; i++)
		err = apply_peer(e, w, now_ns, set, &set->peers[i]);
	if (err < 0) {
		diag_set(d, 0, 0, "%s", err_text(err));
		return UAPI_EOTHER;
	}
	return 0;
}

/* --- Dump --- */

struct prefixes {
	struct ip_prefix *list;
	size_t capacity;
};

/* Return: how many stand in @p->list; all of them unless there is no memory. */
static size_t list_prefixes(struct peer *peer, struct prefixes *p)
{
	size_t n = engine_peer_allowed_ips(peer, p->list, p->capacity);

	if (n > p->capacity) {
		struct ip_prefix *list = reallocarray(p->list, n, sizeof(*list));

		if (!list)
			return p->capacity;
		p->list = list;
		p->capacity = n;
		engine_peer_allowed_ips(peer, p->list, n);
	}
	return n;
}

static void dump_peer(struct peer *peer, struct text *out, struct prefixes *prefixes)
{
	struct engine_peer_info info;
	struct uapi_get_peer get = { 0 };

	engine_peer_info(peer, &info);
	memcpy(get.public_key, info.public_key, sizeof(get.public_key));
	memcpy(get.greatest_timestamp, info.greatest_time, sizeof(get.greatest_timestamp));
	get.preshared_key = info.preshared_key;
	get.endpoint = info.endpoint;
	get.last_handshake_ns = info.last_handshake_wall_ns;
	get.tx_bytes = info.tx_bytes;
	get.rx_bytes = info.rx_bytes;
	get.keepalive_s = info.keepalive_s;
	get.drops = info.drops;
	get.handshake_failures = info.handshake_failures;
	get.budget_bytes = info.budget_bytes;
	get.rate_bps = info.rate_bps;
	get.n_allowed_ips = list_prefixes(peer, prefixes);
	get.allowed_ips = prefixes->list;
	uapi_write_peer(out, &get);
	secret_key_done(&info.preshared_key);
	secret_key_done(&get.preshared_key);
}

/* Ours: what happened to what did not get through. wg skips these keys. */
static void dump_counters(const struct engine *e, const struct uapi_outside *outside,
			  struct text *out)
{
	struct engine_counters c;

	engine_counters(e, &c);
	const struct {
		const char *key;
		uint64_t value;
	} rows[] = {
		{ "culvert_malformed=", c.malformed },
		{ "culvert_unknown_index=", c.unknown_index },
		{ "culvert_bad_tag=", c.bad_tag },
		{ "culvert_replayed=", c.replayed },
		{ "culvert_bad_source=", c.bad_source },
		{ "culvert_bad_packet=", c.bad_packet },
		{ "culvert_no_route=", c.no_route },
		{ "culvert_no_endpoint=", c.no_endpoint },
		{ "culvert_staged_dropped=", c.staged_dropped },
		{ "culvert_over_budget=", c.over_budget },
		{ "culvert_handshake_queue_full=", c.handshake_queue_full },
		{ "culvert_bad_mac1=", c.bad_mac1 },
		{ "culvert_cookies_sent=", c.cookies_sent },
		{ "culvert_rate_limited=", c.rate_limited },
		{ "culvert_handshakes_refused=", c.handshakes_refused },
		{ "culvert_handshakes_answered=", c.handshakes_answered },
		{ "culvert_handshakes_completed=", c.handshakes_completed },
		{ "culvert_send_failed=", outside->send_failed },
		{ "culvert_write_failed=", outside->write_failed },
		{ "culvert_cut=", outside->cut },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		text_puts(out, rows[i].key);
		text_put_u64(out, rows[i].value);
		text_puts(out, "\n");
	}
}

void uapi_dump(struct engine *e, struct text *out, const struct uapi_outside *outside,
	       bool with_private_key)
{
	struct uapi_get_device device = { .listen_port = outside->listen_port,
					  .fwmark = outside->fwmark };
	struct prefixes prefixes = { 0 };

	if (with_private_key)
		engine_get_private_key(e, &device.private_key);
	uapi_write_device(out, &device);
	dump_counters(e, outside, out);
	secret_key_done(&device.private_key);
	for (struct peer *p = engine_peer_next(e, NULL); p; p = engine_peer_next(e, p))
		dump_peer(p, out, &prefixes);
	free(prefixes.list);
}

/* --- Changes --- */

static void put_number(struct text *out, const char *key, uint64_t value)
{
	text_puts(out, key);
	text_put_u64(out, value);
	text_puts(out, "\n");
}

static void dump_change(struct peer *p, unsigned int changes, struct text *out)
{
	struct engine_peer_info info;
	char endpoint[ADDR_TEXT_MAX];

	engine_peer_info(p, &info);
	text_puts(out, "public_key=");
	text_put_hex(out, info.public_key, sizeof(info.public_key));
	text_puts(out, "\n");
	if (changes & ENGINE_CHANGED_HANDSHAKE)
		text_puts(out, "event=handshake\n");
	if (changes & ENGINE_CHANGED_ENDPOINT)
		text_puts(out, "event=endpoint\n");
	if (info.endpoint.ip.family != ADDR_NONE) {
		text_puts(out, "endpoint=");
		text_puts(out, endpoint_format(&info.endpoint, endpoint));
		text_puts(out, "\n");
	}
	put_number(out,
		   "last_handshake_time_sec=", info.last_handshake_wall_ns / ENGINE_SECOND);
	put_number(out,
		   "last_handshake_time_nsec=", info.last_handshake_wall_ns % ENGINE_SECOND);
	put_number(out, "tx_bytes=", info.tx_bytes);
	put_number(out, "rx_bytes=", info.rx_bytes);
	put_number(out, "culvert_drops=", info.drops);
	text_puts(out, "\n");
	secret_key_done(&info.preshared_key);
}

void uapi_dump_changes(struct engine *e, struct text *out)
{
	for (struct peer *p = engine_peer_next(e, NULL); p; p = engine_peer_next(e, p)) {
		unsigned int changes = engine_peer_changes(p);

		if (changes)
			dump_change(p, changes, out);
	}
}
