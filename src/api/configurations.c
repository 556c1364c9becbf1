/* SPDX-License-Identifier: Apache-2.0 */
#include "api/configurations.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/client_conf.h"
#include "api/key_text.h"
#include "api/level_word.h"
#include "sys/random.h"

enum {
	DEFAULT_PORT = 51820,
	REQUEST_ID_MAX = 256,
	KEY_TEXT_MAX = 64,
	TRAFFIC_MAX = 8, /* entries; two have a meaning */
	JUNK_COUNT_MAX = 128,
	JUNK_SIZE_MAX = 1280,
	PADDING_MAX = 65535,
};

static const char not_found[] = "Configuration not found";

/* --- Create: reading --- */

/* The object is validated and stored with the peer; a shared interface never follows it. */
static void read_obfuscation(struct json_reader *r, char out[STORE_OBFUSCATION_MAX + 1])
{
	static const struct {
		const char *name;
		int64_t max;
	} numbers[] = {
		{ "jc", JUNK_COUNT_MAX }, { "jmin", JUNK_SIZE_MAX }, { "jmax", JUNK_SIZE_MAX },
		{ "s1", PADDING_MAX },	  { "s2", PADDING_MAX },     { "s3", PADDING_MAX },
		{ "s4", PADDING_MAX },	  { "h1", UINT32_MAX },	     { "h2", UINT32_MAX },
		{ "h3", UINT32_MAX },	  { "h4", UINT32_MAX },
	};
	static const int64_t defaults[] = { 3, 50, 1000, 0, 0, 0, 0, 1, 2, 3, 4 };
	struct text text = { .max = STORE_OBFUSCATION_MAX };
	const json_t *object = NULL;
	struct json_reader inner;
	bool enabled = true;

	json_take_object(r, "obfuscation", &object);
	if (!object)
		return;
	inner = (struct json_reader){ .object = object, .errors = r->errors };
	json_take_bool(&inner, "enabled", false, &enabled);
	text_printf(&text, "{\"enabled\":%s", enabled ? "true" : "false");
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		int64_t value = defaults[i];

		json_take_number(&inner, numbers[i].name, 0, numbers[i].max, &value);
		text_printf(&text, ",\"%s\":%lld", numbers[i].name, (long long)value);
	}
	text_puts(&text, "}");
	if (text.err == 0)
		memcpy(out, text.data, text.len + 1);
	text_done(&text);
}

static unsigned int family_of(const json_t *word)
{
	const char *text = json_string_value(word);

	if (text && strcmp(text, "ipv4") == 0)
		return STORE_IPV4;
	if (text && strcmp(text, "ipv6") == 0)
		return STORE_IPV6;
	return 0;
}

static unsigned int read_traffic(struct json_reader *r)
{
	const json_t *list = NULL;
	unsigned int families = 0;

	json_take_list(r, "tunnel_traffic", &list);
	if (json_array_size(list) > TRAFFIC_MAX)
		json_refuse(r, "tunnel_traffic", "too_long",
			    "List should have at most 8 items");
	for (size_t i = 0; i < json_array_size(list) && i < TRAFFIC_MAX; i++) {
		unsigned int family = family_of(json_array_get(list, i));

		if (!family) {
			json_refuse(r, "tunnel_traffic", "literal_error",
				    "Input should be a list of 'ipv4' and 'ipv6'");
			break;
		}
		families |= family;
	}
	return families ? families : STORE_IPV4;
}

static void read_key(struct json_reader *r, uint8_t ret[32])
{
	const char *text = NULL;

	json_take_text(r, "public_key", true, KEY_TEXT_MAX, &text);
	if (text && key_text_read(text, strlen(text), ret) != 0)
		json_refuse(r, "public_key", "value_error",
			    "Value error, a WireGuard public key is 44 characters of base64");
}

/* @obfuscation has room for the stored text; @add points to it. */
static void read_create(struct json_reader *r, struct gateway_add *add, const char **ret_level,
			char obfuscation[STORE_OBFUSCATION_MAX + 1])
{
	static const char *const protocols[] = { "ipv4", "ipv6", "dual" };
	static const char *const choices[] = { "d1", "d2", "d3" };
	const char *request_id = NULL;
	size_t protocol = 0, dns = 0;
	int64_t port = DEFAULT_PORT;

	read_key(r, add->public_key);
	json_take_text(r, "request_id", false, REQUEST_ID_MAX, &request_id);
	json_take_word(r, "protocol", protocols, 3, &protocol);
	add->families = read_traffic(r);
	json_take_number(r, "port", 0, UINT16_MAX, &port);
	json_take_word(r, "dns", choices, API_DNS_CHOICES, &dns);
	read_obfuscation(r, obfuscation);
	*ret_level = frame_level_name(FRAME_OFF); /* by contract, whatever our own default is */
	level_word_take(r, &add->level, ret_level);
	add->port = (uint16_t)port;
	add->dns = choices[dns];
	add->wants_v4 = add->families & STORE_IPV4;
	add->wants_v6 = add->families & STORE_IPV6;
	add->obfuscation = obfuscation;
	add->name = "";
}

/* --- Create: answering --- */

static json_t *address_text(const struct ip_addr *a)
{
	char text[ADDR_TEXT_MAX];

	return a->family == ADDR_NONE ? json_null() : json_string(ip_addr_format(a, text));
}

/* What the deployment has, as the contract names it. Its headers are integers: of a range it is
 * the lower bound, which alone lets nobody in. Who can use more finds it beside the object, in
 * "amneziawg". */
static json_t *obfuscation_of(const struct frame_parameters *p)
{
	return json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
			 "enabled", 1, "jc", (json_int_t)p->jc, "jmin", (json_int_t)p->jmin,
			 "jmax", (json_int_t)p->jmax, "s1", (json_int_t)p->pad[0], "s2",
			 (json_int_t)p->pad[1], "s3", (json_int_t)p->pad[2], "s4",
			 (json_int_t)p->pad[3], "h1", (json_int_t)p->header[0].lo, "h2",
			 (json_int_t)p->header[1].lo, "h3", (json_int_t)p->header[2].lo, "h4",
			 (json_int_t)p->header[3].lo);
}

/* What is no parameter of AmneziaWG, but goes into the file all the same: MTU into [Interface],
 * PersistentKeepalive into [Peer]. As texts, like the rest. NULL: out of memory; @all is gone. */
static json_t *with_file_values(json_t *all, const struct client_conf *c)
{
	struct text keepalive = { .data = NULL };
	char mtu[8];

	snprintf(mtu, sizeof(mtu), "%u", c->mtu);
	frame_range_write(&keepalive, c->keepalive);
	if (!all || keepalive.err != 0 ||
	    json_object_set_new(all, "MTU", json_string(mtu)) != 0 ||
	    json_object_set_new(all, "PersistentKeepalive", json_string(keepalive.data)) != 0) {
		json_decref(all);
		all = NULL;
	}
	text_done(&keepalive);
	return all;
}

/* The contract's object, and all that goes into this client's file: what must match is the
 * same in both, junk, signature packets and timers are drawn for the client. */
static int add_obfuscation(const struct call *call, const struct peer *peer, json_t *body)
{
	const struct profiles *all = gateway_profiles(call->api->gateway);
	const struct profile *p = profiles_current(all, peer->level);
	struct client_conf c;
	int err;

	if (!p)
		return 0;
	err = client_conf_init(call->api, peer->level, &c);
	if (err == 0 &&
	    (json_object_set_new(body, "obfuscation", obfuscation_of(&p->parameters)) != 0 ||
	     json_object_set_new(body, "amneziawg",
				 with_file_values(client_conf_parameters(&c.framing), &c)) !=
		     0))
		err = -ENOMEM;
	client_conf_done(&c);
	return err;
}

static json_t *created_body(const struct call *call, const struct peer *peer)
{
	char key[KEY_BASE64_LEN + 1];
	json_t *body;

	key_to_base64(gateway_config(call->api->gateway)->public_key, key);
	body = json_pack("{s:s, s:o, s:s, s:i, s:s}", "status", "created", "assigned_ip",
			 address_text(&peer->v4), "server_public_key", key, "port",
			 (int)peer->port, "obfuscation_level", call->word);
	if (body && add_obfuscation(call, peer, body) != 0) {
		json_decref(body);
		return NULL;
	}
	if (peer->v6.family != ADDR_NONE)
		json_object_set_new(body, "assigned_ipv6", address_text(&peer->v6));
	return body;
}

static json_t *encrypted(const struct call *call, json_t *value);

/* A peer that was committed counts as created even if the interface gets it a moment later:
 * what is stored is what will be. */
static void created(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;

	(void)carried;
	if (err != 0)
		call_fail(call, err, NULL);
	else if (call->has_e2e)
		call_reply(call, 200, encrypted(call, created_body(call, peer)));
	else
		call_reply(call, 200, created_body(call, peer));
}

static void refuse_key(struct call *call)
{
	struct json_reader r;

	if (json_reader_init(&r, call->body) != 0) {
		call_fail(call, -ENOMEM, NULL);
		return;
	}
	json_refuse(&r, "public_key", "value_error",
		    "Value error, this key cannot be a client's");
	call_refuse_fields(call, json_reader_take_errors(&r));
}

static void create(struct call *call, const struct gateway_add *add)
{
	static const char failed[] = "Failed to configure WireGuard peer";
	struct gateway_grant grant = call_grant(call);
	int err = gateway_add_peer(call->api->gateway, add, &grant, created, call);

	switch (err) {
	case 0:
		return;
	case -EBUSY:
		call_again(call);
		return;
	case ERR_EXISTS:
		call_conclude(call, 200, json_pack("{s:s}", "status", "exists"));
		return;
	case ERR_KEY:
		refuse_key(call);
		return;
	case ERR_UNABLE:
		call_conclude_refusal(call, 409, CALL_UNABLE);
		return;
	case ERR_EXHAUSTED:
		call_fail(call, err, failed);
		return;
	default:
		call_fail(call, err, NULL);
		return;
	}
}

/* --- Payloads that the backend in between cannot read --- */

static bool is_said(const struct call *call, const char *name)
{
	const json_t *member = json_object_get(call->body, name);

	return member && !json_is_null(member);
}

/* Owned plaintext with a NUL behind it. */
static int open_blob(const struct e2e *e, const char *text, char **ret, size_t *ret_len)
{
	size_t max = strlen(text);
	uint8_t *blob = malloc(max + 1);
	char *plain = calloc(1, max + 1);
	long len = blob && plain ? base64_decode(text, max, blob, max + 1) : -1;
	int err = len < 0 ? ERR_FORMAT
			  : e2e_open(&e->request, blob, (size_t)len, (uint8_t *)plain);

	free(blob);
	if (err != 0) {
		free(plain);
		return err;
	}
	*ret = plain;
	*ret_len = (size_t)len - E2E_OVERHEAD;
	return 0;
}

/* What was inside takes the place of what stands outside; the key outside always wins. */
static int merge_inner(struct call *call, const char *plain, size_t len)
{
	static const char *const names[] = {
		"protocol",    "tunnel_traffic",   "dns", "port", "request_id",
		"obfuscation", "obfuscation_level"
	};
	json_t *inner = NULL;
	int err = json_parse(plain, len, &inner, NULL);

	if (err == 0 && !json_is_object(inner))
		err = ERR_FORMAT;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && err == 0; i++) {
		json_t *member = json_object_get(inner, names[i]);

		if (member && json_object_set(call->body, names[i], member) != 0)
			err = -ENOMEM;
	}
	json_decref(inner);
	return err;
}

static int decrypt(struct call *call)
{
	const char *pub = json_string_value(json_object_get(call->body, "eph_pub"));
	const char *blob = json_string_value(json_object_get(call->body, "encrypted_blob"));
	uint8_t eph_pub[32];
	char *plain = NULL;
	size_t len = 0;
	int err = ERR_FORMAT;

	if (!call->api->has_ecdh_key || !pub || !blob ||
	    key_text_read(pub, strlen(pub), eph_pub) != 0)
		return ERR_FORMAT;
	err = e2e_init(call->api->suite, &call->api->ecdh_key, eph_pub, &call->e2e);
	if (err == 0)
		err = open_blob(&call->e2e, blob, &plain, &len);
	if (err == 0) {
		err = merge_inner(call, plain, len);
		secret_wipe(plain, len);
	}
	free(plain);
	call->has_e2e = err == 0;
	return err;
}

/* {"encrypted_response": …} of @value, which is gone. NULL: no memory. */
static json_t *encrypted(const struct call *call, json_t *value)
{
	char *plain = value ? json_dumps(value, 0) : NULL; /* spaced, as Python's */
	size_t len = plain ? strlen(plain) : 0;
	uint8_t nonce[E2E_NONCE_LEN], *sealed = malloc(len + E2E_OVERHEAD);
	char *text = malloc(2 * (len + E2E_OVERHEAD) + 8);
	json_t *reply = NULL;

	json_decref(value);
	if (plain && sealed && text) {
		random_fill(nonce, sizeof(nonce));
		e2e_close(&call->e2e.reply, nonce, (const uint8_t *)plain, len, sealed);
		base64_encode(sealed, len + E2E_OVERHEAD, text);
		reply = json_pack("{s:s}", "encrypted_response", text);
	}
	free(text);
	free(sealed);
	free(plain);
	return reply;
}

void configurations_create(struct call *call)
{
	char obfuscation[STORE_OBFUSCATION_MAX + 1] = "";
	struct gateway_add add = { .port = DEFAULT_PORT,
				   .limits.keepalive_s = GATEWAY_KEEPALIVE_S };
	struct json_reader r;

	if (!call_read_object(call))
		return;
	if ((is_said(call, "eph_pub") || is_said(call, "encrypted_blob")) &&
	    decrypt(call) != 0) {
		call_refuse(call, 400, "E2E decryption failed");
		return;
	}
	if (json_reader_init(&r, call->body) != 0) {
		call_fail(call, -ENOMEM, NULL);
		return;
	}
	read_create(&r, &add, &call->word, obfuscation);
	if (!json_reader_is_well(&r)) {
		call_refuse_fields(call, json_reader_take_errors(&r));
		return;
	}
	json_reader_done(&r);
	/* A peer without an interface, or without the parameters of its level, is of no use;
	 * better nothing than half of it. */
	if ((!reconcile_is_well(call->api->reconcile) ||
	     !client_conf_has(call->api, add.level)) &&
	    !peers_find_key(gateway_peers(call->api->gateway), add.public_key)) {
		call_fail(call, -ENETDOWN, "Failed to configure WireGuard peer");
		return;
	}
	create(call, &add);
}

void configurations_redirect(struct call *call)
{
	call_redirect(call, "/api/v1/configurations/");
}

/* --- The key in the path --- */

/* Return: the peer; NULL when there is none, with @call->key set or @*ret_is_key false. */
static const struct peer *find_peer(struct call *call, bool *ret_is_key)
{
	*ret_is_key =
		key_text_from_path(call->match.part, call->match.part_len, call->key) == 0;
	return *ret_is_key ? peers_find_key(gateway_peers(call->api->gateway), call->key)
			   : NULL;
}

/* --- Status --- */

static void status_set(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;
	bool active = strcmp(call->word, "active") == 0;

	if (err == 0 && peer && carried == 0)
		call_reply(call, 200,
			   json_pack("{s:s}", "status", active ? "updated" : "suspended"));
	else if (err == 0) /* stored; but the interface does not act on it yet */
		call_refuse(call, 500,
			    active ? "Failed to activate peer" : "Failed to suspend peer");
	else
		call_fail(call, err, NULL);
}

static bool read_status(struct call *call)
{
	static const char *const words[] = { "suspended", "active" };
	struct json_reader r;
	const char *text = NULL;
	size_t word = 0;

	if (!call_read_members(call, &r))
		return false;
	json_take_text(&r, "status", true, KEY_TEXT_MAX, &text);
	if (json_reader_is_well(&r))
		json_take_word(&r, "status", words, 2, &word);
	if (!json_reader_is_well(&r)) {
		call_refuse_fields(call, json_reader_take_errors(&r));
		return false;
	}
	json_reader_done(&r);
	call->word = words[word];
	return true;
}

void configurations_set_status(struct call *call)
{
	enum store_status status;
	const struct peer *peer;
	bool is_key;

	if (!read_status(call))
		return;
	peer = find_peer(call, &is_key);
	if (!peer) {
		call_conclude_refusal(call, 404, not_found);
		return;
	}
	status = strcmp(call->word, "active") == 0 ? STORE_PEER_ACTIVE : STORE_PEER_SUSPENDED;

	struct gateway_grant grant = call_grant(call);
	int err = peer->is_busy ? -EBUSY
				: gateway_set_status(call->api->gateway, peer->id, status,
						     &grant, status_set, call);

	if (err == -EBUSY)
		call_again(call);
	else if (err != 0)
		call_fail(call, err, NULL);
}

/* --- Delete --- */

static void deleted(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;

	(void)peer;
	if (err != 0)
		call_fail(call, err, NULL);
	else if (carried != 0)
		call_refuse(call, 500, "Failed to remove peer from the interface");
	else
		call_reply(call, 200, json_pack("{s:s}", "status", "deleted"));
}

/* There is no record; did the interface have it? */
static void evicted(void *context, int err, const struct observation *seen)
{
	struct call *call = context;

	(void)seen;
	/* Created while we asked, and now perhaps not on the interface: remove all of it. */
	if (err == 0 && peers_find_key(gateway_peers(call->api->gateway), call->key))
		configurations_delete(call);
	else if (err == 0)
		call_conclude(call, 200,
			      json_pack("{s:s, s:s}", "status", "deleted", "message",
					"Peer removed from WireGuard"));
	else if (err == ERR_UNKNOWN)
		call_conclude_refusal(call, 404, not_found);
	else
		call_fail(call, -ENOTCONN, NULL);
}

void configurations_delete(struct call *call)
{
	struct gateway_grant grant = call_grant(call);
	bool is_key;
	const struct peer *peer = find_peer(call, &is_key);
	int err;

	if (!is_key) {
		call_conclude_refusal(call, 404, not_found);
		return;
	}
	if (!peer)
		err = observer_evict(call->api->observer, call->key, evicted, call);
	else if (peer->is_busy)
		err = -EBUSY;
	else
		err = gateway_remove_peer(call->api->gateway, peer->id, &grant, deleted, call);
	if (err == -EBUSY)
		call_again(call);
	else if (err != 0)
		call_fail(call, err, NULL);
}
