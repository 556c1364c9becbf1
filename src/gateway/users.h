/* SPDX-License-Identifier: Apache-2.0 */
/**
 * users.h - Users of the users' API: peers that a tree of parameters knows too
 *
 * Theory of operation. A user is a peer of the gateway whose name is the user's id, a record in the store
 * (gateway/user_table.h), and values in a tree (gateway/users_tree.h) which others may read and change.
 * Tree and store cannot change in one step. So the store says first what is going to be (MAKING,
 * REMOVING), then the tree is changed, then the store says that it is done, and only then the caller is
 * answered. Whatever a crash leaves is told by the record: what was being made is taken back, what was
 * being removed is removed.
 *
 * The tree is looked through every few seconds (USERS_LOOK_…): who is new there becomes a peer, who is gone is
 * removed, who is not "active" is suspended. A list alone removes nobody: the tree is asked once more for
 * the user, and must have a master key.
 *
 * Calls to the tree take seconds where it is far away: they are made by USERS_LANES threads, each with a
 * tree of its own, of which one only looks.
 *
 * Bounds:  USERS_MAX users; USERS_WAITING_MAX calls wait for a thread, of which those that only reveal leave
 *	    room for USERS_KEPT_FOR_CHANGES changes.
 * Threads: all calls from the main loop's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "gateway/gateway.h"
#include "gateway/user_table.h"

enum {
	USERS_LANES = 4,
	USERS_WAITING_MAX = 1024,
	USERS_KEPT_FOR_CHANGES = 256,
	USERS_LOOK_NEAR_S = 2, /* a directory */
	USERS_LOOK_FAR_S = 30,
	USERS_LOOK_TIMES = 20, /* or this many times what a list cost, if that is longer */
	USERS_RETRY_S = 10,
	USERS_FORGET_NEAR_S = 5, /* so long a list may still have who was removed */
	USERS_FORGET_FAR_S = 60,
};

/**
 * struct users_config - All borrowed for users_new() only
 * @store:	"dir:PATH" or "ssm:PREFIX"
 * @forgets_private_keys: They are in the create reply and nowhere else
 * @lists_all:	Who has a user's key sees all names
 */
struct users_config {
	const char *store;
	bool forgets_private_keys;
	bool lists_all;
};

/**
 * struct users_secrets - What is shown of one user
 * @api_key:	"" unless it was made just now
 * @has_private_key: The tree has one, and it belongs to the peer's public key
 */
struct users_secrets {
	struct secret_key private_key;
	bool has_private_key;
	char api_key[USERS_KEY_TEXT_LEN + 1];
};

enum users_master_state {
	USERS_MASTER_IS_MISSING,
	USERS_MASTER_IS_UNKNOWN, /* the tree has not been reached */
	USERS_MASTER_IS_THERE,
};

/* @user is NULL unless @err is 0, and after it was removed. @secrets: likewise; wiped afterwards */
typedef void (*users_done)(void *context, int err, const struct user *user,
			   const struct users_secrets *secrets);

struct users;

/**
 * users_new() - Load what is stored and start the threads
 * @master:	What users_tree_open() found
 */
int users_new(const struct users_config *config, struct gateway *g,
	      const struct users_master *master, struct users **ret, struct diag *d);

/** users_stop() - Answer everybody who waits; nothing more is decided */
void users_stop(struct users *u);
struct users *users_free(
	struct users *u); /* waits for running calls; takes NULL, returns NULL */

int users_fd(const struct users *u); /* -1 for NULL; readable: call users_collect() */
void users_collect(struct users *u);
/** users_tick() - Do what is due. Return: in how many milliseconds to call again */
int users_tick(struct users *u, uint64_t now_ns);

/** users_note() - A change that was committed (a gateway_listener) */
void users_note(void *context, const struct store_change *c, const struct peer *peer);

/* --- Asking. Only those that are made are there. --- */

const struct user *users_find(const struct users *u, const char *id);
const struct peer *users_peer(const struct users *u, const struct user *user);
/** users_is_active() - Not suspended, in the tree or here */
bool users_is_active(const struct users *u, const struct user *user);
/** users_find_key() - Whose key is it? NULL: nobody's. Takes as long whatever it is */
const struct user *users_find_key(const struct users *u, const char *key);
bool users_is_master(const struct users *u, const char *key);
enum users_master_state users_master_state(const struct users *u);
/** users_master_digest() - SHA-256 of the master key; false: there is none */
bool users_master_digest(const struct users *u, uint8_t ret[USERS_DIGEST_LEN]);
/** users_changes() - Another number whenever users or their peers have changed here */
uint64_t users_changes(const struct users *u);
/** users_ids() - An array of pointers by ascending id, to free(). Return: 0; -ENOMEM */
int users_ids(const struct users *u, const char ***ret, size_t *ret_n);
bool users_lists_all(const struct users *u);

/** users_expect() - Somebody asked for a user whom only the tree may know: look through it soon */
void users_expect(struct users *u);

/* --- Changes. 0: @done will be called; -EBUSY: gateway_wait(), then again; -EAGAIN: the same user is
 *	being made or removed; -ECANCELED: users_stop(); ERR_LIMIT, -ENOMEM. @done also says -EREMOTEIO: the
 *	tree cannot be read or written. --- */

/** users_create() - Also ERR_EXISTS, ERR_EXHAUSTED */
int users_create(struct users *u, const char *id, const struct gateway_grant *grant,
		 users_done done, void *context);
/**
 * users_enroll() - The same for one who has made a key pair and tells only @public_key
 * @enrolment_id: Record that is dropped in the transaction which makes the user
 *
 * Also ERR_KEY: nobody may have that key. @done also says ERR_UNKNOWN: that record is gone.
 */
int users_enroll(struct users *u, const char *id, const uint8_t public_key[32],
		 int64_t enrolment_id, const struct gateway_grant *grant, users_done done,
		 void *context);
/** users_remove() - Also ERR_UNKNOWN. After any other failure of @done it is no peer all the same, and the
 *  tree is tried again */
int users_remove(struct users *u, const char *id, const struct gateway_grant *grant,
		 users_done done, void *context);
/** users_reveal() - Read a user's private key. Also ERR_UNKNOWN */
int users_reveal(struct users *u, const char *id, users_done done, void *context);
/** users_is_revealing() - A call of users_reveal() for @id has come to no end yet */
bool users_is_revealing(const struct users *u, const char *id);
