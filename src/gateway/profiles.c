/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/profiles.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t SECOND_NS = 1000000000;

static bool is_current(const struct profile *p)
{
	return strcmp(p->name, frame_level_name(p->level)) == 0;
}

static bool has_ended(const struct profile *p, uint64_t now_ns)
{
	return p->until_ns != 0 && p->until_ns <= now_ns;
}

void profiles_done(struct profiles *p)
{
	for (size_t i = 0; i < p->n; i++)
		frame_parameters_done(&p->all[i].parameters);
	p->n = 0;
}

const struct profile *profiles_named(const struct profiles *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->all[i].name, name) == 0)
			return &p->all[i];
	return NULL;
}

const struct profile *profiles_current(const struct profiles *p, enum frame_level level)
{
	return profiles_named(p, frame_level_name(level));
}

/* By level; the current one first, then whichever is accepted longest. */
static int by_level(const void *a, const void *b)
{
	const struct profile *x = a, *y = b;

	if (x->level != y->level)
		return x->level < y->level ? -1 : 1;
	if (is_current(x) != is_current(y))
		return is_current(x) ? -1 : 1;
	if (x->until_ns != y->until_ns)
		return x->until_ns > y->until_ns ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void sort(struct profiles *p)
{
	if (p->n > 0)
		qsort(p->all, p->n, sizeof(p->all[0]), by_level);
}

/* One more, with nothing in it but its name and level; NULL: no room. */
static struct profile *append(struct profiles *p, const char *name, enum frame_level level,
			      uint64_t now_ns)
{
	struct profile *one;

	if (p->n == STORE_PROFILES_MAX)
		return NULL;
	one = &p->all[p->n++];
	*one = (struct profile){ .level = level, .created_ns = now_ns };
	snprintf(one->name, sizeof(one->name), "%s", name);
	frame_parameters_init(&one->parameters);
	return one;
}

/* --- Loading --- */

int profile_row_read(const struct store_profile *row, struct uapi_profile *ret, struct diag *d)
{
	struct text line = { .data = NULL };
	struct diag why = { .text = "" };
	int err;

	text_printf(&line, "%s %s", row->name, row->parameters);
	err = line.err ? line.err : uapi_profile_parse(line.data, line.len, ret, &why);
	text_done(&line);
	if (err == 0)
		ret->until_s = row->until_ns / SECOND_NS;
	if (err == 0 || err == -ENOMEM)
		return err;
	return diag_set(d, ERR_CORRUPT, 0, "the stored profile %s cannot be used: %.150s",
			row->name, why.text);
}

struct loading {
	struct profiles *to;
	struct diag *d;
};

static int load_one(void *context, const struct store_profile *row)
{
	struct loading *l = context;
	struct uapi_profile read;
	struct profile *one;
	int err = profile_row_read(row, &read, l->d);

	if (err != 0)
		return err;
	one = append(l->to, row->name, row->level, row->created_ns);
	if (!one) {
		frame_parameters_done(&read.parameters);
		return diag_set(l->d, ERR_CORRUPT, 0, "more than %d profiles are stored",
				STORE_PROFILES_MAX);
	}
	one->until_ns = row->until_ns;
	one->parameters = read.parameters;
	secret_key_done(&read.parameters.protection_key);
	return 0;
}

int profiles_load(struct store *store, struct profiles *ret, struct diag *d)
{
	struct loading l = { .to = ret, .d = d };
	int err = store_load_profiles(store, load_one, &l);

	if (err != 0)
		profiles_done(ret);
	sort(ret);
	return err;
}

/* --- Deciding --- */

static int copy(struct profiles *to, const struct profile *from)
{
	struct profile *one = append(to, from->name, from->level, from->created_ns);

	if (!one)
		return ERR_EXHAUSTED;
	one->until_ns = from->until_ns;
	return frame_parameters_copy(&one->parameters, &from->parameters);
}

static int copy_living(const struct profiles *p, uint64_t now_ns, struct profiles *ret)
{
	int err = 0;

	ret->n = 0;
	for (size_t i = 0; i < p->n && err == 0; i++)
		if (!has_ended(&p->all[i], now_ns))
			err = copy(ret, &p->all[i]);
	return err;
}

static bool clashes(const struct profiles *p, const struct profile *one)
{
	for (size_t i = 0; i < p->n; i++)
		if (&p->all[i] != one &&
		    frame_parameters_clash(&p->all[i].parameters, &one->parameters))
			return true;
	return false;
}

/* An interface refuses profiles that cannot be told apart, all of them: so what is drawn looks
 * like none of those that are there. That it does not is rare, and cannot happen for ever. */
static int draw(struct profiles *p, enum frame_level level, struct generator *g,
		uint64_t now_ns)
{
	struct profile *one = append(p, frame_level_name(level), level, now_ns);
	int err;

	if (!one)
		return ERR_EXHAUSTED;
	do {
		err = frame_level_draw(level, g, &one->parameters);
	} while (err == 0 && clashes(p, one));
	return err;
}

int profiles_complete(const struct profiles *p, struct generator *g, uint64_t now_ns,
		      struct profiles *ret, bool *ret_differs)
{
	int err = copy_living(p, now_ns, ret);
	bool differs = ret->n != p->n;

	for (enum frame_level level = FRAME_OFF + 1; level < FRAME_LEVELS && err == 0;
	     level++) {
		if (profiles_current(ret, level))
			continue;
		err = draw(ret, level, g, now_ns);
		differs = true;
	}
	if (err != 0)
		profiles_done(ret);
	sort(ret);
	*ret_differs = differs;
	return err;
}

/* "extreme.1", or the next number that is free: a name says whom somebody was heard as. */
static void rename_former(const struct profiles *p, struct profile *former)
{
	char name[FRAME_NAME_MAX + 1];

	for (unsigned int n = 1; n <= STORE_PROFILES_MAX; n++) {
		snprintf(name, sizeof(name), "%s.%u", frame_level_name(former->level), n);
		if (!profiles_named(p, name))
			break;
	}
	memcpy(former->name, name, sizeof(name));
}

int profiles_rotate(const struct profiles *p, enum frame_level level, uint64_t until_ns,
		    struct generator *g, uint64_t now_ns, struct profiles *ret)
{
	struct profiles kept = { .n = 0 };
	int err;

	if (level == FRAME_OFF)
		return ERR_RANGE;
	err = copy_living(p, now_ns, &kept);
	for (size_t i = 0; i < kept.n; i++) {
		struct profile *one = &kept.all[i];

		if (one->level != level || !is_current(one))
			continue;
		one->until_ns = until_ns > now_ns ? until_ns : now_ns;
		rename_former(&kept, one);
	}
	if (err == 0) /* without the former one, if it is over already */
		err = copy_living(&kept, now_ns, ret);
	if (err == 0)
		err = draw(ret, level, g, now_ns);
	if (err != 0)
		profiles_done(ret);
	sort(ret);
	profiles_done(&kept);
	return err;
}

int profiles_drop(const struct profiles *p, const char *name, uint64_t now_ns,
		  struct profiles *ret)
{
	const struct profile *gone = profiles_named(p, name);
	int err = 0;

	if (!gone)
		return ERR_UNKNOWN;
	if (is_current(gone))
		return ERR_RANGE;
	ret->n = 0;
	for (size_t i = 0; i < p->n && err == 0; i++)
		if (&p->all[i] != gone && !has_ended(&p->all[i], now_ns))
			err = copy(ret, &p->all[i]);
	if (err != 0)
		profiles_done(ret);
	return err;
}

size_t profiles_former(const struct profiles *p, uint64_t now_ns)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += !is_current(&p->all[i]) && !has_ended(&p->all[i], now_ns);
	return n;
}

size_t profiles_room(const struct profiles *p, uint64_t now_ns)
{
	size_t ended = 0;

	for (size_t i = 0; i < p->n; i++)
		ended += has_ended(&p->all[i], now_ns);
	return STORE_PROFILES_MAX - p->n + ended;
}

/* --- Storing --- */

/* What stands behind the name in the line of the UAPI. */
static int write_row(const struct profile *p, struct store_profile *row, struct text *text)
{
	const char *blank;

	uapi_profile_put(text, p->name, &p->parameters, 0);
	if (text->err != 0)
		return text->err;
	blank = strchr(text->data, ' ');
	*row = (struct store_profile){
		.level = p->level,
		.parameters = blank ? blank + 1 : "",
		.created_ns = p->created_ns,
		.until_ns = p->until_ns,
	};
	memcpy(row->name, p->name, sizeof(row->name));
	return 0;
}

int profile_rows_make(const struct profiles *p, struct profile_rows *ret)
{
	int err = 0;

	ret->n = p->n;
	for (size_t i = 0; i < p->n && err == 0; i++)
		err = write_row(&p->all[i], &ret->rows[i], &ret->texts[i]);
	return err;
}

void profile_rows_done(struct profile_rows *r)
{
	for (size_t i = 0; i < r->n; i++)
		text_done(&r->texts[i]);
	r->n = 0;
}

static int store_all(struct store *store, const struct profiles *p, uint64_t now_ns)
{
	struct profile_rows rows = { .n = 0 };
	struct store_change c = { .kind = STORE_SET_PROFILES,
				  .now_ns = now_ns,
				  .profiles = rows.rows };
	int err = profile_rows_make(p, &rows);

	c.n_profiles = rows.n;
	if (err == 0)
		err = store_apply(store, &c);
	profile_rows_done(&rows);
	return err != 0 ? err : c.result;
}

int profiles_prepare(struct store *store, struct generator *g, uint64_t now_ns, struct diag *d)
{
	struct profiles stored = { .n = 0 }, complete = { .n = 0 };
	bool differs = false;
	int err = profiles_load(store, &stored, d);

	if (err != 0) {
		if (!d->text[0])
			diag_set(d, err, 0, "the stored profiles cannot be loaded: %s",
				 err_text(err));
		return err;
	}
	err = profiles_complete(&stored, g, now_ns, &complete, &differs);
	if (err == 0 && differs)
		err = store_all(store, &complete, now_ns);
	profiles_done(&stored);
	profiles_done(&complete);
	if (err == 0)
		return 0;
	return diag_set(d, err, 0, "parameters for the levels cannot be stored: %s",
			err_text(err));
}
