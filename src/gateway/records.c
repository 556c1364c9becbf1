/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/short_hash.h"
#include "sys/random.h"

enum { BUCKETS = 1 << 14 };

struct records {
	uint8_t hash_key[SHORT_HASH_KEY_LEN];
	size_t n_kind[STORE_RECORD_KINDS];
	size_t n_reserved[STORE_RECORD_KINDS];
	struct record *first[STORE_RECORD_KINDS];
	struct record *last[STORE_RECORD_KINDS];
	struct record *by_id[BUCKETS];
	struct record *by_name[BUCKETS];
};

static void record_free(struct record *record)
{
	if (record->body)
		secret_wipe(record->body, strlen(record->body));
	free(record->body);
	free(record);
}

/* --- Finding --- */

static size_t id_bucket(const struct records *r, int64_t id)
{
	return short_hash(r->hash_key, &id, sizeof(id)) & (BUCKETS - 1);
}

static size_t name_bucket(const struct records *r, enum store_record_kind kind,
			  const char *name)
{
	uint8_t text[STORE_NAME_MAX + 1];
	size_t len = strnlen(name, STORE_NAME_MAX);

	text[0] = (uint8_t)kind;
	memcpy(text + 1, name, len);
	return short_hash(r->hash_key, text, len + 1) & (BUCKETS - 1);
}

struct record *records_find_id(const struct records *r, enum store_record_kind kind, int64_t id)
{
	struct record *one = id ? r->by_id[id_bucket(r, id)] : NULL;

	while (one && (one->id != id || one->kind != kind))
		one = one->by_id;
	return one;
}

struct record *records_find_name(const struct records *r, enum store_record_kind kind,
				 const char *name)
{
	struct record *one = r->by_name[name_bucket(r, kind, name)];

	while (one && (one->kind != kind || strcmp(one->name, name) != 0))
		one = one->by_name;
	return one;
}

struct record *records_after(const struct records *r, enum store_record_kind kind, int64_t id)
{
	struct record *one = records_find_id(r, kind, id);

	if (one)
		return one->next;
	for (one = r->first[kind]; one && one->id <= id; one = one->next)
		;
	return one;
}

size_t records_count(const struct records *r, enum store_record_kind kind)
{
	return r->n_kind[kind];
}

/* --- Room --- */

size_t records_max(enum store_record_kind kind)
{
	static const size_t max[STORE_RECORD_KINDS] = {
		[STORE_ACCOUNT] = RECORDS_ACCOUNTS_MAX,
		[STORE_KEY] = RECORDS_KEYS_MAX,
		[STORE_WEBHOOK] = RECORDS_WEBHOOKS_MAX,
		[STORE_LINK] = RECORDS_LINKS_MAX,
		[STORE_ACCESS] = RECORDS_ACCESS_MAX,
		[STORE_SETTING] = RECORDS_SETTINGS_MAX,
		[STORE_OUTBOX] = RECORDS_OUTBOX_MAX,
		[STORE_USER] = RECORDS_USERS_MAX,
		[STORE_ENROLMENT] = RECORDS_ENROLMENTS_MAX,
	};

	return max[kind];
}

bool records_has_room(const struct records *r, enum store_record_kind kind)
{
	return r->n_kind[kind] + r->n_reserved[kind] < records_max(kind);
}

int records_reserve(struct records *r, enum store_record_kind kind)
{
	if (!records_has_room(r, kind))
		return ERR_LIMIT;
	r->n_reserved[kind]++;
	return 0;
}

void records_release(struct records *r, enum store_record_kind kind)
{
	r->n_reserved[kind]--;
}

/* --- Links --- */

static void link_name(struct records *r, struct record *one)
{
	struct record **head = &r->by_name[name_bucket(r, one->kind, one->name)];

	one->by_name = *head;
	*head = one;
}

static void unlink_name(struct records *r, struct record *one)
{
	struct record **at = &r->by_name[name_bucket(r, one->kind, one->name)];

	while (*at != one)
		at = &(*at)->by_name;
	*at = one->by_name;
}

/* Ids rise, so the end is almost always the place. */
static void enlist(struct records *r, struct record *one)
{
	struct record *before = r->last[one->kind];

	while (before && before->id > one->id)
		before = before->prev;
	one->prev = before;
	one->next = before ? before->next : r->first[one->kind];
	if (one->next)
		one->next->prev = one;
	else
		r->last[one->kind] = one;
	if (before)
		before->next = one;
	else
		r->first[one->kind] = one;
}

static void delist(struct records *r, struct record *one)
{
	if (one->next)
		one->next->prev = one->prev;
	else
		r->last[one->kind] = one->prev;
	if (one->prev)
		one->prev->next = one->next;
	else
		r->first[one->kind] = one->next;
}

/* --- Calls --- */

int records_new(struct records **ret)
{
	struct records *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	random_fill(r->hash_key, sizeof(r->hash_key));
	*ret = r;
	return 0;
}

struct records *records_free(struct records *r)
{
	if (!r)
		return NULL;
	for (int kind = 1; kind < STORE_RECORD_KINDS; kind++) {
		for (struct record *next, *one = r->first[kind]; one; one = next) {
			next = one->next;
			record_free(one);
		}
	}
	free(r);
	return NULL;
}

int records_add(struct records *r, const struct store_record *init, struct record **ret)
{
	struct record *one;

	if (records_find_name(r, init->kind, init->name))
		return ERR_EXISTS;
	one = calloc(1, sizeof(*one));
	if (!one)
		return -ENOMEM;
	one->body = strdup(init->body);
	if (!one->body) {
		free(one);
		return -ENOMEM;
	}
	one->id = init->id;
	one->kind = init->kind;
	memcpy(one->name, init->name, sizeof(one->name));
	one->created_ns = init->created_ns;
	one->changed_ns = init->changed_ns;
	one->by_id = r->by_id[id_bucket(r, one->id)];
	r->by_id[id_bucket(r, one->id)] = one;
	link_name(r, one);
	enlist(r, one);
	r->n_kind[one->kind]++;
	*ret = one;
	return 0;
}

int records_change(struct records *r, struct record *record, const struct store_record *to)
{
	const struct record *same_name = records_find_name(r, record->kind, to->name);
	char *body;

	if (same_name && same_name != record)
		return ERR_EXISTS;
	body = strdup(to->body);
	if (!body)
		return -ENOMEM;
	unlink_name(r, record);
	memcpy(record->name, to->name, sizeof(record->name));
	link_name(r, record);
	secret_wipe(record->body, strlen(record->body));
	free(record->body);
	record->body = body;
	record->changed_ns = to->changed_ns;
	return 0;
}

void records_remove(struct records *r, struct record *record)
{
	struct record **at = &r->by_id[id_bucket(r, record->id)];

	while (*at != record)
		at = &(*at)->by_id;
	*at = record->by_id;
	unlink_name(r, record);
	delist(r, record);
	r->n_kind[record->kind]--;
	record_free(record);
}
