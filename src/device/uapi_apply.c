/* SPDX-License-Identifier: Apache-2.0 */
#include "device/uapi_apply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The number of a profile; FRAME_NUMBER_NONE for no name, and for one that is not there. */
static uint32_t profile_number(struct engine *e, const char *name)
{
	const struct frame_profile *p =
		name[0] ? frame_set_named(engine_profiles(e), name) : NULL;

	return p ? p->number : FRAME_NUMBER_NONE;
}

static void apply_framing(struct engine *e, struct peer *p, const struct uapi_set_peer *from)
{
	if (from->has_profile_pin)
		engine_peer_pin_profile(p, profile_number(e, from->profile_pin));
	if (from->has_profile_heard)
		engine_peer_set_profile(p, profile_number(e, from->profile_heard));
	if (from->has_sends_prelude)
		engine_peer_set_prelude(p, from->sends_prelude);
}

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
		engine_peer_set_keepalive(w, now_ns, p, from->keepalive);
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
	apply_framing(e, p, from);
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

static int reserve(struct engine *e, struct engine_worker *w, const struct uapi_set *set,
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

/* --- The profiles there will be --- */

/* Sources of a set under construction; they borrow all they point to. */
struct profiles {
	struct frame_profile_source list[FRAME_PROFILES_MAX];
	uint32_t n;
	struct frame_parameters base; /* the default's, owned */
};

static const struct uapi_profile *named_in(const struct uapi_set *set, const char *name)
{
	for (size_t i = 0; i < set->n_profiles; i++)
		if (strcmp(set->profiles[i].name, name) == 0)
			return &set->profiles[i];
	return NULL;
}

static int add_profile(struct profiles *to, const char *name,
		       const struct frame_parameters *parameters, uint64_t until_s,
		       struct diag *d)
{
	if (to->n == FRAME_PROFILES_MAX)
		return diag_set(d, ERR_LIMIT, 0, "more than %d profiles on one interface",
				FRAME_PROFILES_MAX);
	to->list[to->n++] = (struct frame_profile_source){ name, parameters, until_s };
	return 0;
}

/* What the request gives, over what there is; then all of it is judged. */
static int make_default(const struct frame_parameters *now, const struct uapi_set *set,
			struct profiles *to, struct diag *d)
{
	int err = frame_parameters_copy(&to->base, now);

	for (int key = 0; key < FRAME_KEYS && err == 0; key++)
		if (set->framing_given >> key & 1)
			err = frame_parameters_take(&to->base, &set->framing,
						    (enum frame_key)key);
	if (err == 0 && frame_parameters_check(&to->base, d) != FRAME_RULE_NONE)
		err = ERR_RANGE;
	return err ? err : add_profile(to, "", &to->base, 0, d);
}

/* Those that stay, then those that the request names. */
static int collect(const struct frame_set *now, const struct uapi_set *set, struct profiles *to,
		   struct diag *d)
{
	int err = make_default(&now->profiles[0].parameters, set, to, d);

	for (uint32_t i = 1; i < now->n && err == 0 && !set->replace_profiles; i++) {
		const struct frame_profile *p = &now->profiles[i];

		if (!named_in(set, p->name))
			err = add_profile(to, p->name, &p->parameters, p->until_s, d);
	}
	for (size_t i = 0; i < set->n_profiles && err == 0; i++) {
		const struct uapi_profile *p = &set->profiles[i];

		if (!p->remove)
			err = add_profile(to, p->name, &p->parameters, p->until_s, d);
	}
	return err;
}

static const char *shown(const struct frame_profile_source *p)
{
	return p->name[0] ? p->name : "(default)";
}

/* Every two must be told apart by what arrives first. */
static int check_clashes(const struct profiles *all, struct diag *d)
{
	for (uint32_t i = 0; i < all->n; i++)
		for (uint32_t j = i + 1; j < all->n; j++)
			if (frame_parameters_clash(all->list[i].parameters,
						   all->list[j].parameters))
				return diag_set(
					d, ERR_RANGE, 0,
					"profile-clash: initiations look the same in the profiles "
					"%s and %s, but not what follows: S1, H1 or "
					"HeaderProtectionKey must differ",
					shown(&all->list[i]), shown(&all->list[j]));
	return 0;
}

static int make_framing(struct engine *e, const struct uapi_set *set, struct uapi_ready *ret,
			struct diag *d)
{
	struct profiles to = { .n = 0 };
	int err = 0;

	if (!set->framing_given && !set->n_profiles && !set->replace_profiles)
		return 0;
	err = collect(engine_profiles(e), set, &to, d);
	if (err == 0)
		err = check_clashes(&to, d);
	if (err == 0)
		err = engine_framing_new(e, to.list, to.n, &ret->framing);
	frame_parameters_done(&to.base);
	if (err == -ENOMEM)
		diag_set(d, 0, 0, "no memory for the profiles");
	if (err == -ENOMEM)
		return UAPI_EOTHER;
	return err ? UAPI_EINVAL : 0;
}

/* Does the request say itself how that peer is pinned, or take it away? */
static bool settles_pin(const struct uapi_set *set, const uint8_t public_key[32])
{
	bool settles = set->replace_peers;

	for (size_t i = 0; i < set->n_peers && !settles; i++) {
		const struct uapi_set_peer *p = &set->peers[i];

		settles = (p->remove || p->has_profile_pin) &&
			  memcmp(p->public_key, public_key, 32) == 0;
	}
	return settles;
}

/* Whoever stays pinned to a profile that goes would never be heard again. */
static int check_kept_pins(struct engine *e, const struct uapi_set *set,
			   const struct frame_set *will_be, struct diag *d)
{
	struct engine_peer_info info;
	int err = 0;

	for (struct peer *p = engine_peer_next(e, NULL); p && !err;
	     p = engine_peer_next(e, p)) {
		engine_peer_info(p, &info);
		secret_key_done(&info.preshared_key);
		if (info.pinned == FRAME_NUMBER_NONE ||
		    frame_set_find(will_be, info.pinned)->number == info.pinned ||
		    settles_pin(set, info.public_key))
			continue;
		err = UAPI_EINVAL;
		diag_set(d, 0, 0, "culvert_profile: a peer is pinned to %s, which cannot go",
			 frame_set_find(engine_profiles(e), info.pinned)->name);
	}
	return err;
}

/* A pin names a profile that is there, or will be. */
static int check_pins(struct engine *e, const struct uapi_set *set,
		      const struct uapi_ready *ready, struct diag *d)
{
	const struct frame_set *will_be =
		ready->framing ? engine_framing_set(ready->framing) : engine_profiles(e);

	for (size_t i = 0; i < set->n_peers; i++) {
		const struct uapi_set_peer *p = &set->peers[i];

		if (p->has_profile_pin && p->profile_pin[0] &&
		    !frame_set_named(will_be, p->profile_pin)) {
			diag_set(d, 0, 0, "culvert_profile_pin: there is no profile %s",
				 p->profile_pin);
			return UAPI_EINVAL;
		}
	}
	return ready->framing ? check_kept_pins(e, set, will_be, d) : 0;
}

void uapi_ready_done(struct uapi_ready *r)
{
	r->framing = engine_framing_free(r->framing);
}

int uapi_prepare(struct engine *e, struct engine_worker *w, const struct uapi_set *set,
		 struct uapi_ready *ret, struct diag *d)
{
	struct uapi_ready ready = { .framing = NULL };
	int err = make_framing(e, set, &ready, d);

	if (err == 0)
		err = check_pins(e, set, &ready, d);
	if (err == 0)
		err = reserve(e, w, set, d);
	if (err)
		uapi_ready_done(&ready);
	else
		*ret = ready;
	return err;
}

int uapi_apply(struct engine *e, struct engine_worker *w, uint64_t now_ns,
	       const struct uapi_set *set, struct uapi_ready *ready, struct diag *d)
{
	int err = 0;

	if (set->has_private_key)
		err = engine_set_private_key(w, now_ns, &set->private_key);
	if (err == 0 && ready->framing) { /* cannot fail; the key, before it, can */
		engine_framing_publish(w, ready->framing);
		ready->framing = NULL;
	}
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

/* Return: false when there was one of that number, and is no more; @out is then what it was. */
static bool name_profile(struct engine *e, uint32_t number, char out[FRAME_NAME_MAX + 1])
{
	const struct frame_profile *p = frame_set_find(engine_profiles(e), number);

	if (number == FRAME_NUMBER_NONE)
		return true;
	if (p->number != number) /* the default, in its place */
		return false;
	memcpy(out, p->name, FRAME_NAME_MAX + 1);
	return true;
}

static void dump_peer(struct engine *e, struct peer *peer, struct text *out,
		      enum uapi_dialect dialect, struct prefixes *prefixes)
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
	get.keepalive = info.keepalive;
	get.is_heard_gone = !name_profile(e, info.profile, get.profile_heard);
	name_profile(e, info.pinned, get.profile_pin);
	get.sends_no_prelude = !info.sends_prelude;
	get.drops = info.drops;
	get.handshake_failures = info.handshake_failures;
	get.budget_bytes = info.budget_bytes;
	get.rate_bps = info.rate_bps;
	get.n_allowed_ips = list_prefixes(peer, prefixes);
	get.allowed_ips = prefixes->list;
	uapi_write_peer(out, dialect, &get);
	secret_key_done(&info.preshared_key);
	secret_key_done(&get.preshared_key);
}

/* The MTU at which the packets of every profile fit a path of 1500 octets. */
static uint32_t mtu_advice(const struct frame_set *set)
{
	uint32_t mtu = frame_mtu(1500, 0, false);

	for (uint32_t i = 0; i < set->n; i++) {
		uint32_t fits = frame_mtu(1500, set->profiles[i].pad[MESSAGE_DATA], false);

		mtu = fits < mtu ? fits : mtu;
	}
	return mtu;
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
		{ "culvert_mtu_advice=", mtu_advice(engine_profiles(e)) },
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

static void dump_usernet(const struct usernet *u, struct text *out)
{
	static const char *const names[USERNET_COUNTS] = {
		[USERNET_TCP_OPENED] = "tcp_opened",
		[USERNET_TCP_REFUSED] = "tcp_refused",
		[USERNET_UDP_OPENED] = "udp_opened",
		[USERNET_ECHO_OPENED] = "echo_opened",
		[USERNET_FORWARDED] = "forwarded",
		[USERNET_DENIED] = "denied",
		[USERNET_MALFORMED] = "malformed",
		[USERNET_EVICTED] = "evicted",
		[USERNET_FULL] = "full",
		[USERNET_DROPPED] = "dropped",
		[USERNET_TCP_CLOSED] = "tcp_closed",
		[USERNET_UDP_CLOSED] = "udp_closed",
		[USERNET_ECHO_CLOSED] = "echo_closed",
		[USERNET_PACKETS_FROM] = "packets_from",
		[USERNET_OCTETS_FROM] = "octets_from",
		[USERNET_PACKETS_TO] = "packets_to",
		[USERNET_OCTETS_TO] = "octets_to",
	};

	text_printf(out, "culvert_usernet_tier=%s\n",
		    usernet_tier(u) == USERNET_TIER_A ? "a" : "b");
	text_printf(out, "culvert_usernet_flows=%u\n", usernet_flows(u));
	for (int i = 0; i < USERNET_COUNTS; i++)
		text_printf(out, "culvert_usernet_%s=%llu\n", names[i],
			    (unsigned long long)usernet_counted(u, (enum usernet_count)i));
}

void uapi_dump(struct engine *e, struct text *out, enum uapi_dialect dialect,
	       const struct uapi_outside *outside, bool with_private_key)
{
	struct uapi_get_device device = { .listen_port = outside->listen_port,
					  .fwmark = outside->fwmark,
					  .framing = engine_profiles(e) };
	struct prefixes prefixes = { 0 };

	if (with_private_key)
		engine_get_private_key(e, &device.private_key);
	uapi_write_device(out, &device);
	dump_counters(e, outside, out);
	if (outside->usernet)
		dump_usernet(outside->usernet, out);
	secret_key_done(&device.private_key);
	for (struct peer *p = engine_peer_next(e, NULL); p; p = engine_peer_next(e, p))
		dump_peer(e, p, out, dialect, &prefixes);
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
