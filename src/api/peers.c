/* SPDX-License-Identifier: Apache-2.0 */
#include "api/peers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/call.h"
#include "api/client_conf.h"
#include "api/key_text.h"
#include "api/level_word.h"
#include "api/peer_json.h"
#include "crypto/suite.h"
#include "sys/clock.h"
#include "sys/random.h"

enum {
	PAGE_MAX = 1000,
	KEY_TEXT_MAX = 64,
	ADDRESSES_MAX = 2,
};

static const char unknown_peer[] = "There is no such peer";
static const char no_parameters[] = "This gateway has no parameters for that level yet";

/* --- List --- */

/* One decimal number out of a query; the rest of it must be known too. */
static bool read_query(const char *query, uint64_t *ret_limit, uint64_t *ret_after)
{
	while (*query) {
		size_t len = strcspn(query, "&");
		uint64_t *to = NULL;
		uint64_t max = INT64_MAX;
		size_t skip = 0;

		if (strncmp(query, "limit=", 6) == 0) {
			to = ret_limit;
			max = PAGE_MAX;
			skip = 6;
		} else if (strncmp(query, "after=", 6) == 0) {
			to = ret_after;
			skip = 6;
		}
		if (!to || decimal_parse(query + skip, len - skip, max, to) != 0)
			return false;
		query += len + (query[len] == '&');
	}
	return *ret_limit > 0;
}

static void list(void *context, int err, const struct observation *seen)
{
	struct call *call = context;
	const struct peers *peers = gateway_peers(call->api->gateway);
	json_t *page = json_array(), *next = json_null();
	uint64_t limit = PAGE_MAX, after = 0;
	const struct peer *peer;

	(void)err; /* then @seen is NULL, and the peers are listed without their traffic */
	read_query(call->match.query, &limit, &after);
	peer = peers_after(peers, (int64_t)after);
	for (; peer && limit > 0; limit--, peer = peer->next) {
		json_array_append_new(page, peer_json_observed(call, peer, seen));
		if (limit == 1 && peer->next)
			next = json_integer((json_int_t)peer->id);
	}
	call_reply(call, 200,
		   json_pack("{s:o, s:o, s:I}", "peers", page, "next", next, "total",
			     (json_int_t)peers_count(peers)));
}

void peers_list(struct call *call)
{
	uint64_t limit = PAGE_MAX, after = 0;

	if (!read_query(call->match.query, &limit, &after)) {
		call_refuse(call, 400, "The query takes limit (1 to 1000) and after (an id)");
		return;
	}
	if (observer_look(call->api->observer, clock_boot_ns(), list, call) != 0)
		list(call, 0, NULL);
}

/* --- Show --- */

static void show(void *context, int err, const struct observation *seen)
{
	struct call *call = context;
	const struct peer *peer = peers_find_id(gateway_peers(call->api->gateway), call->id);

	(void)err;
	if (!peer) /* removed while we asked */
		call_refuse(call, 404, unknown_peer);
	else
		call_reply(call, 200, peer_json_observed(call, peer, seen));
}

void peers_show(struct call *call)
{
	const struct peer *peer = peer_json_find(call);

	if (!peer || peer->id == 0) {
		call_refuse(call, 404, unknown_peer);
		return;
	}
	call->id = peer->id;
	if (observer_look(call->api->observer, clock_boot_ns(), show, call) != 0)
		show(call, 0, NULL);
}

/* --- Create --- */

static void read_name(struct json_reader *r, struct gateway_add *add)
{
	const char *name = NULL, *why;

	json_take_text(r, "name", true, STORE_NAME_MAX, &name);
	if (name && !key_text_is_name(name, &why))
		json_refuse(r, "name", "value_error", why);
	else if (name)
		add->name = name;
}

static void make_key(struct call *call, struct gateway_add *add)
{
	if (!call->has_private_key) {
		random_fill(call->private_key.b, sizeof(call->private_key.b));
		dh_clamp(&call->private_key);
		call->has_private_key = true;
	}
	dh_public(call->api->suite, add->public_key, &call->private_key);
}

/* A key of the client's, or one made here: not both. */
static void read_key(struct call *call, struct json_reader *r, struct gateway_add *add)
{
	const char *text = NULL;
	bool generate = false;

	json_take_text(r, "public_key", false, KEY_TEXT_MAX, &text);
	json_take_bool(r, "generate", false, &generate);
	if (text && generate)
		json_refuse(r, "generate", "value_error",
			    "Either a public_key is given or one is generated");
	else if (text && key_text_read(text, strlen(text), add->public_key) != 0)
		json_refuse(r, "public_key", "value_error",
			    "A WireGuard public key is 44 characters of base64");
	else if (!text)
		make_key(call, add);
}

static bool is_one_host(const struct ip_prefix *p)
{
	return p->bits == ip_addr_bits(&p->ip);
}

static void read_addresses(struct json_reader *r, struct gateway_add *add)
{
	const json_t *list = NULL;
	const char *why = NULL;

	json_take_list(r, "addresses", &list);
	add->wants_v4 = add->wants_v6 = json_array_size(list) == 0;
	if (json_array_size(list) > ADDRESSES_MAX)
		why = "At most one IPv4 and one IPv6 address";
	for (size_t i = 0; !why && i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		struct ip_prefix p;

		if (!text || ip_prefix_parse(text, false, &p) != 0 || !is_one_host(&p)) {
			why = "An address is one host, like 10.0.1.2 or 10.0.1.2/32";
			break;
		}

		struct ip_addr *slot = p.ip.family == ADDR_V4 ? &add->v4 : &add->v6;

		if (slot->family != ADDR_NONE)
			why = "At most one IPv4 and one IPv6 address";
		*slot = p.ip;
	}
	if (why)
		json_refuse(r, "addresses", "value_error", why);
}

/* Members "client" and "configuration". Return: NULL when they cannot be made; @body is gone. */
static json_t *add_client(struct call *call, json_t *body, const struct peer *peer,
			  const struct secret_key *key)
{
	struct text text = { .data = NULL };
	struct client_conf c;
	bool is_made = client_conf_init(call->api, peer->level, &c) == 0 &&
		       json_object_set_new(body, "client",
					   client_conf_values(call->api, peer, &c)) == 0 &&
		       client_conf_text(call->api, peer, &c, key, &text) == 0 &&
		       json_object_set_new(body, "configuration", json_string(text.data)) == 0;

	text_done(&text);
	client_conf_done(&c);
	if (is_made)
		return body;
	json_decref(body);
	return NULL;
}

static json_t *created_body(struct call *call, const struct peer *peer)
{
	const struct secret_key *key = call->has_private_key ? &call->private_key : NULL;
	json_t *body = peer_json(peer);
	char text[KEY_BASE64_LEN + 1];

	if (key) {
		key_to_base64(key->b, text);
		json_object_set_new(body, "private_key", json_string(text));
		secret_wipe(text, sizeof(text));
	}
	return add_client(call, body, peer, key);
}

static void created(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;

	(void)carried; /* stored: the interface gets it as soon as it can */
	if (err != 0)
		call_fail(call, err, NULL);
	else
		call_reply(call, 201, created_body(call, peer));
}

static void refuse_existing(struct call *call, const struct gateway_add *add)
{
	const struct peers *peers = gateway_peers(call->api->gateway);

	if (peers_find_name(peers, add->name))
		call_conclude_refusal(
			call, 409,
			"A peer with this name exists; choose another, or remove it first");
	else if (peers_find_key(peers, add->public_key))
		call_conclude_refusal(call, 409, "A peer with this key exists");
	else
		call_conclude_refusal(call, 409, "The address belongs to another peer");
}

static void create(struct call *call, const struct gateway_add *add)
{
	struct gateway_grant grant = call_grant(call);
	int err = gateway_add_peer(call->api->gateway, add, &grant, created, call);

	switch (err) {
	case 0:
		return;
	case -EBUSY:
		call_again(call);
		return;
	case ERR_EXISTS:
		refuse_existing(call, add);
		return;
	case ERR_KEY:
		call_refuse(call, 422, "This key cannot be a client's");
		return;
	case ERR_RANGE:
		call_refuse(call, 422, "The address is not a client's address of this gateway");
		return;
	case ERR_EXPIRED:
		call_conclude_refusal(call, 409,
				      "The address was given back a moment ago and rests");
		return;
	case ERR_EXHAUSTED:
		call_fail(call, ERR_LIMIT, "The address pool is full");
		return;
	default:
		call_fail(call, err, NULL);
		return;
	}
}

void peers_create(struct call *call)
{
	struct gateway_add add = {
		.name = "",
		.dns = "d1",
		.obfuscation = "",
		.families = STORE_IPV4 | STORE_IPV6,
		.limits.keepalive_s = GATEWAY_KEEPALIVE_S,
	};
	struct json_reader r;

	if (!call_read_object(call))
		return;
	if (json_reader_init(&r, call->body) != 0) {
		call_fail(call, -ENOMEM, NULL);
		return;
	}
	add.port = gateway_config(call->api->gateway)->port;
	add.level = call->api->level;
	read_name(&r, &add);
	read_key(call, &r, &add);
	read_addresses(&r, &add);
	level_word_take(&r, &add.level, NULL);
	if (!json_reader_is_well(&r)) {
		call_refuse_fields(call, json_reader_take_errors(&r));
		return;
	}
	json_reader_done(&r);
	if (!client_conf_has(call->api, add.level))
		call_fail(call, -ENOTCONN, no_parameters);
	else
		create(call, &add);
}

/* --- A client's file once more --- */

/* "obfuscation_level=WORD" alone; nothing at all leaves what @ret is. */
static bool read_level(const char *query, enum frame_level *ret)
{
	static const char name[] = "obfuscation_level=";
	const char *word = query + sizeof(name) - 1;
	enum frame_level level;

	if (!*query)
		return true;
	if (strncmp(query, name, sizeof(name) - 1) != 0)
		return false;
	level = frame_level_find(word, strlen(word));
	if (level < FRAME_LEVELS)
		*ret = level;
	return level < FRAME_LEVELS;
}

/* Without the private key, which nobody here has. For clients whose level was rotated, and for
 * those that are to be heard at another one: the peer's own stays what it is. */
void peers_configuration(struct call *call)
{
	const struct peer *found = peer_json_find(call);
	struct peer peer;

	if (!found || found->id == 0) {
		call_refuse(call, 404, unknown_peer);
		return;
	}
	peer = *found;
	if (!read_level(call->match.query, &peer.level))
		call_refuse(call, 400,
			    "The query takes obfuscation_level, one of: off, low,"
			    " medium, high, extreme");
	else if (!client_conf_has(call->api, peer.level))
		call_refuse(call, 503, no_parameters);
	else
		call_reply(call, 200, add_client(call, peer_json(&peer), &peer, NULL));
}

/* --- Enable, disable, another level --- */

static void changed(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;

	if (err != 0)
		call_fail(call, err, NULL);
	else if (carried != 0)
		call_refuse(call, 503, "Stored, but the interface does not act on it yet");
	else
		call_reply(call, 200, peer_json(peer));
}

static bool is_there(const struct call *call, const char *name)
{
	const json_t *member = json_object_get(call->body, name);

	return member && !json_is_null(member);
}

/* One of both. @ret_level: FRAME_LEVELS where it is not the level. */
static bool read_change(struct call *call, bool *ret_enabled, enum frame_level *ret_level)
{
	struct json_reader r;

	if (!call_read_object(call))
		return false;
	if (json_reader_init(&r, call->body) != 0) {
		call_fail(call, -ENOMEM, NULL);
		return false;
	}
	json_take_bool(&r, "enabled", !is_there(call, "obfuscation_level"), ret_enabled);
	level_word_take(&r, ret_level, NULL);
	if (is_there(call, "enabled") && is_there(call, "obfuscation_level"))
		json_refuse(&r, "obfuscation_level", "value_error",
			    "One change at a time: enabled or obfuscation_level");
	if (!json_reader_is_well(&r)) {
		call_refuse_fields(call, json_reader_take_errors(&r));
		return false;
	}
	json_reader_done(&r);
	return true;
}

/* What became of handing a change of an existing peer to the gateway. */
static void follow(struct call *call, int err)
{
	if (err == -EBUSY)
		call_again(call);
	else if (err != 0)
		call_fail(call, err, NULL);
}

void peers_change(struct call *call)
{
	struct gateway_grant grant = call_grant(call);
	enum frame_level level = FRAME_LEVELS;
	const struct peer *peer;
	bool enabled = false;

	if (!read_change(call, &enabled, &level))
		return;
	peer = peer_json_find(call);
	if (!peer)
		call_conclude_refusal(call, 404, unknown_peer);
	else if (peer->is_busy)
		follow(call, -EBUSY);
	else if (level < FRAME_LEVELS && !client_conf_has(call->api, level))
		call_fail(call, -ENOTCONN, no_parameters);
	else if (level < FRAME_LEVELS)
		follow(call, gateway_set_level(call->api->gateway, peer->id, level, &grant,
					       changed, call));
	else
		follow(call,
		       gateway_set_status(call->api->gateway, peer->id,
					  enabled ? STORE_PEER_ACTIVE : STORE_PEER_SUSPENDED,
					  &grant, changed, call));
}

/* --- Delete --- */

static void deleted(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;

	(void)peer;
	if (err != 0)
		call_fail(call, err, NULL);
	else if (carried != 0)
		call_refuse(call, 503, "Removed, but the interface does not act on it yet");
	else
		call_reply(call, 200, json_pack("{s:s}", "status", "deleted"));
}

void peers_delete(struct call *call)
{
	struct gateway_grant grant = call_grant(call);
	const struct peer *peer = peer_json_find(call);

	if (!peer)
		call_conclude_refusal(call, 404, unknown_peer);
	else if (peer->is_busy)
		follow(call, -EBUSY);
	else
		follow(call, gateway_remove_peer(call->api->gateway, peer->id, &grant, deleted,
						 call));
}
