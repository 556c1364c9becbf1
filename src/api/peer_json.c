/* SPDX-License-Identifier: Apache-2.0 */
#include "api/peer_json.h"

#include "api/key_text.h"
#include "api/time_text.h"

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

json_t *peer_json(const struct peer *peer)
{
	char key[KEY_BASE64_LEN + 1], time[TIME_TEXT_MAX];
	json_t *name = peer->name[0] ? json_string(peer->name) : json_null();

	key_to_base64(peer->public_key, key);
	return json_pack("{s:I, s:o, s:s, s:o, s:b, s:s, s:s}", "id", (json_int_t)peer->id,
			 "name", name, "public_key", key, "addresses", addresses_of(peer),
			 "enabled", peer->status == STORE_PEER_ACTIVE, "obfuscation_level",
			 frame_level_name(peer->level), "created",
			 time_text_utc(peer->created_ns, time));
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
	json_object_set_new(json, "rx_bytes", json_integer(o ? (json_int_t)o->rx_bytes : 0));
	json_object_set_new(json, "tx_bytes", json_integer(o ? (json_int_t)o->tx_bytes : 0));
}

json_t *peer_json_observed(const struct call *call, const struct peer *peer,
			   const struct observation *seen)
{
	json_t *json = peer_json(peer);

	if (json)
		add_observed(json, gateway_profiles(call->api->gateway),
			     seen ? observation_find(seen, peer->public_key) : NULL);
	return json;
}

const struct peer *peer_json_find(const struct call *call)
{
	const struct peers *peers = gateway_peers(call->api->gateway);
	const char *part = call->match.part;
	size_t len = call->match.part_len;
	char name[NAME_PATH_MAX + 1];
	uint8_t key[32];

	if (key_text_from_path(part, len, key) == 0)
		return peers_find_key(peers, key);
	if (key_text_unescape(part, len, name, sizeof(name)) < 0)
		return NULL;
	return peers_find_name(peers, name);
}
