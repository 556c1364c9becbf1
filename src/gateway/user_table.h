/* SPDX-License-Identifier: Apache-2.0 */
/**
 * user_table.h - Every user of the users' API, found by id or by the digest of a key
 *
 * What is durable of one is the body of a record (STORE_USER), written and read here:
 * {"state","public_key","digest","created_at","active","stamp"}.
 *
 * Bounds:  USERS_MAX.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "gateway/users_tree.h"

/**
 * enum user_state - Where one is between store and tree
 *
 *	MAKING    stored, perhaps not in the tree yet: unless that ends well, it is taken back
 *	MADE      in both; the only state in which anybody sees it
 *	REMOVING  not a peer any more, perhaps still in the tree
 */
enum user_state {
	USER_MAKING,
	USER_MADE,
	USER_REMOVING,
};

/**
 * struct user - One of them
 * @is_active:	What the tree said last
 * @stamp:	Of the list in which it was read last (struct users_listed); 0: read it again
 * @record_id:	0: not stored yet
 * @is_busy:	A change of it is under way
 * @has_peer:	Taking it back is also taking its peer away; false once that is done
 * @touched:	When it was changed here, as users.c counts
 */
struct user {
	char id[USER_ID_MAX + 1];
	enum user_state state;
	uint8_t public_key[32];
	bool has_digest;
	uint8_t digest[USERS_DIGEST_LEN];
	char created_at[USERS_TIME_MAX + 1];
	bool is_active;
	uint64_t stamp;
	int64_t record_id;
	bool is_busy;
	bool has_peer;
	uint64_t touched;
	/* links, of user_table.c */
	struct user *by_id;
	struct user *by_digest;
	struct user *next;
	struct user *prev;
};

struct user_table;

int user_table_new(struct user_table **ret);
struct user_table *user_table_free(struct user_table *t); /* takes NULL, returns NULL */

/** user_table_add() - A copy. Return: 0; ERR_EXISTS (the id); ERR_LIMIT; -ENOMEM */
int user_table_add(struct user_table *t, const struct user *init, struct user **ret);
void user_table_remove(struct user_table *t, struct user *user); /* frees it */
void user_table_set_digest(struct user_table *t, struct user *user, bool has_digest,
			   const uint8_t digest[USERS_DIGEST_LEN]);

struct user *user_table_find(const struct user_table *t, const char *id);
struct user *user_table_find_digest(const struct user_table *t,
				    const uint8_t digest[USERS_DIGEST_LEN]);
struct user *user_table_first(const struct user_table *t); /* then @next */
size_t user_table_count(const struct user_table *t);

/** user_record_write() - Body of its record; errors stay in @out->err */
void user_record_write(const struct user *user, struct text *out);
/** user_record_read() - All but @id and @record_id. Return: 0; ERR_CORRUPT */
int user_record_read(const char *body, struct user *ret);
