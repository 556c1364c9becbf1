/* SPDX-License-Identifier: Apache-2.0 */
#include "api/peer_json.h"

#include <string.h>

#include "api/key_text.h"
#include "api/peer_fields.h"
#include "api/time_text.h"
#include "sys/clock.h"

enum { NAME_PATH_MAX = 3 * STORE_NAME_MAX };

static json_t *addresses_of(const struct peer *peer)
{
	json_t *list = json_array();
	char text[ADDR_TEXT_MAX];
	struct ip_prefix v4 = { peer->v4, 32 }, v6 = { peer->v6, 128 };

	if (peer->v4.family != ADDR_NONE)
		json_array_append_new(list, json_string(ip_prefix_format(&v4, text)));
	if (peer->v6.family != ADDR_NONE)
		json_array_append_new(list, json_string(ip_prefix_format(&v6, text)));
	return list;
}

static json_t *routes_of(const struct peer *peer)
{
	json_t *list = json_array();

	for (const char *at = peer->routes; at && *at;) {
		size_t len = strcspn(at, ",");

		json_array_append_new(list, json_stringn(at, len));
		at += len + (at[len] == ',');
	}
	return list;
}

static json_t *blocked_of(const struct peer *peer)
{
	static const struct {
		enum store_block bit;
		const char *word;
	} words[] = { { STORE_BLOCK_EXPIRED, "expired" },
		      { STORE_BLOCK_QUOTA, "quota" },
		      { STORE_BLOCK_SCHEDULE, "schedule" },
		      { STORE_BLOCK_ACCOUNT, "account" } };
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (peer->blocked & words[i].bit)
			json_array_append_new(list, json_string(words[i].word));
	}
	return list;
}

static json_t *text_or_null(const char *text)
{
	return text && text[0] ? json_string(text) : json_null();
}

static json_t *id_or_null(int64_t id)
{
	return id ? json_integer(id) : json_null();
}

static json_t *quota_of(const struct peer *peer)
{
	if (peer->quota_bytes == 0)
		return json_null();
	return json_pack("{s:I, s:s}", "bytes", (json_int_t)peer->quota_bytes, "period",
			 peer_fields_period_word((enum store_period)peer->quota_period));
}

/* Member by member: a list has 1000 peers, and packing by a format costs twice as much. */
static void add_limits(json_t *json, const struct peer *peer)
{
	char time[TIME_TEXT_MAX];

	json_object_set_new_nocheck(json, "account", id_or_null(peer->account_id));
	json_object_set_new_nocheck(json, "access", id_or_null(peer->access_id));
	json_object_set_new_nocheck(json, "expires",
				    peer->expires_ns
					    ? json_string(time_text_utc(peer->expires_ns, time))
					    : json_null());
	json_object_set_new_nocheck(json, "quota", quota_of(peer));
	json_object_set_new_nocheck(json, "rate_bps", json_integer((json_int_t)peer->rate_bps));
	json_object_set_new_nocheck(json, "keepalive", json_integer(peer->keepalive_s));
	json_object_set_new_nocheck(json, "routes", routes_of(peer));
	json_object_set_new_nocheck(json, "schedule", text_or_null(peer->schedule));
	json_object_set_new_nocheck(json, "note", text_or_null(peer->note));
	json_object_set_new_nocheck(json, "has_preshared_key",
				    json_boolean(peer->has_preshared_key));
	json_object_set_new_nocheck(json, "blocked", blocked_of(peer));
}

json_t *peer_json(const struct peer *peer)
{
	char key[KEY_BASE64_LEN + 1], time[TIME_TEXT_MAX];
	json_t *json = json_object();

	if (!json)
		return NULL;
	key_to_base64(peer->public_key, key);
	json_object_set_new_nocheck(json, "id", json_integer(peer->id));
	json_object_set_new_nocheck(json, "name", text_or_null(peer->name));
	json_object_set_new_nocheck(json, "public_key", json_string_nocheck(key));
	json_object_set_new_nocheck(json, "addresses", addresses_of(peer));
	json_object_set_new_nocheck(json, "enabled",
				    json_boolean(peer->status == STORE_PEER_ACTIVE));
	json_object_set_new_nocheck(json, "obfuscation_level",
				    json_string_nocheck(frame_level_name(peer->level)));
	json_object_set_new_nocheck(json, "dns", json_string(peer->dns));
	json_object_set_new_nocheck(json, "created",
				    json_string_nocheck(time_text_utc(peer->created_ns, time)));
	json_object_set_new_nocheck(json, "changed",
				    json_string_nocheck(time_text_utc(peer->changed_ns, time)));
	add_limits(json, peer);
	return json;
}

/* Of whoever was never heard nothing is known, and that would read as level off; nor of who was
 * heard before that name got the parameters it has now. */
static json_t *profile_of(const struct profiles *all, const struct observed *o)
{
	const struct profile *p;

	if (!o || o->last_handshake_ns == 0 || o->is_heard_gone)
		return json_null();
	if (!o->profile_heard[0])
		return json_string(frame_level_name(FRAME_OFF));
	p = profiles_named(all, o->profile_heard);
	return p && o->last_handshake_ns < p->created_ns ? json_null()
							 : json_string(o->profile_heard);
}

/* What the interface knows; null where it knows nothing. */
static void add_observed(json_t *json, const struct profiles *all, const struct observed *o)
{
	char text[ADDR_TEXT_MAX], time[TIME_TEXT_MAX];
	bool has_endpoint = o && o->endpoint.ip.family != ADDR_NONE;
	bool has_handshake = o && o->last_handshake_ns != 0;

	json_object_set_new(json, "endpoint",
			    has_endpoint ? json_string(endpoint_format(&o->endpoint, text))
					 : json_null());
	json_object_set_new(json, "last_handshake",
			    has_handshake
				    ? json_string(time_text_utc(o->last_handshake_ns, time))
				    : json_null());
	json_object_set_new(json, "profile", profile_of(all, o));
}

/* Altogether: what was added up before, and what the interface has counted since. */
static void add_traffic(json_t *json, const struct lives *lives, const struct peer *peer,
			const struct observed *o)
{
	struct usage u;

	lives_usage(lives, peer->id, &u);
	if (o)
		usage_count(&u, (enum store_period)peer->quota_period, clock_wall_ns(),
			    o->rx_bytes, o->tx_bytes);
	json_object_set_new(json, "rx_bytes", json_integer((json_int_t)u.rx));
	json_object_set_new(json, "tx_bytes", json_integer((json_int_t)u.tx));
	json_object_set_new(json, "used_bytes",
			    peer->quota_bytes ? json_integer((json_int_t)u.used) : json_null());
}

json_t *peer_json_observed(const struct call *call, const struct peer *peer,
			   const struct observation *seen)
{
	json_t *json = peer_json(peer);

	const struct observed *o = seen ? observation_find(seen, peer->public_key) : NULL;

	if (!json)
		return NULL;
	add_observed(json, gateway_profiles(call->api->gateway), o);
	add_traffic(json, call->api->lives, peer, o);
	return json;
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
