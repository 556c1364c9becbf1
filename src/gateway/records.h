/* SPDX-License-Identifier: Apache-2.0 */
/**
 * records.h - Small objects beside peers: accounts, keys, webhooks, links, access lists, enrolments
 *
 * In memory, found by id, or by kind and name; a list goes by ascending id within a kind. What a
 * body means is known to whoever made it.
 *
 * Bounds:  records_max() of a kind, those on their way to the disk among them: each kind has its own
 *	    room, so that none takes it from events that wait. It is asked before a record is made;
 *	    what is stored already is taken in as it is, so that a gateway always starts.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

enum {
	RECORDS_ACCOUNTS_MAX = 1 << 16,
	RECORDS_KEYS_MAX = 1 << 16,
	RECORDS_WEBHOOKS_MAX = 64,
	RECORDS_LINKS_MAX = 1 << 14,
	RECORDS_ACCESS_MAX = 1 << 16,
	RECORDS_SETTINGS_MAX = 64,
	RECORDS_OUTBOX_MAX = 1 << 16,
	RECORDS_USERS_MAX = 1 << 17,
	RECORDS_ENROLMENTS_MAX = 1 << 14,
};

/**
 * struct record - What is kept in memory of one
 * @body:	JSON, owned; wiped when freed
 * @is_busy:	A change of it is on the way to the disk
 * @n_peers:	That refer to it
 * @n_accounts:	Likewise; or will, once their change has reached the disk
 */
struct record {
	int64_t id;
	enum store_record_kind kind;
	char name[STORE_NAME_MAX + 1];
	char *body;
	uint64_t created_ns;
	uint64_t changed_ns;
	bool is_busy;
	size_t n_peers;
	size_t n_accounts;
	/* links, of records.c */
	struct record *by_id;
	struct record *by_name;
	struct record *next; /* of its kind */
	struct record *prev;
};

struct records;

int records_new(struct records **ret);
struct records *records_free(struct records *r); /* takes NULL, returns NULL */

size_t records_max(enum store_record_kind kind);
/** records_has_room() - May one more of @kind be made? */
bool records_has_room(const struct records *r, enum store_record_kind kind);

/** records_reserve() - One is about to be made. Return: 0, until records_release(); ERR_LIMIT */
int records_reserve(struct records *r, enum store_record_kind kind);
void records_release(struct records *r, enum store_record_kind kind);

/** records_add() - A copy. Return: 0; ERR_EXISTS; -ENOMEM */
int records_add(struct records *r, const struct store_record *init, struct record **ret);

/** records_change() - Another name and body. Return: as records_add(); then nothing changed */
int records_change(struct records *r, struct record *record, const struct store_record *to);
void records_remove(struct records *r, struct record *record); /* frees it */

struct record *records_find_id(const struct records *r, enum store_record_kind kind,
			       int64_t id);
struct record *records_find_name(const struct records *r, enum store_record_kind kind,
				 const char *name);

/** records_after() - The one of @kind with the lowest id above @id; NULL at the end */
struct record *records_after(const struct records *r, enum store_record_kind kind, int64_t id);
size_t records_count(const struct records *r, enum store_record_kind kind);
