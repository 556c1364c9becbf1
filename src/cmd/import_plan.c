/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/import_plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/batch.h"
#include "base/codec.h"
#include "cmd/command.h"
#include "cmd/local_api.h"
#include "gateway/allowed.h"

enum { PAGE_PATH_MAX = 64 };

const char *import_result_word(enum import_result result)
{
	static const char *const words[IMPORT_RESULTS] = { "new", "unchanged", "changed",
							   "refused" };

	return words[result];
}

void import_plan_done(struct import_plan *p)
{
	json_decref(p->peers);
	free(p->steps);
	p->peers = NULL;
	p->steps = NULL;
}

__attribute__((format(printf, 2, 3))) static void refuse(struct import_step *s,
							 const char *format, ...)
{
	va_list ap;

	s->result = IMPORT_REFUSED;
	va_start(ap, format);
	vsnprintf(s->why, sizeof(s->why), format, ap);
	va_end(ap);
}

/* --- What there is --- */

static int add_page(struct import_plan *p, const json_t *page)
{
	json_t *peer;
	size_t i;

	json_array_foreach(json_object_get(page, "peers"), i, peer)
	{
		const char *key = json_string_value(json_object_get(peer, "public_key"));

		if (!key || json_object_set(p->peers, key, peer) != 0)
			return -ENOMEM;
	}
	return 0;
}

static int load_peers(struct import_plan *p, struct diag *d)
{
	char path[PAGE_PATH_MAX] = "/api/v1/peers";
	bool is_last = false;
	int code = EXIT_DONE;

	p->peers = json_object();
	while (code == EXIT_DONE && !is_last) {
		json_t *page = NULL, *next;

		code = local_api_ask(p->state, "GET", path, NULL, &page, d);
		if (code != EXIT_DONE)
			break;
		if (add_page(p, page) != 0)
			code = EXIT_FAILED;
		next = json_object_get(page, "next");
		is_last = !json_is_integer(next);
		snprintf(path, sizeof(path), "/api/v1/peers?after=%" JSON_INTEGER_FORMAT,
			 json_integer_value(next));
		json_decref(page);
	}
	return code;
}

/* --- A row as the API takes it --- */

static bool read_subnets(const struct import_plan *p, struct ip_prefix subnets[2])
{
	static const char *const names[] = { "subnet4", "subnet6" };

	for (size_t i = 0; i < 2; i++) {
		const char *text = json_string_value(json_object_get(p->facts, names[i]));

		if (!text || ip_prefix_parse(text, true, &subnets[i]) != 0)
			return false;
	}
	return true;
}

static json_t *addresses_json(const struct allowed *a)
{
	const struct ip_addr *all[] = { &a->v4, &a->v6 };
	json_t *list = json_array();

	for (size_t i = 0; i < 2; i++) {
		struct ip_prefix p = { *all[i], (uint8_t)ip_addr_bits(all[i]) };
		char text[ADDR_TEXT_MAX];

		if (p.ip.family != ADDR_NONE)
			json_array_append_new(list, json_string(ip_prefix_format(&p, text)));
	}
	return list;
}

static json_t *routes_json(const char *routes)
{
	json_t *list = json_array();

	while (*routes) {
		size_t len = strcspn(routes, ",");

		json_array_append_new(list, json_stringn(routes, len));
		routes += len + (routes[len] == ',');
	}
	return list;
}

/* The first host of @row that lies in no network of the gateway, where none of it does. */
static bool find_stranger(const struct import_plan *p, const struct import_row *row,
			  const struct allowed *a, char out[ADDR_TEXT_MAX])
{
	if (a->v4.family != ADDR_NONE || a->v6.family != ADDR_NONE)
		return false;
	for (size_t i = 0; i < row->n_prefixes; i++) {
		const struct ip_prefix *one = &p->rows->prefixes[row->first_prefix + i];

		if (one->bits != ip_addr_bits(&one->ip))
			continue;
		ip_prefix_format(one, out);
		return true;
	}
	return false;
}

static json_t *members_of(const struct import_plan *p, const struct import_row *row,
			  const struct allowed *a)
{
	const char *level = row->level < FRAME_LEVELS ? frame_level_name(row->level) : p->level;
	char key[KEY_BASE64_LEN + 1];
	json_t *json = json_pack("{s:o, s:o, s:i, s:b}", "addresses", addresses_json(a),
				 "routes", routes_json(a->routes), "keepalive",
				 (int)row->keepalive_s, "enabled", (int)row->is_enabled);

	if (json && row->name[0])
		json_object_set_new(json, "name", json_string(row->name));
	if (json && level)
		json_object_set_new(json, "obfuscation_level", json_string(level));
	if (json && !secret_is_zero(row->preshared_key.b, SECRET_KEY_LEN)) {
		key_to_base64(row->preshared_key.b, key);
		json_object_set_new(json, "preshared_key", json_string(key));
		secret_wipe(key, sizeof(key));
	}
	return json;
}

/* --- Comparing --- */

static bool has_all(const json_t *a, const json_t *b)
{
	for (size_t i = 0; i < json_array_size(a); i++) {
		bool found = false;

		for (size_t j = 0; j < json_array_size(b) && !found; j++)
			found = json_equal(json_array_get(a, i), json_array_get(b, j));
		if (!found)
			return false;
	}
	return true;
}

/* Addresses and networks come in any order; a row without addresses leaves them to the gateway. */
static bool is_same(const char *name, const json_t *wanted, const json_t *is)
{
	if (strcmp(name, "addresses") == 0 && json_array_size(wanted) == 0)
		return true;
	if (!json_is_array(wanted))
		return json_equal(wanted, is);
	return json_array_size(wanted) == json_array_size(is) && has_all(wanted, is);
}

/* Nobody is told a preshared key: that there is one must do. */
static void compare(const json_t *wanted, const json_t *peer, struct text *differs)
{
	static const char *const names[] = { "addresses", "routes", "keepalive", "enabled" };
	bool has_key = json_is_true(json_object_get(peer, "has_preshared_key"));

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!is_same(names[i], json_object_get(wanted, names[i]),
			     json_object_get(peer, names[i])))
			text_printf(differs, "%s%s", differs->len ? ", " : "", names[i]);
	if (has_key != (json_object_get(wanted, "preshared_key") != NULL))
		text_printf(differs, "%s%s", differs->len ? ", " : "", "preshared key");
}

static void judge_known(const struct import_plan *p, const json_t *wanted, const json_t *peer,
			struct import_step *s)
{
	struct text differs = { .data = NULL };

	compare(wanted, peer, &differs);
	if (differs.len == 0) {
		s->result = IMPORT_UNCHANGED;
		s->is_done = true;
	} else if (p->updates) {
		s->result = IMPORT_CHANGED;
		snprintf(s->why, sizeof(s->why), "%s", differs.data);
	} else {
		refuse(s, "this peer is here with other values: %s; --update changes it",
		       differs.data);
	}
	text_done(&differs);
}

static void judge(const struct import_plan *p, const struct import_row *row,
		  const struct ip_prefix subnets[2], struct import_step *s)
{
	const char *own = json_string_value(json_object_get(p->facts, "public_key"));
	char key[KEY_BASE64_LEN + 1], text[ADDR_TEXT_MAX], v4[ADDR_TEXT_MAX], v6[ADDR_TEXT_MAX];
	const struct ip_prefix *prefixes =
		row->n_prefixes ? &p->rows->prefixes[row->first_prefix] : NULL;
	struct allowed a;
	const json_t *peer;
	json_t *wanted;

	key_to_base64(row->server_key, key);
	if (row->has_server_key && own && strcmp(own, key) != 0) {
		refuse(s, "this client's file is for the server %s, which this gateway is not",
		       key);
		return;
	}
	if (row->n_prefixes == 0 ||
	    allowed_sort_out(&subnets[0], &subnets[1], prefixes, row->n_prefixes, &a) != 0) {
		refuse(s, row->n_prefixes ? "it has more AllowedIPs than a peer may have here"
					  : "it has no AllowedIPs: nothing it sends is taken");
		return;
	}
	if (find_stranger(p, row, &a, text)) {
		refuse(s,
		       "%s is in neither %s nor %s, the gateway's networks: give it another, or"
		       " begin anew with 'culvert gateway adopt'",
		       text, ip_prefix_format(&subnets[0], v4),
		       ip_prefix_format(&subnets[1], v6));
		return;
	}
	key_to_base64(row->public_key, key);
	peer = json_object_get(p->peers, key);
	if (!peer)
		return;
	wanted = members_of(p, row, &a);
	judge_known(p, wanted, peer, s);
	json_decref(wanted);
}

/* --- Batches --- */

/* struct batch - Which rows stand where in the two lists */
struct batch {
	json_t *create;
	json_t *update;
	size_t creates[BATCH_MAX];
	size_t updates[BATCH_MAX];
	size_t n;
};

static int add_entry(const struct import_plan *p, size_t place,
		     const struct ip_prefix subnets[2], struct batch *b)
{
	const struct import_row *row = &p->rows->rows[place];
	bool is_new = p->steps[place].result == IMPORT_NEW;
	json_t *list = is_new ? b->create : b->update, *entry;
	char key[KEY_BASE64_LEN + 1];
	struct allowed a;

	allowed_sort_out(&subnets[0], &subnets[1], &p->rows->prefixes[row->first_prefix],
			 row->n_prefixes, &a);
	entry = members_of(p, row, &a);
	key_to_base64(row->public_key, key);
	if (entry)
		json_object_set_new(entry, is_new ? "public_key" : "peer", json_string(key));
	if (entry && !is_new) {
		json_object_del(entry, "name"); /* it may have another here by now */
		if (!json_object_get(entry, "preshared_key"))
			json_object_set_new(entry, "preshared_key", json_null());
	}
	(is_new ? b->creates : b->updates)[json_array_size(list)] = place;
	b->n++;
	return json_array_append_new(list, entry) == 0 ? 0 : -ENOMEM;
}

static bool is_waiting(const struct import_step *s)
{
	return !s->is_done && (s->result == IMPORT_NEW || s->result == IMPORT_CHANGED);
}

/* The next rows that are to be done, from @*at on. */
static int fill(const struct import_plan *p, const struct ip_prefix subnets[2], size_t *at,
		struct batch *b)
{
	int err = 0;

	b->create = json_array();
	b->update = json_array();
	b->n = 0;
	for (; *at < p->rows->n && b->n < BATCH_MAX && err == 0; ++*at)
		if (is_waiting(&p->steps[*at]))
			err = add_entry(p, *at, subnets, b);
	return err;
}

/* The row that an entry of a refusal is about; SIZE_MAX: none. */
static size_t find_place(const struct batch *b, const json_t *error)
{
	const json_t *loc = json_object_get(error, "loc");
	const char *list = json_string_value(json_array_get(loc, 1));
	json_int_t n = json_integer_value(json_array_get(loc, 2));

	if (!list || !json_is_integer(json_array_get(loc, 2)) || n < 0)
		return SIZE_MAX;
	if (strcmp(list, "create") == 0 && (size_t)n < json_array_size(b->create))
		return b->creates[n];
	if (strcmp(list, "update") == 0 && (size_t)n < json_array_size(b->update))
		return b->updates[n];
	return SIZE_MAX;
}

/* Return: how many rows the answer refuses. */
static size_t heed_refusal(struct import_plan *p, const struct batch *b, const json_t *answer)
{
	const json_t *errors = json_object_get(answer, "errors");
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(errors); i++) {
		const json_t *one = json_array_get(errors, i),
			     *loc = json_object_get(one, "loc");
		const char *msg = json_string_value(json_object_get(one, "msg"));
		const char *member = json_string_value(json_array_get(loc, 3));
		size_t place = find_place(b, one);

		if (place == SIZE_MAX || !msg || p->steps[place].result == IMPORT_REFUSED)
			continue;
		refuse(&p->steps[place], "%s%s%s", member ? member : "", member ? ": " : "",
		       msg);
		n++;
	}
	return n;
}

static void mark_done(struct import_plan *p, const struct batch *b)
{
	for (size_t i = 0; i < json_array_size(b->create); i++)
		p->steps[b->creates[i]].is_done = true;
	for (size_t i = 0; i < json_array_size(b->update); i++)
		p->steps[b->updates[i]].is_done = true;
}

static int send_batch(struct import_plan *p, const struct batch *b, size_t *ret_refused,
		      struct diag *d)
{
	json_t *body = json_pack("{s:O, s:O, s:b}", "create", b->create, "update", b->update,
				 "dry_run", (int)p->is_dry);
	struct text answer = { .data = NULL };
	json_t *value = NULL, *problem = NULL;
	long status = 0;
	int code = local_api_send(p->state, "POST", "/api/v1/batch", body, &answer, &status, d);

	json_decref(body);
	*ret_refused = 0;
	if (code == EXIT_DONE)
		code = local_api_judge(&answer, status, &value, d);
	if (code == EXIT_DONE)
		mark_done(p, b);
	else if (answer.data)
		problem = json_loadb(answer.data, answer.len, 0, NULL);
	if (problem)
		*ret_refused = heed_refusal(p, b, problem);
	json_decref(value);
	json_decref(problem);
	text_done(&answer);
	return code;
}

/* What is refused is left out, and the rest sent again. */
static int send_all(struct import_plan *p, const struct ip_prefix subnets[2], struct diag *d)
{
	struct batch *b = malloc(sizeof(*b));
	int code = b ? EXIT_DONE : EXIT_FAILED;
	size_t at = 0, from, refused;

	while (b && code == EXIT_DONE && at < p->rows->n) {
		from = at;
		refused = 0;
		if (fill(p, subnets, &at, b) != 0)
			code = EXIT_FAILED;
		else if (b->n > 0)
			code = send_batch(p, b, &refused, d);
		json_decref(b->create);
		json_decref(b->update);
		if (code != EXIT_DONE && refused > 0 && !p->is_whole) {
			code = EXIT_DONE;
			at = from;
		}
	}
	free(b);
	return code;
}

static size_t count(struct import_plan *p)
{
	memset(p->counts, 0, sizeof(p->counts));
	for (size_t i = 0; i < p->rows->n; i++)
		p->counts[p->steps[i].result]++;
	return p->counts[IMPORT_NEW] + p->counts[IMPORT_CHANGED];
}

static int run(struct import_plan *p, const struct ip_prefix subnets[2], struct diag *d)
{
	size_t to_do;

	for (size_t i = 0; i < p->rows->n; i++)
		judge(p, &p->rows->rows[i], subnets, &p->steps[i]);
	to_do = count(p);
	if (p->is_whole && to_do > BATCH_MAX) {
		diag_set(d, ERR_LIMIT, 0,
			 "%zu peers are to be made or changed, and no more than %d can be"
			 " all or nothing",
			 to_do, (int)BATCH_MAX);
		return EXIT_REFUSED;
	}
	if (p->is_whole && p->counts[IMPORT_REFUSED] > 0)
		return EXIT_REFUSED;
	return send_all(p, subnets, d);
}

int import_plan_run(struct import_plan *p, struct diag *d)
{
	struct ip_prefix subnets[2];
	int code;

	p->steps = calloc(p->rows->n + 1, sizeof(*p->steps));
	if (!p->steps || !read_subnets(p, subnets)) {
		diag_set(d, ERR_FORMAT, 0, "the gateway's answer is not understood");
		return EXIT_FAILED;
	}
	code = load_peers(p, d);
	if (code == EXIT_DONE)
		code = run(p, subnets, d);
	count(p);
	return code;
}
