/* SPDX-License-Identifier: Apache-2.0 */
#include "api/agent_peers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/agent_interface.h"
#include "api/key_text.h"
#include "conf/wgconf.h"
#include "gateway/allowed.h"
#include "sys/clock.h"

enum {
	KEY_TEXT_MAX = 64,
	KEEPALIVE_MAX = 65535,
	SYNC_MAX = 1000,
};

static const uint64_t SECOND_NS = 1000000000;

/* --- Allowed IPs --- */

static int sort_out(const struct call *call, const struct ip_prefix *prefixes, size_t n,
		    struct allowed *ret)
{
	const struct gateway_config *c = gateway_config(call->api->gateway);

	return allowed_sort_out(&c->subnet4, &c->subnet6, prefixes, n, ret);
}

static bool is_same(const struct peer *peer, const struct allowed *a)
{
	return ip_addr_equal(&peer->v4, &a->v4) && ip_addr_equal(&peer->v6, &a->v6) &&
	       strcmp(peer->routes ? peer->routes : "", a->routes) == 0;
}

static void append_host(json_t *list, const struct ip_addr *a)
{
	struct ip_prefix p = { *a, (uint8_t)ip_addr_bits(a) };
	char text[ADDR_TEXT_MAX];

	if (a->family != ADDR_NONE)
		json_array_append_new(list, json_string(ip_prefix_format(&p, text)));
}

static json_t *allowed_json(const struct peer *peer)
{
	json_t *list = json_array();

	append_host(list, &peer->v4);
	append_host(list, &peer->v6);
	for (const char *at = peer->routes; at && *at;) {
		size_t len = strcspn(at, ",");

		json_array_append_new(list, json_stringn(at, len));
		at += len + (at[len] == ',');
	}
	return list;
}

/* --- Dump --- */

static json_t *peer_json(const struct peer *peer, const struct observed *o)
{
	char key[KEY_BASE64_LEN + 1], endpoint[ADDR_TEXT_MAX] = "";
	uint64_t handshake_s = o ? o->last_handshake_ns / SECOND_NS : 0;

	key_to_base64(peer->public_key, key);
	if (o && o->endpoint.ip.family != ADDR_NONE)
		endpoint_format(&o->endpoint, endpoint);
	return json_pack("{s:s, s:n, s:b, s:s?, s:o, s:o, s:I, s:I, s:i}", "public_key", key,
			 "preshared_key", "has_preshared_key", (int)peer->has_preshared_key,
			 "endpoint", endpoint[0] ? endpoint : NULL, "allowed_ips",
			 allowed_json(peer), "latest_handshake",
			 handshake_s ? json_integer((json_int_t)handshake_s) : json_null(),
			 "transfer_rx", (json_int_t)(o ? o->rx_bytes : 0), "transfer_tx",
			 (json_int_t)(o ? o->tx_bytes : 0), "persistent_keepalive",
			 (int)peer->keepalive_s);
}

static void dump_seen(void *context, int err, const struct observation *seen)
{
	struct call *call = context;
	const struct peer *peer = peers_after(gateway_peers(call->api->gateway), 0);
	json_t *list = json_array();

	for (; peer; peer = peer->next) {
		if (peer->status == STORE_PEER_ACTIVE && peer->blocked == 0)
			json_array_append_new(
				list, peer_json(peer, err == 0 ? observation_find(
									 seen, peer->public_key)
							       : NULL));
	}
	call_reply(call, 200,
		   json_pack("{s:s, s:o}", "interface",
			     gateway_config(call->api->gateway)->interface, "peers", list));
}

void agent_peers_dump(struct call *call)
{
	if (!agent_interface_is_there(call, true))
		return;
	if (observer_look(call->api->observer, clock_boot_ns(), dump_seen, call) != 0)
		dump_seen(call, -EBUSY, NULL);
}

/* --- Reading --- */

static size_t read_allowed(struct json_reader *r, struct ip_prefix out[ALLOWED_MAX],
			   bool *ret_is_given)
{
	const json_t *list = NULL;
	size_t n;

	*ret_is_given = json_is_array(json_object_get(r->object, "allowed_ips"));
	json_take_list(r, "allowed_ips", &list);
	n = json_array_size(list);
	if (n > ALLOWED_MAX) {
		json_refuse(r, "allowed_ips", "too_long", "List should have at most 34 items");
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(list, i));

		if (!text || ip_prefix_parse(text, false, &out[i]) != 0) {
			json_refuse(r, "allowed_ips", "value_error",
				    "Value error, a network looks like 10.0.1.2/32");
			return 0;
		}
	}
	return n;
}

static void read_key(struct json_reader *r, const char *name, bool required, uint8_t ret[32],
		     bool *ret_is_given)
{
	const char *text = NULL;

	json_take_text(r, name, required, KEY_TEXT_MAX, &text);
	*ret_is_given = text != NULL && text[0];
	if (*ret_is_given && key_text_read(text, strlen(text), ret) != 0)
		json_refuse(r, name, "value_error",
			    "Value error, a WireGuard key is 44 characters of base64");
}

/* struct wanted - A peer as a request describes it */
struct wanted {
	uint8_t public_key[32];
	struct allowed allowed;
	struct secret_key preshared_key;
	uint16_t keepalive_s;
	bool has_allowed;
	bool has_preshared_key;
	bool has_keepalive;
};

static void read_wanted(const struct call *call, struct json_reader *r, struct wanted *w)
{
	struct ip_prefix prefixes[ALLOWED_MAX];
	size_t n = read_allowed(r, prefixes, &w->has_allowed);
	int64_t keepalive = 0;

	if (sort_out(call, prefixes, n, &w->allowed) != 0)
		json_refuse(r, "allowed_ips", "too_long", "Too many networks");
	w->has_keepalive = json_is_integer(json_object_get(r->object, "persistent_keepalive"));
	json_take_number(r, "persistent_keepalive", 0, KEEPALIVE_MAX, &keepalive);
	w->keepalive_s = (uint16_t)keepalive;
}

/* Return: false when the call was answered. */
static bool read_body(struct call *call, bool is_new, struct wanted *w)
{
	struct json_reader r;
	bool has_key = true;

	*w = (struct wanted){ .has_allowed = false };
	if (!call_read_members(call, &r))
		return false;
	if (is_new) {
		read_key(&r, "public_key", true, w->public_key, &has_key);
		read_key(&r, "preshared_key", false, w->preshared_key.b, &w->has_preshared_key);
	}
	read_wanted(call, &r, w);
	return call_end_members(call, &r);
}

/* --- Changes --- */

static void fill_add(const struct call *call, const struct wanted *w, struct gateway_add *add)
{
	*add = (struct gateway_add){
		.name = "",
		.dns = "d1",
		.obfuscation = "",
		.v4 = w->allowed.v4,
		.v6 = w->allowed.v6,
		.families = STORE_IPV4 | STORE_IPV6,
		.level = call->api->level,
		.port = gateway_config(call->api->gateway)->port,
		.preshared_key = w->preshared_key,
		.limits = { .keepalive_s = w->keepalive_s, .routes = w->allowed.routes },
	};
	memcpy(add->public_key, w->public_key, 32);
}

static void fill_edit(const struct wanted *w, struct gateway_edit *e)
{
	*e = (struct gateway_edit){
		.v4 = w->allowed.v4,
		.v6 = w->allowed.v6,
		.preshared_key = w->preshared_key,
		.limits = { .keepalive_s = w->keepalive_s, .routes = w->allowed.routes },
	};
	if (w->has_allowed)
		e->fields |= GATEWAY_ADDRESSES | GATEWAY_ROUTES;
	if (w->has_preshared_key)
		e->fields |= GATEWAY_PRESHARED_KEY;
	if (w->has_keepalive)
		e->fields |= GATEWAY_KEEPALIVE;
}

/* Is the peer what the request wants already? Its preshared key is not known here. */
static bool is_done(const struct peer *peer, const struct wanted *w)
{
	return (!w->has_allowed || is_same(peer, &w->allowed)) &&
	       (!w->has_keepalive || peer->keepalive_s == w->keepalive_s) &&
	       (!w->has_preshared_key || peer->has_preshared_key);
}

static void refuse_repeat(struct call *call)
{
	call_refuse(call, 409, "Repeated request, sign it again");
}

static const char *reason_of(int err)
{
	switch (err) {
	case ERR_EXISTS:
		return "an address belongs to another peer";
	case ERR_KEY:
		return "this key cannot be a peer's";
	case ERR_RANGE:
		return "an address is the gateway's own, or the network's";
	case ERR_EXPIRED:
		return "an address was given back a moment ago and rests";
	case -EOPNOTSUPP:
		return "it has an access list, with which networks behind it do not go";
	case ERR_UNABLE:
		return CALL_UNABLE;
	default:
		return err_text(err);
	}
}

/* Of what was asked, and not of want. */
static bool is_callers(int err)
{
	return err == ERR_EXISTS || err == ERR_KEY || err == ERR_RANGE || err == ERR_EXPIRED ||
	       err == ERR_UNABLE;
}

/* @what: "add", "update", "remove" */
static void fail(struct call *call, int err, const char *what)
{
	char text[160];

	if (err == -EBUSY) {
		call_again(call);
		return;
	}
	snprintf(text, sizeof(text), "Failed to %s peer: %s", what, reason_of(err));
	if (is_callers(err))
		call_conclude_refusal(call, 500, text);
	else
		call_fail(call, err, text);
}

static json_t *success(const char *message)
{
	return json_pack("{s:s, s:s}", "status", "success", "message", message);
}

static void reply_added(struct call *call)
{
	const struct peer *peer = peers_find_key(gateway_peers(call->api->gateway), call->key);
	json_t *reply = success("Peer added successfully");
	char key[KEY_BASE64_LEN + 1];

	key_to_base64(call->key, key);
	if (reply && peer)
		json_object_set_new(reply, "peer",
				    json_pack("{s:s, s:o}", "public_key", key, "allowed_ips",
					      allowed_json(peer)));
	call_reply(call, 200, reply);
}

static void added(void *context, int err, int carried, const struct peer *peer)
{
	(void)carried, (void)peer; /* stored: the interface gets it as soon as it can */
	if (err != 0)
		fail(context, err, "add");
	else
		reply_added(context);
}

void agent_peers_add(struct call *call)
{
	struct gateway_grant grant = call_grant(call);
	const struct peer *peer;
	struct gateway_edit e;
	struct gateway_add add;
	struct wanted w;
	int err;

	if (!agent_interface_is_there(call, false) || !read_body(call, true, &w))
		return;
	memcpy(call->key, w.public_key, 32);
	peer = peers_find_key(gateway_peers(call->api->gateway), w.public_key);
	if (call->is_repeated) {
		if (peer && is_done(peer, &w))
			reply_added(call);
		else
			refuse_repeat(call);
		return;
	}
	if (peer) { /* as `wg set` would: it becomes what is said */
		fill_edit(&w, &e);
		err = gateway_change_peer(call->api->gateway, peer->id, &e, &grant, added,
					  call);
	} else {
		fill_add(call, &w, &add);
		err = gateway_add_peer(call->api->gateway, &add, &grant, added, call);
	}
	if (err != 0)
		fail(call, err, "add");
}

static void changed(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;

	(void)carried, (void)peer;
	if (err != 0)
		fail(call, err, "update");
	else
		call_reply(call, 200, success("Peer updated successfully"));
}

void agent_peers_change(struct call *call)
{
	struct gateway_grant grant = call_grant(call);
	const struct peer *peer;
	struct gateway_edit e;
	struct wanted w;
	int err;

	if (!read_body(call, false, &w))
		return;
	peer = peers_find_key(gateway_peers(call->api->gateway), call->key);
	if (!peer) {
		call_conclude_refusal(call, 404, "Peer not found");
		return;
	}
	if (call->is_repeated && !is_done(peer, &w)) {
		refuse_repeat(call);
		return;
	}
	if (call->is_repeated) {
		changed(call, 0, 0, peer);
		return;
	}
	fill_edit(&w, &e);
	err = gateway_change_peer(call->api->gateway, peer->id, &e, &grant, changed, call);
	if (err != 0)
		fail(call, err, "update");
}

static void removed(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;

	(void)carried, (void)peer;
	if (err != 0)
		fail(call, err, "remove");
	else
		call_reply(call, 200, success("Peer removed successfully"));
}

/* Of a peer that is not there it is no error either. */
void agent_peers_remove(struct call *call)
{
	struct gateway_grant grant = call_grant(call);
	const struct peer *peer = peers_find_key(gateway_peers(call->api->gateway), call->key);
	int err;

	if (!peer) {
		call_conclude(call, 200, success("Peer removed successfully"));
		return;
	}
	if (call->is_repeated) {
		refuse_repeat(call);
		return;
	}
	err = gateway_remove_peer(call->api->gateway, peer->id, &grant, removed, call);
	if (err != 0)
		fail(call, err, "remove");
}

/* --- A whole configuration --- */

/* struct sync - The file, and how many callbacks are still to come */
struct sync {
	struct call *call;
	struct wgconf file;
	size_t waiting;
	int err;
};

static void sync_free(struct sync *s)
{
	wgconf_done(&s->file);
	free(s);
}

static void reply_synced(struct call *call, int err)
{
	char text[160];

	if (err == 0) {
		call_reply(call, 200, success("Configuration synchronized successfully"));
		return;
	}
	snprintf(text, sizeof(text), "Failed to synchronize configuration: %s", reason_of(err));
	if (is_callers(err))
		call_conclude_refusal(call, 500, text);
	else
		call_fail(call, err, text);
}

static void one_synced(void *context, int err, int carried, const struct peer *peer)
{
	struct sync *s = context;

	(void)carried, (void)peer;
	if (err != 0 && (s->err == 0 || s->err == -ECANCELED))
		s->err = err;
	if (--s->waiting > 0)
		return;
	reply_synced(s->call, s->err);
	sync_free(s);
}

static const struct wgconf_peer *find_in_file(const struct wgconf *f, const uint8_t key[32])
{
	for (size_t i = 0; i < f->n_peers; i++) {
		if (memcmp(f->peers[i].public_key, key, 32) == 0)
			return &f->peers[i];
	}
	return NULL;
}

static int describe(const struct call *call, const struct wgconf *f,
		    const struct wgconf_peer *p, struct wanted *w)
{
	*w = (struct wanted){ .has_allowed = true,
			      .has_keepalive = true,
			      .has_preshared_key = true,
			      .preshared_key = p->preshared_key,
			      .keepalive_s = (uint16_t)p->keepalive.hi };
	memcpy(w->public_key, p->public_key, 32);
	return sort_out(call, p->n_allowed_ips ? f->allowed_ips + p->first_allowed_ip : NULL,
			p->n_allowed_ips, &w->allowed);
}

static int sync_one(struct sync *s, const struct wgconf_peer *p, struct gateway_grant *grant)
{
	struct gateway *g = s->call->api->gateway;
	const struct peer *peer = peers_find_key(gateway_peers(g), p->public_key);
	struct gateway_add add;
	struct gateway_edit e;
	struct wanted w;
	int err = describe(s->call, &s->file, p, &w);

	if (err != 0)
		return err;
	if (peer && is_done(peer, &w) && p->has_preshared_key == peer->has_preshared_key &&
	    !p->has_preshared_key)
		return 0;
	if (peer) {
		fill_edit(&w, &e);
		err = gateway_change_peer(g, peer->id, &e, grant, one_synced, s);
	} else {
		fill_add(s->call, &w, &add);
		err = gateway_add_peer(g, &add, grant, one_synced, s);
	}
	if (err == 0) {
		s->waiting++;
		grant->has_signature = false; /* it is spent once */
	}
	return err;
}

/* Who is not in the file goes first: somebody may get that address. */
static int drop_others(struct sync *s, struct gateway_grant *grant)
{
	struct gateway *g = s->call->api->gateway;
	const struct peer *peer = peers_after(gateway_peers(g), 0);
	int err = 0;

	for (; peer && err == 0; peer = peer->next) {
		if (find_in_file(&s->file, peer->public_key))
			continue;
		err = gateway_remove_peer(g, peer->id, grant, one_synced, s);
		if (err == 0) {
			s->waiting++;
			grant->has_signature = false;
		}
	}
	return err;
}

static void synchronize(struct sync *s)
{
	struct call *call = s->call;
	struct gateway_grant grant = call_grant(call);
	int err;

	gateway_batch_begin(call->api->gateway);
	err = drop_others(s, &grant);
	for (size_t i = 0; i < s->file.n_peers && err == 0; i++)
		err = sync_one(s, &s->file.peers[i], &grant);
	if (err == 0 && s->waiting > 0)
		err = gateway_batch_end(call->api->gateway, true);
	else
		gateway_batch_end(call->api->gateway, false);
	if (err == 0 && s->waiting > 0)
		return;
	sync_free(s);
	if (err == -EBUSY)
		call_again(call);
	else if (err == 0)
		call_conclude(call, 200, success("Configuration synchronized successfully"));
	else
		reply_synced(call, err);
}

/* The file out of "config", base64. Return: 0; ERR_FORMAT: no base64; else as wgconf_parse(). */
static int read_file(const struct call *call, struct wgconf *ret, struct diag *d)
{
	const char *text = json_string_value(json_object_get(call->body, "config"));
	size_t max = text ? strlen(text) : 0;
	char *plain = malloc(max + 1);
	long len = text && plain ? base64_decode(text, max, plain, max + 1) : -1;
	int err = plain ? 0 : -ENOMEM;

	if (err == 0)
		err = len < 0 ? ERR_FORMAT : wgconf_parse(plain, (size_t)len, ret, d);
	if (plain)
		secret_wipe(plain, max + 1);
	free(plain);
	return err;
}

void agent_peers_sync(struct call *call)
{
	struct diag d = { .text = "" };
	struct sync *s;
	char text[DIAG_TEXT_MAX + 64];
	int err;

	if (!agent_interface_is_there(call, false) || !call_read_object(call))
		return;
	if (call->is_repeated) {
		refuse_repeat(call);
		return;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		call_fail(call, -ENOMEM, NULL);
		return;
	}
	s->call = call;
	err = read_file(call, &s->file, &d);
	if (err == 0 && s->file.n_peers > SYNC_MAX)
		err = diag_set(&d, ERR_LIMIT, 0, "more than 1000 peers at once");
	if (err == 0) {
		synchronize(s);
		return;
	}
	sync_free(s);
	if (!d.text[0])
		snprintf(text, sizeof(text), "Invalid base64-encoded configuration");
	else
		snprintf(text, sizeof(text), "Failed to synchronize configuration: %s", d.text);
	call_conclude_refusal(call, d.text[0] ? 500 : 400, text);
}
