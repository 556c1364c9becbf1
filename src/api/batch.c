/* SPDX-License-Identifier: Apache-2.0 */
#include "api/batch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/client_conf.h"
#include "api/key_text.h"
#include "api/peer_json.h"
#include "api/peers.h"
#include "gateway/routes.h"

enum { REASON_MAX = 256 };

enum operation_kind {
	OPERATION_CREATE,
	OPERATION_UPDATE,
	OPERATION_DELETE,
};

static const char *const list_names[] = { "create", "update", "delete" };

/* struct operation - @id: of the peer it is about, or of the one it made. @err: what was decided */
struct operation {
	enum operation_kind kind;
	size_t place; /* in its list */
	int64_t id;
	int err;
	struct peer_fields fields;
};

/**
 * struct batch - One request
 * @waiting:	Callbacks still to come
 * @err, @wrong: The first refusal that is the cause, not a consequence
 * @is_dry:	It is only decided, and nothing is done
 */
struct batch {
	struct call *call;
	struct operation *operations;
	size_t n;
	size_t waiting;
	int err;
	int carried;
	bool is_dry;
	const struct operation *wrong;
};

/* A context for each callback. */
struct answer {
	struct batch *batch;
	struct operation *operation;
};

static void batch_free(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		secret_key_done(&b->operations[i].fields.edit.preshared_key);
	free(b->operations);
	free(b);
}

/* --- Reading --- */

/* Errors of one entry get its place in front. */
static void place_errors(json_t *all, json_t *own, const struct operation *op)
{
	size_t i;
	json_t *one;

	json_array_foreach(own, i, one)
	{
		json_t *loc = json_object_get(one, "loc");

		json_array_insert_new(loc, 1, json_string(list_names[op->kind]));
		json_array_insert_new(loc, 2, json_integer((json_int_t)op->place));
		json_array_append(all, one);
	}
	json_decref(own);
}

static const struct peer *find_peer(const struct call *call, const json_t *name)
{
	const struct peers *peers = gateway_peers(call->api->gateway);
	const char *text = json_string_value(name);
	const struct peer *peer;
	uint8_t key[32];

	if (!text)
		return NULL;
	peer = key_text_read(text, strlen(text), key) == 0 ? peers_find_key(peers, key)
							   : peers_find_name(peers, text);
	return peer && peer_json_may_see(call, peer) ? peer : NULL;
}

static void read_fields(struct call *call, const json_t *entry, struct operation *op,
			json_t *errors)
{
	struct json_reader r;

	if (json_reader_init(&r, entry) != 0)
		return;
	peer_fields_refuse_unknown(&r, op->kind == OPERATION_UPDATE ? "peer" : NULL);
	if (op->kind == OPERATION_UPDATE) {
		peers_read_change(call, &r, &op->fields);
	} else {
		peers_read_fields(call, &r, &op->fields);
		if (!json_is_string(json_object_get(entry, "public_key")))
			json_refuse(&r, "public_key", "missing", "Field required");
	}
	if (op->fields.made_preshared_key || json_is_true(json_object_get(entry, "generate")))
		json_refuse(&r, "generate", "value_error",
			    "A batch makes no keys: send them, or create peers one by one");
	place_errors(errors, json_reader_take_errors(&r), op);
}

static void read_entry(struct call *call, const json_t *entry, struct operation *op,
		       json_t *errors)
{
	const json_t *name =
		op->kind == OPERATION_UPDATE ? json_object_get(entry, "peer") : entry;
	const struct peer *peer = op->kind == OPERATION_CREATE ? NULL : find_peer(call, name);

	if (op->kind != OPERATION_CREATE && !peer)
		json_array_append_new(
			errors, json_pack("{s:s, s:[s,s,i], s:s, s:O?}", "type", "not_found",
					  "loc", "body", list_names[op->kind], (int)op->place,
					  "msg", "There is no such peer", "input", name));
	op->id = peer ? peer->id : 0;
	if (op->kind == OPERATION_DELETE)
		return;
	if (json_is_object(entry))
		read_fields(call, entry, op, errors);
	else
		json_array_append_new(
			errors, json_pack("{s:s, s:[s,s,i], s:s, s:n}", "type", "dict_type",
					  "loc", "body", list_names[op->kind], (int)op->place,
					  "msg", "Input should be an object", "input"));
}

/* Two operations on one peer would wait for each other for ever. */
static int by_id(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static bool names_one_twice(const struct batch *b)
{
	int64_t *ids = malloc((b->n + 1) * sizeof(*ids));
	size_t n = 0;
	bool twice = false;

	if (!ids)
		return true;
	for (size_t i = 0; i < b->n; i++) {
		if (b->operations[i].id != 0)
			ids[n++] = b->operations[i].id;
	}
	qsort(ids, n, sizeof(*ids), by_id);
	for (size_t i = 1; i < n; i++)
		twice |= ids[i] == ids[i - 1];
	free(ids);
	return twice;
}

static size_t count(const struct call *call)
{
	size_t n = 0;

	for (int kind = 0; kind < 3; kind++)
		n += json_array_size(json_object_get(call->body, list_names[kind]));
	return n;
}

/* What is no list would else count as an empty one, and be left out in silence. */
static bool has_lists(struct call *call)
{
	struct json_reader r;
	const json_t *list;

	if (json_reader_init(&r, call->body) != 0) {
		call_fail(call, -ENOMEM, NULL);
		return false;
	}
	for (int kind = 0; kind < 3; kind++)
		json_take_list(&r, list_names[kind], &list);
	json_refuse_unknown(
		&r, (const char *const[]){ "create", "update", "delete", "dry_run", NULL });
	return call_end_members(call, &r);
}

/* Return: NULL when the call was answered. */
static struct batch *read_batch(struct call *call)
{
	struct batch *b = calloc(1, sizeof(*b));
	json_t *errors = json_array();

	if (b)
		b->operations = calloc(count(call), sizeof(*b->operations));
	if (!b || !b->operations || !errors) {
		free(b);
		json_decref(errors);
		call_fail(call, -ENOMEM, NULL);
		return NULL;
	}
	b->call = call;
	for (int kind = 0; kind < 3; kind++) {
		const json_t *list = json_object_get(call->body, list_names[kind]);

		for (size_t i = 0; i < json_array_size(list); i++) {
			struct operation *op = &b->operations[b->n++];

			op->kind = (enum operation_kind)kind;
			op->place = i;
			read_entry(call, json_array_get(list, i), op, errors);
		}
	}
	if (json_array_size(errors) > 0) {
		batch_free(b);
		call_refuse_fields(call, errors);
		return NULL;
	}
	json_decref(errors);
	return b;
}

/* --- Answering --- */

static json_t *peers_of(const struct batch *b, enum operation_kind kind)
{
	const struct peers *peers = gateway_peers(b->call->api->gateway);
	json_t *list = json_array();

	for (size_t i = 0; i < b->n && !b->is_dry; i++) {
		const struct peer *peer = peers_find_id(peers, b->operations[i].id);

		if (b->operations[i].kind == kind && peer)
			json_array_append_new(list, peer_json(peer));
	}
	return list;
}

static int count_kind(const struct batch *b, enum operation_kind kind)
{
	int n = 0;

	for (size_t i = 0; i < b->n; i++)
		n += b->operations[i].kind == kind;
	return n;
}

/* ERR_EXISTS where a network lies among the addresses of peers. */
static int judge_route(void *context, const struct ip_prefix *p)
{
	const struct gateway_config *c = context;
	const struct ip_prefix *subnet = p->ip.family == ADDR_V4 ? &c->subnet4 : &c->subnet6;

	return p->bits >= subnet->bits && ip_prefix_contains(subnet, &p->ip) ? ERR_EXISTS : 0;
}

/* Whose is what the operation wants? */
static const struct peer *find_owner(const struct batch *b, const struct operation *op,
				     const char **ret_what)
{
	const struct peers *peers = gateway_peers(b->call->api->gateway);
	const struct gateway_edit *e = &op->fields.edit;
	const struct {
		const char *what;
		const struct peer *peer;
	} all[] = {
		{ "key",
		  e->fields & GATEWAY_KEY ? peers_find_key(peers, e->public_key) : NULL },
		{ "name", e->name[0] ? peers_find_name(peers, e->name) : NULL },
		{ "address", peers_find_address(peers, &e->v4) },
		{ "address", peers_find_address(peers, &e->v6) },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		*ret_what = all[i].what;
		if (all[i].peer && (op->kind == OPERATION_CREATE || all[i].peer->id != op->id))
			return all[i].peer;
	}
	return NULL;
}

/* A peer of the same batch has no id yet. */
static void explain_existing(const struct batch *b, const struct operation *op,
			     char out[REASON_MAX])
{
	const struct gateway_config *c = gateway_config(b->call->api->gateway);
	const char *what = "";
	const struct peer *owner = find_owner(b, op, &what);
	const char *name = owner && owner->name[0] ? owner->name : "one without a name";

	if (owner && !peer_json_may_see(b->call, owner))
		snprintf(out, REASON_MAX, "its %s is taken", what);
	else if (owner)
		snprintf(out, REASON_MAX, "its %s is that of another peer%s: %s", what,
			 owner->id == 0 ? " of the same batch" : "", name);
	else if (routes_each(op->fields.edit.limits.routes, judge_route,
			     (void *)(uintptr_t)c) != 0)
		snprintf(out, REASON_MAX, "a network of it lies among the addresses of peers");
	else
		snprintf(out, REASON_MAX, "its name, key, address or network is taken");
}

static void explain_range(const struct batch *b, char out[REASON_MAX])
{
	const struct gateway_config *c = gateway_config(b->call->api->gateway);
	char v4[ADDR_TEXT_MAX], v6[ADDR_TEXT_MAX];

	snprintf(out, REASON_MAX,
		 "its address is not a client's address of this gateway: one of %s or %s, and"
		 " not the first",
		 ip_prefix_format(&c->subnet4, v4), ip_prefix_format(&c->subnet6, v6));
}

static void explain(const struct batch *b, const struct operation *op, int err,
		    char out[REASON_MAX])
{
	switch (err) {
	case ERR_EXISTS:
		explain_existing(b, op, out);
		return;
	case ERR_RANGE:
		explain_range(b, out);
		return;
	case ERR_UNKNOWN:
		snprintf(out, REASON_MAX, "there is no such peer, account or access list");
		return;
	case ERR_KEY:
		snprintf(out, REASON_MAX, "its key cannot be a client's");
		return;
	case ERR_EXPIRED:
		snprintf(out, REASON_MAX, "its address was given back a moment ago and rests");
		return;
	case -EOPNOTSUPP:
		snprintf(out, REASON_MAX,
			 "a peer with networks behind it cannot have an access list");
		return;
	case ERR_UNABLE:
		snprintf(out, REASON_MAX, "%s", CALL_UNABLE);
		return;
	case ERR_EXHAUSTED:
		snprintf(out, REASON_MAX, "the address pool is full");
		return;
	default:
		snprintf(out, REASON_MAX, "%s", err_text(err));
		return;
	}
}

static bool is_callers_fault(int err)
{
	return err == ERR_EXISTS || err == ERR_UNKNOWN || err == ERR_KEY || err == ERR_RANGE ||
	       err == ERR_EXPIRED || err == ERR_EXHAUSTED || err == -EOPNOTSUPP ||
	       err == ERR_UNABLE;
}

/* One entry for each operation that was refused. */
static json_t *list_refused(const struct batch *b)
{
	json_t *list = json_array();

	for (size_t i = 0; i < b->n; i++) {
		const struct operation *op = &b->operations[i];
		char why[REASON_MAX];

		if (!is_callers_fault(op->err))
			continue;
		explain(b, op, op->err, why);
		json_array_append_new(list,
				      json_pack("{s:s, s:[s,s,i], s:s, s:n}", "type",
						"conflict", "loc", "body", list_names[op->kind],
						(int)op->place, "msg", why, "input"));
	}
	return list;
}

/* @errors, one entry for each that was refused, is taken over. */
static void refuse(const struct batch *b, int err, json_t *errors)
{
	const char *why = json_string_value(json_object_get(json_array_get(errors, 0), "msg"));
	char text[REASON_MAX + 64];

	if (!is_callers_fault(err) || !why) {
		json_decref(errors);
		call_fail(b->call, is_callers_fault(err) ? -ENOMEM : err, NULL);
		return;
	}
	snprintf(text, sizeof(text), "Nothing was changed: %s %zu: %s",
		 list_names[b->wrong->kind], b->wrong->place, why);
	call_conclude_errors(b->call, 409, text, errors);
}

static json_t *done_json(const struct batch *b)
{
	return json_pack("{s:o, s:o, s:i, s:b}", "created", peers_of(b, OPERATION_CREATE),
			 "updated", peers_of(b, OPERATION_UPDATE), "deleted",
			 b->is_dry ? 0 : count_kind(b, OPERATION_DELETE), "dry_run",
			 (int)b->is_dry);
}

static void answer(struct batch *b)
{
	struct call *call = b->call;

	if (b->err != 0)
		refuse(b, b->err, list_refused(b));
	else if (b->carried != 0)
		call_refuse(call, 503, "Stored, but the interface does not act on it yet");
	else
		call_reply(call, 200, done_json(b));
	batch_free(b);
}

static void one_done(void *context, int err, int carried, const struct peer *peer)
{
	struct answer *a = context;
	struct batch *b = a->batch;

	if (peer)
		a->operation->id = peer->id;
	a->operation->err = err;
	if (err != 0 && (b->err == 0 || b->err == -ECANCELED)) {
		b->err = err;
		b->wrong = a->operation;
	}
	if (carried != 0)
		b->carried = carried;
	free(a);
	if (--b->waiting == 0)
		answer(b);
}

/* --- Deciding --- */

static int decide_one(struct batch *b, struct operation *op, const struct gateway_grant *grant,
		      struct answer *a)
{
	struct call *call = b->call;
	struct gateway *g = call->api->gateway;
	struct gateway_add add;
	int err;

	switch (op->kind) {
	case OPERATION_CREATE:
		peers_prepare_add(call, &op->fields, &add);
		err = client_conf_has(call->api, add.level)
			      ? gateway_add_peer(g, &add, grant, one_done, a)
			      : -ENOTCONN;
		secret_key_done(&add.preshared_key);
		return err;
	case OPERATION_UPDATE:
		return gateway_change_peer(g, op->id, &op->fields.edit, grant, one_done, a);
	case OPERATION_DELETE:
		break;
	}
	return gateway_remove_peer(g, op->id, grant, one_done, a);
}

/* What one is refused for is told of all of them: a decision that fails leaves no trace. */
static int decide_next(struct batch *b, struct operation *op, struct gateway_grant *grant,
		       struct answer **answer)
{
	int err;

	*answer = malloc(sizeof(**answer));
	if (!*answer)
		return -ENOMEM;
	**answer = (struct answer){ b, op };
	err = op->err = decide_one(b, op, grant, *answer);
	grant->has_signature = false;
	if (err != 0 && !b->wrong)
		b->wrong = op;
	return is_callers_fault(err) ? 0 : err;
}

/* The signature is spent once, with the first; the contexts of what is taken back are freed. */
static int decide_all(struct batch *b, struct answer **answers, json_t **ret_errors)
{
	struct gateway_grant grant = call_grant(b->call);
	int err = 0;

	gateway_batch_begin(b->call->api->gateway);
	for (size_t i = 0; i < b->n && err == 0; i++)
		err = decide_next(b, &b->operations[i], &grant, &answers[i]);
	if (err == 0 && b->wrong) {
		err = b->wrong->err;
		*ret_errors = list_refused(b); /* while it is known what each one wanted */
	}
	return err;
}

/* Return: 0: on its way, or nothing to do. */
static int decide(struct batch *b, json_t **ret_errors)
{
	struct answer **answers = calloc(b->n, sizeof(*answers));
	struct gateway *g = b->call->api->gateway;
	int err;

	if (!answers)
		return -ENOMEM;
	err = decide_all(b, answers, ret_errors);
	if (err == 0 && !b->is_dry)
		err = gateway_batch_end(g, true);
	else
		gateway_batch_end(g, false);
	for (size_t i = 0; (err != 0 || b->is_dry) && i < b->n; i++)
		free(answers[i]);
	free(answers);
	return err;
}

static void run(struct batch *b)
{
	json_t *errors = NULL;
	int err;

	b->waiting = b->n;
	err = decide(b, &errors);
	if (err == 0 && !b->is_dry)
		return; /* one_done() answers, and frees */
	if (err == 0)
		call_conclude(b->call, 200, done_json(b));
	else if (err == -EBUSY)
		call_again(b->call);
	else if (b->wrong)
		refuse(b, err, errors);
	else
		call_fail(b->call, err, NULL);
	batch_free(b);
}

static bool read_dry_run(struct call *call, bool *ret)
{
	struct json_reader r;

	if (json_reader_init(&r, call->body) != 0) {
		call_fail(call, -ENOMEM, NULL);
		return false;
	}
	json_take_bool(&r, "dry_run", false, ret);
	return call_end_members(call, &r);
}

void batch_run(struct call *call)
{
	bool is_dry = false;
	struct batch *b;
	size_t n;

	if (!call_read_object(call) || !has_lists(call) || !read_dry_run(call, &is_dry))
		return;
	n = count(call);
	if (n == 0 || n > BATCH_MAX) {
		call_refuse(call, 422,
			    "A batch has 1 to 1000 entries in its lists create, update and"
			    " delete");
		return;
	}
	b = read_batch(call);
	if (!b)
		return;
	b->is_dry = is_dry;
	if (names_one_twice(b)) {
		batch_free(b);
		call_refuse(call, 422, "A batch names each peer once");
		return;
	}
	run(b);
}
