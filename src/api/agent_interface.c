/* SPDX-License-Identifier: Apache-2.0 */
#include "api/agent_interface.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/key_text.h"
#include "crypto/suite.h"

enum {
	TEXT_MAX = 1024,
	HOOK_MAX = 65536,
	KEY_TEXT_MAX = 64,
	MTU = 1396, /* of the tunnel; it has room for every level */
};

static const char *interface_of(const struct call *call)
{
	return gateway_config(call->api->gateway)->interface;
}

__attribute__((format(printf, 3, 4))) static void refuse(struct call *call, unsigned int status,
							 const char *format, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	call_conclude_refusal(call, status, text);
}

static void refuse_file(struct call *call)
{
	refuse(call, 404, "Configuration file not found: /etc/wireguard/%s.conf",
	       interface_of(call));
}

static void refuse_repeat(struct call *call)
{
	call_refuse(call, 409, "Repeated request, sign it again");
}

bool agent_interface_is_there(struct call *call, bool needs_up)
{
	enum ifstate state = ifstate_of(call->api->gateway);

	if (state == IFSTATE_UP || (state == IFSTATE_DOWN && !needs_up))
		return true;
	if (state == IFSTATE_DOWN)
		refuse(call, 500, "WireGuard command failed: interface %s is down",
		       interface_of(call));
	else
		refuse(call, 500, "WireGuard command failed: there is no interface %s",
		       interface_of(call));
	return false;
}

/* --- Its file --- */

static void write_addresses(const struct call *call, char out[2 * ADDR_TEXT_MAX + 2])
{
	const struct gateway *g = call->api->gateway;
	struct ip_prefix v4 = { pool_gateway(gateway_pool(g, ADDR_V4)),
				gateway_config(g)->subnet4.bits };
	struct ip_prefix v6 = { pool_gateway(gateway_pool(g, ADDR_V6)),
				gateway_config(g)->subnet6.bits };
	char a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX];

	snprintf(out, 2 * ADDR_TEXT_MAX + 2, "%s, %s", ip_prefix_format(&v4, a),
		 ip_prefix_format(&v6, b));
}

void agent_interface_show(struct call *call)
{
	char address[2 * ADDR_TEXT_MAX + 2];

	if (ifstate_of(call->api->gateway) == IFSTATE_DELETED) {
		refuse_file(call);
		return;
	}
	write_addresses(call, address);
	call_reply(call, 200,
		   json_pack("{s:s, s:{s:n, s:i, s:s, s:n, s:n, s:n, s:n, s:n, s:n}}",
			     "interface", interface_of(call), "config", "private_key",
			     "listen_port", (int)gateway_config(call->api->gateway)->port,
			     "address", address, "post_up", "pre_down", "mtu", "dns", "table",
			     "raw_config"));
}

/* Differences that are found, as one sentence. */
static void add_difference(struct text *out, const char *what)
{
	text_printf(out, "%s%s", out->len ? ", " : "", what);
}

static void judge_key(struct call *call, struct json_reader *r, struct text *differs)
{
	struct secret_key private_key;
	const char *text = NULL;
	uint8_t public_key[32];

	json_take_text(r, "private_key", true, KEY_TEXT_MAX, &text);
	if (text && key_text_read(text, strlen(text), private_key.b) != 0) {
		json_refuse(r, "private_key", "value_error",
			    "Value error, a WireGuard key is 44 characters of base64");
		return;
	}
	if (!text)
		return;
	dh_public(call->api->suite, public_key, &private_key);
	secret_key_done(&private_key);
	if (memcmp(public_key, gateway_config(call->api->gateway)->public_key, 32) != 0)
		add_difference(differs, "private_key is another one");
}

/* One of "10.0.1.1/24": is it the gateway's own address, with its network's length? */
static bool is_own(const struct call *call, const char *text)
{
	const struct gateway *g = call->api->gateway;
	char host[ADDR_TEXT_MAX];
	struct ip_prefix network;
	struct ip_addr a, own;

	snprintf(host, sizeof(host), "%.*s", (int)strcspn(text, "/"), text);
	if (ip_addr_parse(host, &a) != 0 || ip_prefix_parse(text, false, &network) != 0)
		return false;
	own = pool_gateway(gateway_pool(g, (enum addr_family)a.family));
	return ip_addr_equal(&a, &own) &&
	       network.bits == pool_prefix(gateway_pool(g, (enum addr_family)a.family))->bits;
}

static void judge_address(struct call *call, struct json_reader *r, struct text *differs)
{
	char copy[TEXT_MAX + 1], own[2 * ADDR_TEXT_MAX + 2], *save = NULL;
	char what[3 * ADDR_TEXT_MAX];
	const char *text = NULL;
	bool good = true;

	json_take_text(r, "address", false, TEXT_MAX, &text);
	if (!text)
		return;
	snprintf(copy, sizeof(copy), "%s", text);
	for (char *one = strtok_r(copy, ", ", &save); one; one = strtok_r(NULL, ", ", &save))
		good = good && is_own(call, one);
	if (good)
		return;
	write_addresses(call, own);
	snprintf(what, sizeof(what), "address is %s here", own);
	add_difference(differs, what);
}

static void judge_numbers(struct call *call, struct json_reader *r, struct text *differs)
{
	uint16_t port = gateway_config(call->api->gateway)->port;
	int64_t wanted_port = port, mtu = MTU;
	char what[64];

	json_take_number(r, "listen_port", 0, UINT16_MAX, &wanted_port);
	json_take_number(r, "mtu", 0, UINT16_MAX, &mtu);
	if (wanted_port != port) {
		snprintf(what, sizeof(what), "listen_port is %u here", port);
		add_difference(differs, what);
	}
	if (mtu != MTU && mtu != 0) {
		snprintf(what, sizeof(what), "mtu is %d here", MTU);
		add_difference(differs, what);
	}
}

/* Hooks are run nowhere but where an operator's own file says so; resolvers and tables are the
 * host's. Texts of them are taken, and have no effect. */
static void judge_others(struct json_reader *r)
{
	static const char *const names[] = { "post_up", "pre_down", "dns", "table" };
	const char *text = NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		json_take_text(r, names[i], false, HOOK_MAX, &text);
}

static void reply_updated(struct call *call)
{
	call_conclude(call, 200,
		      json_pack("{s:s, s:s, s:b}", "status", "success", "message",
				"Interface configuration updated successfully", "reloaded",
				(int)(ifstate_of(call->api->gateway) == IFSTATE_UP)));
}

static void fail(struct call *call, int err, const char *what)
{
	char text[TEXT_MAX];

	if (err == -EBUSY) {
		call_again(call);
		return;
	}
	snprintf(text, sizeof(text), "Failed to %s interface: %s", what, err_text(err));
	call_fail(call, err, text);
}

static void put_back(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;

	(void)carried, (void)peer;
	if (err != 0)
		fail(call, err, "update");
	else
		call_reply(call, 200,
			   json_pack("{s:s, s:s, s:b}", "status", "success", "message",
				     "Interface configuration updated successfully", "reloaded",
				     0));
}

/* A file that was deleted is there again, and its interface down until it is enabled. */
static void take_file(struct call *call)
{
	struct gateway_grant grant = call_grant(call);
	int err;

	if (ifstate_of(call->api->gateway) != IFSTATE_DELETED) {
		reply_updated(call);
		return;
	}
	if (call->is_repeated) {
		refuse_repeat(call);
		return;
	}
	err = ifstate_set(call->api->gateway, IFSTATE_DOWN, &grant, put_back, call);
	if (err != 0)
		fail(call, err, "update");
}

/* @differs is freed. */
static void end_put(struct call *call, struct json_reader *r, struct text *differs)
{
	if (!json_reader_is_well(r)) {
		call_refuse_fields(call, json_reader_take_errors(r));
	} else {
		json_reader_done(r);
		if (differs->len > 0)
			refuse(call, 500,
			       "WireGuard command failed: %s; these are said where the gateway"
			       " is started, and nothing was changed",
			       differs->data);
		else
			take_file(call);
	}
	text_done(differs);
}

void agent_interface_put(struct call *call)
{
	struct text differs = { .max = TEXT_MAX };
	struct json_reader r;

	if (!call_read_members(call, &r))
		return;
	judge_key(call, &r, &differs);
	judge_numbers(call, &r, &differs);
	judge_address(call, &r, &differs);
	judge_others(&r);
	end_put(call, &r, &differs);
}

/* --- On and off --- */

/* "Interface wg0 enabled successfully"; @member: was_down or was_up */
static json_t *state_json(const struct call *call, const char *what, const char *member,
			  bool value)
{
	char text[64];

	snprintf(text, sizeof(text), "Interface %s %s", interface_of(call), what);
	return json_pack("{s:s, s:s, s:b}", "status", "success", "message", text, member,
			 (int)value);
}

static void enabled(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;

	(void)carried, (void)peer; /* stored: the interface follows as soon as it can */
	if (err != 0)
		fail(call, err, "enable");
	else
		call_reply(call, 200,
			   state_json(call, "enabled successfully", "was_down", true));
}

static void disabled(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;

	(void)carried, (void)peer;
	if (err != 0)
		fail(call, err, "disable");
	else
		call_reply(call, 200,
			   state_json(call, "disabled successfully", "was_up", true));
}

void agent_interface_enable(struct call *call)
{
	struct gateway_grant grant = call_grant(call);
	enum ifstate state = ifstate_of(call->api->gateway);
	int err;

	if (state == IFSTATE_DELETED) {
		refuse_file(call);
		return;
	}
	if (state == IFSTATE_UP && !call->is_repeated) {
		call_conclude(call, 200, state_json(call, "is already up", "was_down", false));
		return;
	}
	if (call->is_repeated) { /* the first answer, while its effect stands */
		if (state == IFSTATE_UP)
			enabled(call, 0, 0, NULL);
		else
			refuse_repeat(call);
		return;
	}
	err = ifstate_set(call->api->gateway, IFSTATE_UP, &grant, enabled, call);
	if (err != 0)
		fail(call, err, "enable");
}

void agent_interface_disable(struct call *call)
{
	struct gateway_grant grant = call_grant(call);
	bool is_up = ifstate_of(call->api->gateway) == IFSTATE_UP;
	int err;

	if (call->is_repeated) {
		if (is_up)
			refuse_repeat(call);
		else
			disabled(call, 0, 0, NULL);
		return;
	}
	if (!is_up) {
		call_conclude(call, 200, state_json(call, "is already down", "was_up", false));
		return;
	}
	err = ifstate_set(call->api->gateway, IFSTATE_DOWN, &grant, disabled, call);
	if (err != 0)
		fail(call, err, "disable");
}

/* --- Gone --- */

/* struct deletion - How many callbacks are still to come, and the first refusal */
struct deletion {
	struct call *call;
	size_t waiting;
	int err;
};

static void reply_deleted(struct call *call)
{
	char text[64];

	snprintf(text, sizeof(text), "Interface %s deleted successfully", interface_of(call));
	call_reply(call, 200, json_pack("{s:s, s:s}", "status", "success", "message", text));
}

static void one_deleted(void *context, int err, int carried, const struct peer *peer)
{
	struct deletion *d = context;

	(void)carried, (void)peer;
	if (err != 0 && (d->err == 0 || d->err == -ECANCELED))
		d->err = err;
	if (--d->waiting > 0)
		return;
	if (d->err != 0)
		fail(d->call, d->err, "delete");
	else
		reply_deleted(d->call);
	free(d);
}

/* Everything of it in one transaction. */
static int delete_all(struct deletion *d)
{
	struct gateway *g = d->call->api->gateway;
	struct gateway_grant grant = call_grant(d->call);
	const struct peer *peer = peers_after(gateway_peers(g), 0);
	int err;

	gateway_batch_begin(g);
	err = ifstate_set(g, IFSTATE_DELETED, &grant, one_deleted, d);
	d->waiting = err == 0;
	grant.has_signature = false; /* it is spent once */
	for (; peer && err == 0; peer = peer->next) {
		err = gateway_remove_peer(g, peer->id, &grant, one_deleted, d);
		d->waiting += err == 0;
	}
	if (err == 0)
		return gateway_batch_end(g, true);
	gateway_batch_end(g, false);
	return err;
}

void agent_interface_delete(struct call *call)
{
	struct deletion *d;
	int err;

	if (ifstate_of(call->api->gateway) == IFSTATE_DELETED) {
		if (call->is_repeated)
			reply_deleted(call);
		else
			refuse_file(call);
		return;
	}
	if (call->is_repeated) {
		refuse_repeat(call);
		return;
	}
	d = calloc(1, sizeof(*d));
	err = -ENOMEM;
	if (d) {
		d->call = call;
		err = delete_all(d);
	}
	if (err == 0)
		return;
	free(d);
	fail(call, err, "delete");
}
