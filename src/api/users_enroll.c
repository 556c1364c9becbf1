/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /enroll: whoever has a token becomes a user, with a key pair of its own.
 *
 * A token that is not good is a failure that makes its source wait, counted with the links that do not
 * work: who asks here proves nothing else.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/client_conf.h"
#include "api/enrolments.h"
#include "api/key_text.h"
#include "api/users.h"
#include "base/codec.h"
#include "gateway/users.h"
#include "sys/clock.h"

enum { ENDPOINT_MAX = API_HOST_MAX + 16, TEXT_MAX = USER_ID_MAX + 64, KEEPALIVE_S = 25 };

static const char not_good[] =
	"This token is not good: it was used already, its time is over, or it never was one";

/* struct wanted - What the request says; borrowed from its body */
struct wanted {
	const char *token;
	const char *client_id;
	uint8_t public_key[32];
};

/* --- The answer --- */

/* All that a client's file needs beside its own private key. */
static json_t *configuration(const struct call *call, const struct peer *peer)
{
	const struct gateway_config *c = gateway_config(call->api->gateway);
	char endpoint[ENDPOINT_MAX], server_key[KEY_BASE64_LEN + 1];
	char ip[ADDR_TEXT_MAX], address[ADDR_TEXT_MAX + 4];

	if (peer->v4.family != ADDR_V4)
		return NULL;
	client_conf_endpoint(call->api, endpoint);
	key_to_base64(c->public_key, server_key);
	snprintf(address, sizeof(address), "%s/%u", ip_addr_format(&peer->v4, ip),
		 c->subnet4.bits);
	return json_pack("{s:s, s:[s, s], s:s, s:s, s:[s], s:i}", "address", address, "dns",
			 USER_DNS_1, USER_DNS_2, "server_public_key", server_key, "endpoint",
			 endpoint, "allowed_ips", "0.0.0.0/0", "persistent_keepalive",
			 KEEPALIVE_S);
}

static json_t *answer(const struct call *call, const struct user *user,
		      const struct users_secrets *secrets)
{
	const struct peer *peer = users_peer(call->api->users, user);
	json_t *json = users_json(call, user, secrets);
	json_t *more = json && peer ? configuration(call, peer) : NULL;

	if (more) {
		json_object_set_new(json, "configuration", more);
		return json;
	}
	json_decref(json);
	return NULL;
}

static void refuse_taken(struct call *call)
{
	char text[TEXT_MAX];

	if (users_find(call->api->users, call->name)) {
		snprintf(text, sizeof(text), "User %s already exists", call->name);
		call_refuse(call, 409, text);
	} else {
		call_refuse(call, 409, "This name or this public key is somebody's already");
	}
}

static void refuse(struct call *call, int err)
{
	if (err == ERR_EXISTS)
		refuse_taken(call);
	else if (err == ERR_KEY)
		call_refuse(call, 422, "This public key cannot be a client's");
	else if (err == ERR_UNKNOWN) /* somebody else was quicker */
		call_refuse(call, 403, not_good);
	else
		users_fail(call, err);
}

static void enrolled(void *context, int err, const struct user *user,
		     const struct users_secrets *secrets)
{
	struct call *call = context;

	if (err != 0)
		refuse(call, err);
	else
		call_reply(call, 200, answer(call, user, secrets));
}

/* --- The request --- */

static bool may_try(struct call *call)
{
	unsigned int wait_s =
		penalty_wait_s(call->api->link_failures,
			       &http_exchange_request(call->x)->remote, clock_boot_ns());

	if (wait_s > 0)
		call_refuse_for(call, wait_s, "Too many tokens that are not good; wait");
	return wait_s == 0;
}

static bool read_wanted(struct call *call, struct wanted *w)
{
	const char *key = NULL;
	struct json_reader r;

	if (!call_read_members(call, &r))
		return false;
	json_take_text(&r, "token", true, 2 * ENROLMENT_TOKEN_TEXT_LEN, &w->token);
	json_take_text(&r, "public_key", true, 2 * KEY_BASE64_LEN, &key);
	json_take_text(&r, "client_id", false, USER_ID_MAX, &w->client_id);
	if (key && key_text_read(key, strlen(key), w->public_key) != 0)
		json_refuse(&r, "public_key", "value_error", "A key is 32 octets in base64");
	if (w->client_id && !user_id_ok(w->client_id))
		json_refuse(&r, "client_id", "string_pattern_mismatch",
			    "1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot");
	return call_end_members(call, &r);
}

/* Into @call->name. Return: false when it was answered. */
static bool choose_name(struct call *call, const struct enrolment *e, const struct wanted *w)
{
	const char *id = e->client_id[0] ? e->client_id : w->client_id;

	if (!id) {
		call_refuse(call, 422, "This token is for no one name: send a client_id along");
		return false;
	}
	if (w->client_id && strcmp(id, w->client_id) != 0) {
		call_refuse(call, 422, "This token is for another client_id");
		return false;
	}
	snprintf(call->name, sizeof(call->name), "%s", id);
	return true;
}

static void become(struct call *call, int64_t enrolment_id, const struct wanted *w)
{
	const struct ip_addr *remote = &http_exchange_request(call->x)->remote;
	struct gateway_grant grant = call_grant(call);
	char from[ADDR_TEXT_MAX] = "this host";
	int err;

	if (remote->family != ADDR_NONE)
		ip_addr_format(remote, from);
	snprintf(grant.who, sizeof(grant.who), "enrolment %lld from %s",
		 (long long)enrolment_id, from);
	err = users_enroll(call->api->users, call->name, w->public_key, enrolment_id, &grant,
			   enrolled, call);
	if (err != 0)
		refuse(call, err);
}

void users_enroll_route(struct call *call)
{
	struct enrolment e = { .until_ns = 0 };
	struct wanted w = { .token = NULL };
	const struct record *one;

	if (!may_try(call) || !read_wanted(call, &w))
		return;
	one = enrolment_find(call, w.token, &e);
	if (!one) {
		penalty_failed(call->api->link_failures,
			       &http_exchange_request(call->x)->remote, clock_boot_ns());
		call_refuse(call, 403, not_good);
	} else if (choose_name(call, &e, &w)) {
		become(call, one->id, &w);
	}
}
