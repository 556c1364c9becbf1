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

enum operation_kind {
	OPERATION_CREATE,
	OPERATION_UPDATE,
	OPERATION_DELETE,
};

static const char *const list_names[] = { "create", "update", "delete" };

/* struct operation - @id: of the peer it is about, or of the one it made */
struct operation {
	enum operation_kind kind;
	size_t place; /* in its list */
	int64_t id;
	struct peer_fields fields;
};

/**
 * struct batch - One request
 * @waiting:	Callbacks still to come
 * @err, @wrong: The first refusal that is the cause, not a consequence
 */
struct batch {
	struct call *call;
	struct operation *operations;
	size_t n;
	size_t waiting;
	int err;
	int carried;
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
	if (!json_reader_is_well(&r)) {
		call_refuse_fields(call, json_reader_take_errors(&r));
		return false;
	}
	json_reader_done(&r);
	return true;
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

	for (size_t i = 0; i < b->n; i++) {
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

static const char *reason_of(int err)
{
	switch (err) {
	case ERR_EXISTS:
		return "its name, key, address or network is taken";
	case ERR_UNKNOWN:
		return "there is no such peer, account or access list";
	case ERR_KEY:
		return "its key cannot be a client's";
	case ERR_RANGE:
		return "its address is not a client's address of this gateway";
	case ERR_EXPIRED:
		return "its address was given back a moment ago and rests";
	case -EOPNOTSUPP:
		return "a peer with networks behind it cannot have an access list";
	case ERR_EXHAUSTED:
		return "the address pool is full";
	case ERR_UNABLE:
		return CALL_UNABLE;
	default:
		return err_text(err);
	}
}

static bool is_callers_fault(int err)
{
	return err == ERR_EXISTS || err == ERR_UNKNOWN || err == ERR_KEY || err == ERR_RANGE ||
	       err == ERR_EXPIRED || err == -EOPNOTSUPP || err == ERR_UNABLE;
}

static void refuse(struct call *call, const struct operation *op, int err)
{
	char text[160];

	if (!is_callers_fault(err)) {
		call_fail(call, err == ERR_EXHAUSTED ? ERR_LIMIT : err, NULL);
		return;
	}
	snprintf(text, sizeof(text), "Nothing was changed: %s %zu: %s", list_names[op->kind],
		 op->place, reason_of(err));
	call_conclude_refusal(call, 409, text);
}

static void answer(struct batch *b)
{
	struct call *call = b->call;

	if (b->err != 0)
		refuse(call, b->wrong, b->err);
	else if (b->carried != 0)
		call_refuse(call, 503, "Stored, but the interface does not act on it yet");
	else
		call_reply(call, 200,
			   json_pack("{s:o, s:o, s:i}", "created",
				     peers_of(b, OPERATION_CREATE), "updated",
				     peers_of(b, OPERATION_UPDATE), "deleted",
				     count_kind(b, OPERATION_DELETE)));
	batch_free(b);
}

static void one_done(void *context, int err, int carried, const struct peer *peer)
{
	struct answer *a = context;
	struct batch *b = a->batch;

	if (peer)
		a->operation->id = peer->id;
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

/* The signature is spent once, with the first; the contexts of what is taken back are freed. */
static int decide_all(struct batch *b, struct answer **answers)
{
	struct gateway_grant grant = call_grant(b->call);
	int err = 0;

	gateway_batch_begin(b->call->api->gateway);
	for (size_t i = 0; i < b->n && err == 0; i++) {
		answers[i] = malloc(sizeof(*answers[i]));
		if (!answers[i]) {
			err = -ENOMEM;
			break;
		}
		*answers[i] = (struct answer){ b, &b->operations[i] };
		err = decide_one(b, &b->operations[i], &grant, answers[i]);
		if (err != 0)
			b->wrong = &b->operations[i];
		grant.has_signature = false;
	}
	return err;
}

static void run(struct batch *b)
{
	struct answer **answers = calloc(b->n, sizeof(*answers));
	struct call *call = b->call;
	int err = -ENOMEM;

	b->waiting = b->n;
	if (answers) {
		err = decide_all(b, answers);
		if (err == 0)
			err = gateway_batch_end(call->api->gateway, true);
		else
			gateway_batch_end(call->api->gateway, false);
	}
	for (size_t i = 0; answers && err != 0 && i < b->n; i++)
		free(answers[i]);
	free(answers);
	if (err == 0)
		return;
	if (err == -EBUSY)
		call_again(call);
	else if (b->wrong)
		refuse(call, b->wrong, err);
	else
		call_fail(call, err, NULL);
	batch_free(b);
}

void batch_run(struct call *call)
{
	struct batch *b;
	size_t n;

	if (!call_read_object(call) || !has_lists(call))
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
	if (names_one_twice(b)) {
		batch_free(b);
		call_refuse(call, 422, "A batch names each peer once");
		return;
	}
	run(b);
}
