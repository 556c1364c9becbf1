/* SPDX-License-Identifier: Apache-2.0 */
#include "api/peer_json.h"

#include <string.h>

#include "api/key_text.h"
#include "api/peer_fields.h"
#include "api/time_text.h"
#include "base/json_write.h"
#include "sys/clock.h"

enum { NAME_PATH_MAX = 3 * STORE_NAME_MAX };

static void put_optional(struct text *out, const char *name, const char *text)
{
	if (text && text[0])
		json_put_text(out, name, text);
	else
		json_put_null(out, name);
}

static void put_id(struct text *out, const char *name, int64_t id)
{
	if (id)
		json_put_number(out, name, (uint64_t)id);
	else
		json_put_null(out, name);
}

static void put_time(struct text *out, const char *name, uint64_t wall_ns)
{
	char time[TIME_TEXT_MAX];

	put_optional(out, name, wall_ns ? time_text_utc(wall_ns, time) : NULL);
}

/* An element of an array. */
static void put_element(struct text *out, const char *text, size_t len)
{
	json_put_next(out);
	json_put_string(out, text, len);
}

static void put_address(struct text *out, const struct ip_addr *ip, int bits)
{
	struct ip_prefix p = { *ip, (uint8_t)bits };
	char text[ADDR_TEXT_MAX];

	if (ip->family == ADDR_NONE)
		return;
	ip_prefix_format(&p, text);
	put_element(out, text, strlen(text));
}

static void put_addresses(struct text *out, const struct peer *peer)
{
	json_put_name(out, "addresses");
	text_puts(out, "[");
	put_address(out, &peer->v4, 32);
	put_address(out, &peer->v6, 128);
	text_puts(out, "]");
}

static void put_routes(struct text *out, const struct peer *peer)
{
	json_put_name(out, "routes");
	text_puts(out, "[");
	for (const char *at = peer->routes; at && *at;) {
		size_t len = strcspn(at, ",");

		put_element(out, at, len);
		at += len + (at[len] == ',');
	}
	text_puts(out, "]");
}

static void put_blocked(struct text *out, const struct peer *peer)
{
	static const struct {
		enum store_block bit;
		const char *word;
	} words[] = { { STORE_BLOCK_EXPIRED, "expired" },
		      { STORE_BLOCK_QUOTA, "quota" },
		      { STORE_BLOCK_SCHEDULE, "schedule" },
		      { STORE_BLOCK_ACCOUNT, "account" } };

	json_put_name(out, "blocked");
	text_puts(out, "[");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (peer->blocked & words[i].bit)
			put_element(out, words[i].word, strlen(words[i].word));
	}
	text_puts(out, "]");
}

static void put_quota(struct text *out, const struct peer *peer)
{
	if (peer->quota_bytes == 0) {
		json_put_null(out, "quota");
		return;
	}
	json_put_name(out, "quota");
	text_puts(out, "{");
	json_put_number(out, "bytes", peer->quota_bytes);
	json_put_text(out, "period",
		      peer_fields_period_word((enum store_period)peer->quota_period));
	text_puts(out, "}");
}

static void put_limits(struct text *out, const struct peer *peer)
{
	put_id(out, "account", peer->account_id);
	put_id(out, "access", peer->access_id);
	put_time(out, "expires", peer->expires_ns);
	put_quota(out, peer);
	json_put_number(out, "rate_bps", peer->rate_bps);
	json_put_number(out, "keepalive", peer->keepalive_s);
	put_routes(out, peer);
	put_optional(out, "schedule", peer->schedule);
	put_optional(out, "note", peer->note);
	json_put_bool(out, "has_preshared_key", peer->has_preshared_key);
	put_blocked(out, peer);
}

/* What is stored. */
static void put_stored(struct text *out, const struct peer *peer)
{
	char key[KEY_BASE64_LEN + 1];

	key_to_base64(peer->public_key, key);
	json_put_number(out, "id", (uint64_t)peer->id);
	put_optional(out, "name", peer->name);
	json_put_text(out, "public_key", key);
	put_addresses(out, peer);
	json_put_bool(out, "enabled", peer->status == STORE_PEER_ACTIVE);
	json_put_text(out, "obfuscation_level", frame_level_name(peer->level));
	json_put_text(out, "dns", peer->dns);
	put_time(out, "created", peer->created_ns);
	put_time(out, "changed", peer->changed_ns);
	put_limits(out, peer);
}

/* Of whoever was never heard nothing is known, and that would read as level off; nor of who was
 * heard before that name got the parameters it has now. */
static const char *profile_of(const struct profiles *all, const struct observed *o)
{
	const struct profile *p;

	if (!o || o->last_handshake_ns == 0 || o->is_heard_gone)
		return NULL;
	if (!o->profile_heard[0])
		return frame_level_name(FRAME_OFF);
	p = profiles_named(all, o->profile_heard);
	return p && o->last_handshake_ns < p->created_ns ? NULL : o->profile_heard;
}

/* What the interface knows; null where it knows nothing. */
static void put_observed(struct text *out, const struct profiles *all, const struct observed *o)
{
	char text[ADDR_TEXT_MAX];
	bool has_endpoint = o && o->endpoint.ip.family != ADDR_NONE;

	put_optional(out, "endpoint",
		     has_endpoint ? endpoint_format(&o->endpoint, text) : NULL);
	put_time(out, "last_handshake", o ? o->last_handshake_ns : 0);
	put_optional(out, "profile", profile_of(all, o));
}

/* Altogether: what was added up before, and what the interface has counted since. */
static void put_traffic(struct text *out, const struct lives *lives, const struct peer *peer,
			const struct observed *o)
{
	struct usage u;

	lives_usage(lives, peer->id, &u);
	if (o)
		usage_count(&u, (enum store_period)peer->quota_period, clock_wall_ns(),
			    o->rx_bytes, o->tx_bytes);
	json_put_number(out, "rx_bytes", u.rx);
	json_put_number(out, "tx_bytes", u.tx);
	if (peer->quota_bytes)
		json_put_number(out, "used_bytes", u.used);
	else
		json_put_null(out, "used_bytes");
}

void peer_json_put(struct text *out, const struct call *call, const struct peer *peer,
		   const struct observation *seen)
{
	const struct observed *o = seen ? observation_find(seen, peer->public_key) : NULL;

	text_puts(out, "{");
	put_stored(out, peer);
	put_observed(out, gateway_profiles(call->api->gateway), o);
	put_traffic(out, call->api->lives, peer, o);
	text_puts(out, "}");
}

/* What was written, read again: answers that say more than the peer are put together as values. */
static json_t *read_back(struct text *written)
{
	json_t *json =
		written->err == 0 ? json_loadb(written->data, written->len, 0, NULL) : NULL;

	text_done(written);
	return json;
}

json_t *peer_json(const struct peer *peer)
{
	struct text out = { .data = NULL };

	text_puts(&out, "{");
	put_stored(&out, peer);
	text_puts(&out, "}");
	return read_back(&out);
}

json_t *peer_json_observed(const struct call *call, const struct peer *peer,
			   const struct observation *seen)
{
	struct text out = { .data = NULL };

	peer_json_put(&out, call, peer, seen);
	return read_back(&out);
}

const struct peer *peer_json_find(const struct call *call)
{
	const struct peers *peers = gateway_peers(call->api->gateway);
	const char *part = call->match.part;
	size_t len = call->match.part_len;
	char name[NAME_PATH_MAX + 1];
	uint8_t key[32];

	const struct peer *peer = NULL;

	if (key_text_from_path(part, len, key) == 0)
		peer = peers_find_key(peers, key);
	else if (key_text_unescape(part, len, name, sizeof(name)) >= 0)
		peer = peers_find_name(peers, name);
	return peer && peer_json_may_see(call, peer) ? peer : NULL;
}

bool peer_json_may_see(const struct call *call, const struct peer *peer)
{
	return call->who.account_id == 0 || call->who.account_id == peer->account_id;
}
