/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/users.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/client_conf.h"
#include "api/enrolments.h"
#include "api/surface.h"
#include "api/users.h"
#include "base/codec.h"
#include "gateway/user_text.h"

enum {
	ENDPOINT_MAX = API_HOST_MAX + 16,
	REFUSAL_MAX = USER_ID_MAX + 64,
};

/* --- Refusals --- */

void users_fail(struct call *call, int err)
{
	switch (err) {
	case -EBUSY:
		call_again(call);
		return;
	case -EAGAIN:
		call_refuse(call, 503, "This user is being made or removed; try again");
		return;
	case -EREMOTEIO:
		call_refuse(call, 503, "The parameter store cannot be reached; try again");
		return;
	case -ECANCELED:
		call_refuse(call, 503, "The gateway is stopping; try again");
		return;
	case ERR_EXHAUSTED:
		call_refuse(call, 503, "No address is free");
		return;
	default:
		call_fail(call, err, NULL);
		return;
	}
}

static void refuse_name(struct call *call, unsigned int status, const char *id,
			const char *what)
{
	char text[REFUSAL_MAX];

	snprintf(text, sizeof(text), "User %.*s %s", USER_ID_MAX, id, what);
	call_refuse(call, status, text);
}

/* The name in the path: raw, because none has a character that would have to be escaped. What is no
 * name is said back only if it is harmless. */
static void name_in_path(const struct call *call, char out[USER_ID_MAX + 1])
{
	size_t len = call->match.part_len < USER_ID_MAX ? call->match.part_len : USER_ID_MAX;

	memcpy(out, call->match.part, len);
	out[len] = '\0';
	for (char *c = out; *c; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
}

/* Whoever has the master key may know of one that was made elsewhere just now. */
static void refuse_unknown(struct call *call, const char *id)
{
	if (call->who.kind == PRINCIPAL_MASTER)
		users_expect(call->api->users);
	refuse_name(call, 404, id, "not found");
}

/* NULL: none of that name, or none that the caller may know of; answered then. */
static const struct user *find(struct call *call, char id[USER_ID_MAX + 1])
{
	const struct user *user = NULL;

	name_in_path(call, id);
	if (call->match.part_len <= USER_ID_MAX && user_id_ok(id))
		user = users_find(call->api->users, id);
	if (user && call->who.kind == PRINCIPAL_USER && user->record_id != call->who.key_id)
		user = NULL;
	if (!user)
		refuse_unknown(call, id);
	return user;
}

/* --- A user, as shown --- */

static json_t *config_text(const struct call *call, const struct user *user,
			   const struct peer *peer, const char *private_key)
{
	const struct gateway_config *c = gateway_config(call->api->gateway);
	char endpoint[ENDPOINT_MAX], server_key[KEY_BASE64_LEN + 1];
	char ip[ADDR_TEXT_MAX], address[ADDR_TEXT_MAX + 4];
	struct text text = { .data = NULL };
	json_t *value = NULL;

	if (peer->v4.family != ADDR_V4)
		return json_null();
	client_conf_endpoint(call->api, endpoint);
	key_to_base64(c->public_key, server_key);
	snprintf(address, sizeof(address), "%s/%u", ip_addr_format(&peer->v4, ip),
		 c->subnet4.bits);
	user_config_write(
		&(struct user_config){ user->id, private_key, address, server_key, endpoint },
		&text);
	if (text.err == 0)
		value = json_string(text.data);
	text_done(&text);
	return value;
}

json_t *users_json(const struct call *call, const struct user *user,
		   const struct users_secrets *secrets)
{
	const struct peer *peer = users_peer(call->api->users, user);
	char private_key[KEY_BASE64_LEN + 1] = "", public_key[KEY_BASE64_LEN + 1];
	json_t *value = peer ? json_object() : NULL;
	bool has_key = secrets->has_private_key;

	if (!peer)
		return NULL;
	key_to_base64(peer->public_key, public_key);
	if (has_key)
		key_to_base64(secrets->private_key.b, private_key);
	if (secrets->api_key[0])
		json_object_set_new(value, "api_key", json_string(secrets->api_key));
	json_object_set_new(value, "private_key",
			    has_key ? json_string(private_key) : json_null());
	json_object_set_new(value, "public_key", json_string(public_key));
	json_object_set_new(value, "client_id", json_string(user->id));
	json_object_set_new(value, "created_at", json_string(user->created_at));
	json_object_set_new(
		value, "status",
		json_string(users_is_active(call->api->users, user) ? "active" : "inactive"));
	json_object_set_new(value, "client_config",
			    has_key ? config_text(call, user, peer, private_key) : json_null());
	secret_wipe(private_key, sizeof(private_key));
	if (json_object_get(value, "client_config"))
		return value;
	json_decref(value);
	return NULL;
}

/* --- Create --- */

static void refuse_exists(struct call *call)
{
	refuse_name(call, 409, call->word, "already exists");
}

static void created(void *context, int err, const struct user *user,
		    const struct users_secrets *secrets)
{
	struct call *call = context;

	if (err == ERR_EXISTS) {
		users_expect(call->api->users);
		refuse_exists(call);
	} else if (err != 0) {
		users_fail(call, err);
	} else {
		call_reply(call, 200, users_json(call, user, secrets));
	}
}

static bool read_create(struct call *call)
{
	struct json_reader r;

	if (!call_read_members(call, &r))
		return false;
	call->word = NULL;
	json_take_text(&r, "client_id", true, USER_ID_MAX, &call->word);
	if (call->word && !user_id_ok(call->word))
		json_refuse(&r, "client_id", "string_pattern_mismatch",
			    "String should match pattern"
			    " '^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$'");
	return call_end_members(call, &r);
}

static void create(struct call *call)
{
	struct gateway_grant grant = call_grant(call);
	int err;

	if (!read_create(call))
		return;
	/* A user without an interface is of no use. */
	if (!reconcile_is_well(call->api->reconcile) &&
	    !users_find(call->api->users, call->word)) {
		call_fail(call, -ENETDOWN, "Failed to create user");
		return;
	}
	err = users_create(call->api->users, call->word, &grant, created, call);
	if (err == ERR_EXISTS)
		refuse_exists(call);
	else if (err != 0)
		users_fail(call, err);
}

/* --- List, show --- */

static void list_own(struct call *call)
{
	const struct record *own = records_find_id(gateway_records(call->api->gateway),
						   STORE_USER, call->who.key_id);

	call_reply(call, 200, own ? json_pack("[s]", own->name) : json_array());
}

static void list(struct call *call)
{
	json_t *value;
	const char **ids = NULL;
	size_t n = 0;

	if (call->who.kind == PRINCIPAL_USER && !users_lists_all(call->api->users)) {
		list_own(call);
		return;
	}
	if (users_ids(call->api->users, &ids, &n) != 0) {
		call_fail(call, -ENOMEM, NULL);
		return;
	}
	value = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(value, json_string(ids[i]));
	free(ids);
	call_reply(call, 200, value);
}

static void shown(void *context, int err, const struct user *user,
		  const struct users_secrets *secrets)
{
	struct call *call = context;
	char id[USER_ID_MAX + 1];

	if (err == 0) {
		call_reply(call, 200, users_json(call, user, secrets));
	} else if (err == ERR_UNKNOWN) { /* gone while the tree was asked */
		name_in_path(call, id);
		refuse_unknown(call, id);
	} else {
		users_fail(call, err);
	}
}

static void show(struct call *call)
{
	char id[USER_ID_MAX + 1];
	int err;

	if (!find(call, id))
		return;
	/* Each asks the tree, which may be slow: whoever has a user's key leaves it to others too. */
	if (call->who.kind == PRINCIPAL_USER && users_is_revealing(call->api->users, id)) {
		call_refuse_for(call, 1, "This user is being read already; wait");
		return;
	}
	err = users_reveal(call->api->users, id, shown, call);
	if (err != 0)
		users_fail(call, err);
}

/* --- Delete --- */

static void deleted(void *context, int err, const struct user *user,
		    const struct users_secrets *secrets)
{
	struct call *call = context;
	char id[USER_ID_MAX + 1], text[REFUSAL_MAX];

	(void)user, (void)secrets;
	name_in_path(call, id);
	snprintf(text, sizeof(text), "User %s deleted successfully", id);
	if (err == 0)
		call_reply(call, 200, json_pack("{s:s}", "message", text));
	else if (err == -EREMOTEIO)
		call_refuse(call, 503,
			    "The user is removed here, but not yet from the parameter store;"
			    " that is tried again");
	else
		users_fail(call, err);
}

/* Also of one who is removed here, but not in the tree: the caller may want to know when it is done. */
static void delete (struct call *call)
{
	struct gateway_grant grant = call_grant(call);
	char id[USER_ID_MAX + 1];
	int err = ERR_UNKNOWN;

	name_in_path(call, id);
	if (call->match.part_len <= USER_ID_MAX && user_id_ok(id))
		err = users_remove(call->api->users, id, &grant, deleted, call);
	if (err == ERR_UNKNOWN)
		refuse_unknown(call, id);
	else if (err != 0)
		users_fail(call, err);
}

/* --- Health --- */

static void health(struct call *call)
{
	char now[USERS_TIME_MAX + 1];

	users_tree_time(call->now_ns, now);
	call_reply(call, 200,
		   json_pack("{s:s, s:s, s:[s]}", "status", "healthy", "timestamp", now,
			     "services", "api"));
}

static const struct route routes[] = {
	ROUTE(HTTP_GET, "/health", ROUTE_OPEN, ROUTE_SIGNS_NOTHING, health),
	ROUTE(HTTP_POST, "/users", ROUTE_MASTER, ROUTE_SIGNS_NOTHING, create),
	ROUTE(HTTP_GET, "/users", ROUTE_USER, ROUTE_SIGNS_NOTHING, list),
	ROUTE(HTTP_GET, "/users/{}", ROUTE_USER, ROUTE_SIGNS_NOTHING, show),
	ROUTE(HTTP_DELETE, "/users/{}", ROUTE_MASTER, ROUTE_SIGNS_NOTHING, delete),
	ROUTE(HTTP_POST, "/enrolments", ROUTE_MASTER, ROUTE_SIGNS_NOTHING, enrolments_create),
	ROUTE(HTTP_POST, "/enroll", ROUTE_OPEN, ROUTE_SIGNS_NOTHING, users_enroll_route),
};

static const char *const prefixes[] = { "/users", "/enrol", NULL };

const struct surface surface_users = {
	.name = "users",
	.family = SURFACE_DETAIL,
	.challenge = "Bearer",
	.routes = routes,
	.n_routes = sizeof(routes) / sizeof(routes[0]),
	.prefixes = prefixes,
};
