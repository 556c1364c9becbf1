/* SPDX-License-Identifier: Apache-2.0 */
#include "api/objects.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/key_record.h"
#include "api/key_text.h"
#include "api/time_text.h"
#include "sys/random.h"

enum { LIST_MAX = 1000 };

static const char not_there[] = "There is no such object";

/* --- What both have in common --- */

const struct records *object_records(const struct call *call)
{
	return gateway_records(call->api->gateway);
}

struct record *object_find(const struct call *call, enum store_record_kind kind)
{
	uint64_t id;

	if (decimal_parse(call->match.part, call->match.part_len, INT64_MAX, &id) != 0)
		return NULL;
	return records_find_id(object_records(call), kind, (int64_t)id);
}

/* "after=ID": those behind it. */
static bool read_after(const char *query, uint64_t *ret)
{
	*ret = 0;
	return !*query || (strncmp(query, "after=", 6) == 0 &&
			   decimal_parse(query + 6, strlen(query + 6), INT64_MAX, ret) == 0);
}

json_t *object_page(struct call *call, enum store_record_kind kind, const char *name,
		    json_t *(*show)(const struct record *record))
{
	json_t *page = json_array(), *next = json_null();
	const struct record *one;
	uint64_t after;
	size_t n = 0;

	if (!read_after(call->match.query, &after)) {
		json_decref(page);
		json_decref(next);
		call_refuse(call, 400, "The query takes after (an id)");
		return NULL;
	}
	one = records_after(object_records(call), kind, (int64_t)after);
	for (; one && n < LIST_MAX; one = one->next, n++) {
		json_array_append_new(page, show(one));
		if (n + 1 == LIST_MAX && one->next)
			next = json_integer(one->id);
	}
	return json_pack("{s:o, s:o, s:I}", name, page, "next", next, "total",
			 (json_int_t)records_count(object_records(call), kind));
}

static void list(struct call *call, enum store_record_kind kind, const char *name,
		 json_t *(*show)(const struct record *record))
{
	json_t *page = object_page(call, kind, name, show);

	if (page)
		call_reply(call, 200, page);
}

void object_show(struct call *call, enum store_record_kind kind,
		 json_t *(*to_json)(const struct record *record))
{
	const struct record *one = object_find(call, kind);

	if (one)
		call_reply(call, 200, to_json(one));
	else
		call_refuse(call, 404, not_there);
}

static void dropped(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;

	(void)carried, (void)peer;
	if (err != 0)
		call_fail(call, err, NULL);
	else
		call_reply(call, 200, json_pack("{s:s}", "status", "deleted"));
}

void object_refuse_unknown(struct call *call)
{
	call_conclude_refusal(call, 404, not_there);
}

void object_drop_one(struct call *call, const struct record *one, const char *action,
		     const char *in_use)
{
	struct gateway_grant grant = call_grant(call);
	int err = one ? gateway_drop_record(call->api->gateway, one->kind, one->id, action,
					    &grant, dropped, call)
		      : ERR_UNKNOWN;

	if (err == -EBUSY)
		call_again(call);
	else if (err == ERR_UNKNOWN)
		call_conclude_refusal(call, 404, not_there);
	else if (err == ERR_EXISTS)
		call_conclude_refusal(call, 409, in_use);
	else if (err != 0)
		call_fail(call, err, NULL);
}

void object_drop(struct call *call, enum store_record_kind kind, const char *action,
		 const char *in_use)
{
	object_drop_one(call, object_find(call, kind), action, in_use);
}

const struct record *object_made(struct call *call, enum store_record_kind kind, int err)
{
	const char *name = json_string_value(json_object_get(call->body, "name"));
	const struct record *one =
		call->id ? records_find_id(object_records(call), kind, call->id)
			 : records_find_name(object_records(call), kind, name);

	if (err == 0 && one)
		return one;
	if (err != 0)
		call_fail(call, err, NULL);
	else /* somebody has dropped it already */
		call_refuse(call, 404, not_there);
	return NULL;
}

const char *object_read_name(struct json_reader *r, bool required)
{
	const char *name = NULL, *why;

	json_take_text(r, "name", required, STORE_NAME_MAX, &name);
	if (name && !key_text_is_name(name, &why))
		json_refuse(r, "name", "value_error", why);
	return name;
}

bool object_has_room(struct call *call, enum store_record_kind kind)
{
	bool has_room = records_has_room(object_records(call), kind);
	char why[96];

	snprintf(why, sizeof(why), "There are too many of these already: %zu is the most",
		 records_max(kind));
	if (!has_room)
		call_conclude_refusal(call, 409, why);
	return has_room;
}

void object_follow_put(struct call *call, int err)
{
	if (err == -EBUSY)
		call_again(call);
	else if (err == ERR_EXISTS)
		call_conclude_refusal(call, 409, "One with this name exists");
	else if (err == ERR_UNKNOWN)
		call_refuse(call, 422, "There is no such access list");
	else if (err == -EOPNOTSUPP)
		call_conclude_refusal(call, 409,
				      "A peer of it has networks behind it, from which packets"
				      " would pass an access list");
	else if (err != 0)
		call_fail(call, err, NULL);
}

/* --- Accounts --- */

/* struct account - {"enabled": true, "access": 7, "note": "…"} */
struct account {
	bool is_enabled;
	int64_t access_id; /* 0: none */
	const char *note;  /* NULL: none */
};

static json_t *account_read(const char *text, struct account *ret)
{
	json_t *body = json_loads(text, 0, NULL);

	ret->is_enabled = !json_is_false(json_object_get(body, "enabled"));
	ret->access_id = json_integer_value(json_object_get(body, "access"));
	ret->note = json_string_value(json_object_get(body, "note"));
	return body;
}

int64_t account_access_list(const char *body)
{
	struct account a;

	json_decref(account_read(body, &a));
	return a.access_id;
}

bool account_is_enabled(const struct record *account)
{
	struct account a;

	json_decref(account_read(account->body, &a));
	return a.is_enabled;
}

static char *account_write(const struct account *a)
{
	json_t *body = json_pack("{s:b, s:I, s:s?}", "enabled", (int)a->is_enabled, "access",
				 (json_int_t)a->access_id, "note", a->note);
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

	json_decref(body);
	return text;
}

static json_t *account_json(const struct record *record)
{
	char created[TIME_TEXT_MAX];
	struct account a;
	json_t *body = account_read(record->body, &a);
	json_t *json =
		json_pack("{s:I, s:s, s:b, s:o, s:s?, s:I, s:s}", "id", (json_int_t)record->id,
			  "name", record->name, "enabled", (int)a.is_enabled, "access",
			  a.access_id ? json_integer(a.access_id) : json_null(), "note", a.note,
			  "peers", (json_int_t)record->n_peers, "created",
			  time_text_utc(record->created_ns, created));

	json_decref(body);
	return json;
}

static void account_made(struct call *call, int err, unsigned int status)
{
	const struct record *one = object_made(call, STORE_ACCOUNT, err);

	if (one)
		call_reply(call, status, account_json(one));
}

static void account_created(void *context, int err, int carried, const struct peer *peer)
{
	(void)carried, (void)peer;
	account_made(context, err, 201);
}

static void account_changed(void *context, int err, int carried, const struct peer *peer)
{
	(void)carried, (void)peer;
	account_made(context, err, 200);
}

static void put_account(struct call *call, int64_t id, const char *name,
			const struct account *a)
{
	struct gateway_grant grant = call_grant(call);
	char *body = account_write(a);

	if (!body) {
		call_fail(call, -ENOMEM, NULL);
		return;
	}
	call->id = id;
	object_follow_put(call,
			  gateway_put_record(call->api->gateway, STORE_ACCOUNT, id, name, body,
					     id ? "account.update" : "account.create", &grant,
					     id ? account_changed : account_created, call));
	free(body);
}

static void read_account(struct json_reader *r, struct account *a)
{
	json_take_bool(r, "enabled", false, &a->is_enabled);
	if (json_object_get(r->object, "access"))
		a->access_id = 0;
	json_take_number(r, "access", 0, INT64_MAX, &a->access_id);
	if (json_object_get(r->object, "note"))
		a->note = NULL;
	json_take_text(r, "note", false, STORE_NOTE_MAX, &a->note);
	json_refuse_unknown(r,
			    (const char *const[]){ "name", "enabled", "access", "note", NULL });
}

void accounts_create(struct call *call)
{
	struct account a = { .is_enabled = true };
	struct json_reader r;
	const char *name;

	if (!call_read_members(call, &r))
		return;
	name = object_read_name(&r, true);
	read_account(&r, &a);
	if (call_end_members(call, &r) && object_has_room(call, STORE_ACCOUNT))
		put_account(call, 0, name, &a);
}

void accounts_change(struct call *call)
{
	const struct record *one = object_find(call, STORE_ACCOUNT);
	struct json_reader r;
	struct account a;
	const char *name;
	json_t *body;

	if (!one) {
		call_conclude_refusal(call, 404, not_there);
		return;
	}
	if (!call_read_members(call, &r))
		return;
	body = account_read(one->body, &a);
	name = object_read_name(&r, false);
	read_account(&r, &a);
	if (call_end_members(call, &r))
		put_account(call, one->id, name ? name : one->name, &a);
	json_decref(body);
}

void accounts_list(struct call *call)
{
	list(call, STORE_ACCOUNT, "accounts", account_json);
}

void accounts_show(struct call *call)
{
	object_show(call, STORE_ACCOUNT, account_json);
}

void accounts_delete(struct call *call)
{
	object_drop(call, STORE_ACCOUNT, "account.delete",
		    "It still has peers: move or remove them first");
}

/* --- Keys --- */

static json_t *key_json(const struct record *record)
{
	char created[TIME_TEXT_MAX], expires[TIME_TEXT_MAX];
	struct key_record k = { .role = ROLE_NONE };

	if (key_record_read(record->body, &k) != 0)
		return NULL;
	return json_pack("{s:I, s:s, s:s, s:o, s:o, s:s}", "id", (json_int_t)record->id, "name",
			 record->name, "role", key_record_role_word(k.role), "account",
			 k.account_id ? json_integer(k.account_id) : json_null(), "expires",
			 k.expires_ns ? json_string(time_text_utc(k.expires_ns, expires))
				      : json_null(),
			 "created", time_text_utc(record->created_ns, created));
}

/* The only reply that has the key itself; its secret waited in the call. */
static void key_created(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;
	const char *name = json_string_value(json_object_get(call->body, "name"));
	const struct record *one;
	char text[BEARER_TEXT_MAX];
	struct bearer b;
	json_t *json;

	(void)carried, (void)peer;
	if (err != 0) {
		call_fail(call, err, NULL);
		return;
	}
	one = records_find_name(object_records(call), STORE_KEY, name);
	json = one ? key_json(one) : NULL;
	b.id = one ? one->id : 0;
	memcpy(b.secret, call->private_key.b, sizeof(b.secret));
	bearer_format(&b, text);
	if (json)
		json_object_set_new(json, "key", json_string(text));
	secret_wipe(&b, sizeof(b));
	secret_wipe(text, sizeof(text));
	call_reply(call, 201, json);
}

static void read_key(struct call *call, struct json_reader *r, struct key_record *k)
{
	static const char *const roles[] = { "reader", "operator", "admin" };
	const char *expires = NULL;
	size_t role = 0;
	int64_t account = 0;

	json_take_word(r, "role", roles, 3, &role);
	json_take_number(r, "account", 0, INT64_MAX, &account);
	json_take_text(r, "expires", false, TIME_TEXT_MAX, &expires);
	json_refuse_unknown(
		r, (const char *const[]){ "name", "role", "account", "expires", NULL });
	k->role = key_record_role(roles[role]);
	k->account_id = account;
	if (account != 0 && !records_find_id(object_records(call), STORE_ACCOUNT, account))
		json_refuse(r, "account", "value_error", "There is no such account");
	if (account != 0 && k->role == ROLE_ADMIN)
		json_refuse(r, "role", "value_error",
			    "A key of an account is a reader's or an operator's");
	if (expires &&
	    (time_text_parse(expires, &k->expires_ns) != 0 || k->expires_ns <= call->now_ns))
		json_refuse(r, "expires", "value_error",
			    "A time to come looks like 2030-12-31T23:59:59Z");
}

void keys_create(struct call *call)
{
	struct gateway_grant grant = call_grant(call);
	struct key_record k = { .role = ROLE_NONE };
	struct text body = { .data = NULL };
	struct json_reader r;
	const char *name;

	if (!call_read_members(call, &r))
		return;
	name = object_read_name(&r, true);
	read_key(call, &r, &k);
	if (!call_end_members(call, &r) || !object_has_room(call, STORE_KEY))
		return;
	random_fill(call->private_key.b, sizeof(call->private_key.b));
	bearer_digest(call->private_key.b, k.digest);
	key_record_write(&k, &body);
	if (body.err != 0)
		call_fail(call, -ENOMEM, NULL);
	else
		object_follow_put(call, gateway_put_record(call->api->gateway, STORE_KEY, 0,
							   name, body.data, "key.create",
							   &grant, key_created, call));
	text_done(&body);
}

void keys_list(struct call *call)
{
	list(call, STORE_KEY, "keys", key_json);
}

void keys_show(struct call *call)
{
	object_show(call, STORE_KEY, key_json);
}

void keys_delete(struct call *call)
{
	object_drop(call, STORE_KEY, "key.delete", "It is in use");
}
