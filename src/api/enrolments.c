/* SPDX-License-Identifier: Apache-2.0 */
#include "api/enrolments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/objects.h"
#include "api/time_text.h"
#include "base/codec.h"
#include "gateway/users.h"
#include "sys/random.h"

enum { SWEPT_MAX = 16 }; /* for each that is made: the dead do not pile up */

static const uint64_t SECOND_NS = 1000000000;

/* --- The record --- */

int enrolment_read(const char *body, struct enrolment *ret)
{
	json_t *json = json_loads(body, 0, NULL);
	const json_t *until = json_object_get(json, "until_ns");
	const char *id = json_string_value(json_object_get(json, "client_id"));
	int err = json_is_integer(until) ? 0 : ERR_CORRUPT;

	if (id && !user_id_ok(id))
		err = ERR_CORRUPT;
	if (!err) {
		ret->until_ns = (uint64_t)json_integer_value(until);
		snprintf(ret->client_id, sizeof(ret->client_id), "%s", id ? id : "");
	}
	json_decref(json);
	return err;
}

static char *write_body(const struct enrolment *e)
{
	json_t *json =
		json_pack("{s:s?, s:I}", "client_id", e->client_id[0] ? e->client_id : NULL,
			  "until_ns", (json_int_t)e->until_ns);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	return text;
}

static void name_of(const char *token, char out[STORE_NAME_MAX + 1])
{
	uint8_t digest[USERS_DIGEST_LEN];

	users_tree_digest(token, strlen(token), digest);
	hex_encode(digest, sizeof(digest), out);
}

/* Found by a hash of it: how long looking takes tells nothing of the token. */
const struct record *enrolment_find(const struct call *call, const char *token,
				    struct enrolment *ret)
{
	char name[STORE_NAME_MAX + 1];
	const struct record *one;

	if (strlen(token) != ENROLMENT_TOKEN_TEXT_LEN)
		return NULL;
	name_of(token, name);
	one = records_find_name(object_records(call), STORE_ENROLMENT, name);
	if (!one || enrolment_read(one->body, ret) != 0 || ret->until_ns <= call->now_ns)
		return NULL;
	return one;
}

static json_t *to_json(const struct record *record)
{
	char created[TIME_TEXT_MAX], expires[TIME_TEXT_MAX];
	struct enrolment e = { .until_ns = 0 };

	if (enrolment_read(record->body, &e) != 0)
		return NULL;
	return json_pack("{s:I, s:s?, s:s, s:s}", "id", (json_int_t)record->id, "client_id",
			 e.client_id[0] ? e.client_id : NULL, "created",
			 time_text_utc(record->created_ns, created), "expires",
			 time_text_utc(e.until_ns, expires));
}

/* --- Making one --- */

static void ignore(void *context, int err, int carried, const struct peer *peer)
{
	(void)context, (void)err, (void)carried, (void)peer;
}

static void sweep(const struct call *call)
{
	const struct record *one = records_after(object_records(call), STORE_ENROLMENT, 0);
	struct enrolment e;

	for (int n = 0; one && n < SWEPT_MAX; one = one->next) {
		if (enrolment_read(one->body, &e) == 0 && e.until_ns > call->now_ns)
			continue;
		n++;
		(void)gateway_drop_record(call->api->gateway, STORE_ENROLMENT, one->id, "",
					  NULL, ignore, NULL);
	}
}

static void created(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;
	const struct record *one =
		records_find_name(object_records(call), STORE_ENROLMENT, call->name);
	char token[ENROLMENT_TOKEN_TEXT_LEN + 1];
	json_t *json = err == 0 && one ? to_json(one) : NULL;

	(void)carried, (void)peer;
	if (err != 0) {
		call_fail(call, err, NULL);
		return;
	}
	hex_encode(call->private_key.b, ENROLMENT_TOKEN_LEN, token);
	if (json)
		json_object_set_new(json, "token", json_string(token));
	secret_wipe(token, sizeof(token));
	call_reply(call, 201, json);
}

static bool read_wanted(struct call *call, struct enrolment *e)
{
	int64_t ttl_s = ENROLMENT_TTL_S;
	const char *id = NULL;
	struct json_reader r;

	if (!call_read_members(call, &r))
		return false;
	json_take_text(&r, "client_id", false, USER_ID_MAX, &id);
	if (id && !user_id_ok(id))
		json_refuse(&r, "client_id", "string_pattern_mismatch",
			    "1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot");
	json_take_number(&r, "ttl", ENROLMENT_TTL_MIN_S, ENROLMENT_TTL_MAX_S, &ttl_s);
	json_refuse_unknown(&r, (const char *const[]){ "client_id", "ttl", NULL });
	snprintf(e->client_id, sizeof(e->client_id), "%s", id && user_id_ok(id) ? id : "");
	e->until_ns = call->now_ns + (uint64_t)ttl_s * SECOND_NS;
	return call_end_members(call, &r);
}

static void put(struct call *call, const struct enrolment *e)
{
	struct gateway_grant grant = call_grant(call);
	char token[ENROLMENT_TOKEN_TEXT_LEN + 1];
	char *body = write_body(e);

	if (!body) {
		call_fail(call, -ENOMEM, NULL);
		return;
	}
	random_fill(call->private_key.b, ENROLMENT_TOKEN_LEN);
	hex_encode(call->private_key.b, ENROLMENT_TOKEN_LEN, token);
	name_of(token, call->name);
	secret_wipe(token, sizeof(token));
	grant.detail = e->client_id;
	object_follow_put(call,
			  gateway_put_record(call->api->gateway, STORE_ENROLMENT, 0, call->name,
					     body, "enrolment.create", &grant, created, call));
	free(body);
}

void enrolments_create(struct call *call)
{
	struct enrolment e = { .until_ns = 0 };
	char text[USER_ID_MAX + 32];

	if (!read_wanted(call, &e))
		return;
	if (!call->api->users) {
		call_conclude_refusal(call, 409,
				      "This gateway serves no users: start it with"
				      " --listen-users");
		return;
	}
	if (e.client_id[0] && users_find(call->api->users, e.client_id)) {
		snprintf(text, sizeof(text), "User %s already exists", e.client_id);
		call_conclude_refusal(call, 409, text);
		return;
	}
	sweep(call);
	if (object_has_room(call, STORE_ENROLMENT))
		put(call, &e);
}

/* --- Those there are --- */

void enrolments_list(struct call *call)
{
	json_t *page = object_page(call, STORE_ENROLMENT, "enrolments", to_json);

	if (page)
		call_reply(call, 200, page);
}

void enrolments_delete(struct call *call)
{
	object_drop(call, STORE_ENROLMENT, "enrolment.delete", "It is in use");
}
