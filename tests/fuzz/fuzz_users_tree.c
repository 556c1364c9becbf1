/* SPDX-License-Identifier: Apache-2.0 */
/* A tree that others wrote: "NAME=VALUE" lines, of which nothing may be believed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "fuzz.h"
#include "gateway/server_keys.h"
#include "gateway/user_table.h"

enum { LINES_MAX = 64 };

struct line {
	const char *name;
	const char *value;
	uint64_t version;
};

struct fuzzed {
	struct params base;
	struct line lines[LINES_MAX];
	size_t n;
	bool is_written;
};

static int get(struct params *p, const char *name, struct text *ret, struct diag *d)
{
	const struct fuzzed *f = (const struct fuzzed *)p;

	(void)d;
	for (size_t i = 0; i < f->n; i++) {
		if (strcmp(f->lines[i].name, name) == 0) {
			text_puts(ret, f->lines[i].value);
			return ret->data && ret->len > 0 ? 0 : ERR_UNKNOWN;
		}
	}
	return ERR_UNKNOWN;
}

static int put(struct params *p, const char *name, const char *value, enum params_type type,
	       bool overwrite, struct diag *d)
{
	(void)name, (void)value, (void)type, (void)overwrite, (void)d;
	((struct fuzzed *)p)->is_written = true;
	return 0;
}

static int list(struct params *p, const char *prefix, params_visitor visit, void *context,
		struct diag *d)
{
	const struct fuzzed *f = (const struct fuzzed *)p;
	int err = 0;

	(void)d;
	for (size_t i = 0; i < f->n && err == 0; i++) {
		if (strncmp(f->lines[i].name, prefix, strlen(prefix)) == 0)
			err = visit(context, f->lines[i].name, f->lines[i].version);
	}
	return err;
}

static int remove_one(struct params *p, const char *name, struct diag *d)
{
	(void)p, (void)name, (void)d;
	return ERR_UNKNOWN;
}

static void free_nothing(struct params *p)
{
	(void)p;
}

static const struct params_ops ops = { get, put, list, remove_one, free_nothing };

/* As any tree would have them: names of the grammar, values within the bound. */
static void read_lines(struct fuzzed *f, char *text)
{
	char *save = NULL;

	for (char *one = strtok_r(text, "\n", &save); one && f->n < LINES_MAX;
	     one = strtok_r(NULL, "\n", &save)) {
		char *equal = strchr(one, '=');

		if (!equal)
			continue;
		*equal = '\0';
		if (params_name_ok(one) && strlen(equal + 1) <= PARAMS_VALUE_MAX)
			f->lines[f->n++] = (struct line){ one, equal + 1, (uint8_t)equal[1] };
	}
}

/* What was read fits a record, and is read from that again. */
static void check_values(const struct user_values *v)
{
	struct user user = { .state = USER_MADE, .is_active = v->is_active }, again = user;
	struct text body = { .data = NULL };

	HOLDS(user_id_ok(v->id));
	HOLDS(v->address.family == ADDR_NONE || v->address.family == ADDR_V4);
	memcpy(user.public_key, v->public_key, sizeof(user.public_key));
	memcpy(user.created_at, v->created_at, sizeof(user.created_at));
	user.has_digest = v->has_digest;
	memcpy(user.digest, v->digest, sizeof(user.digest));
	user_record_write(&user, &body);
	HOLDS(body.err == 0 && user_record_read(body.data, &again) == 0);
	HOLDS(strcmp(again.created_at, user.created_at) == 0);
	HOLDS(memcmp(again.public_key, user.public_key, sizeof(user.public_key)) == 0);
	HOLDS(again.has_digest == user.has_digest && again.is_active == user.is_active);
	text_done(&body);
}

static void check_list(struct fuzzed *f)
{
	struct user_values v;
	struct users_list l;

	HOLDS(users_tree_list(&f->base, &l, NULL) == 0);
	for (size_t i = 0; i < l.n; i++) {
		struct secret_key key;

		HOLDS(user_id_ok(l.all[i].id));
		HOLDS(i == 0 || strcmp(l.all[i - 1].id, l.all[i].id) < 0);
		HOLDS(users_list_find(&l, l.all[i].id) == &l.all[i]);
		if (users_tree_read(&f->base, l.all[i].id, &v, NULL) == 0) {
			HOLDS(l.all[i].is_whole);
			check_values(&v);
		}
		(void)users_tree_private_key(&f->base, l.all[i].id, &key, NULL);
	}
	users_list_done(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct fuzzed f = { .base = { &ops } };
	struct users_master master;
	struct user user = { .state = USER_MADE };
	struct secret_key key;
	bool is_there;

	HOLDS(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	(void)user_record_read(text, &user);
	read_lines(&f, text);
	check_list(&f);
	if (users_tree_master(&f.base, false, &master, NULL) == 0)
		HOLDS(master.is_known && !f.is_written);
	/* Without a key of one's own nothing is made, only what is missing filled in. */
	if (server_keys_agree(&f.base, NULL, 1768386600, &key, &is_there, NULL) == 0)
		HOLDS(is_there || !f.is_written);
	free(text);
	return 0;
}
