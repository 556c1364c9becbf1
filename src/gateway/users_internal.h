/* SPDX-License-Identifier: Apache-2.0 */
/**
 * users_internal.h - Inside the users: their state, and one thing that is being done with the tree
 *
 * users.c answers and hands work to threads, users_change.c makes and removes, users_look.c looks what
 * others changed in the tree.
 *
 * Threads: the main loop's, but for users_op.work.
 */
#pragma once

#include "crypto/suite.h"
#include "gateway/background.h"
#include "gateway/users.h"

struct users_op;

/* struct users_lane - One thread and its tree. The last one only looks */
struct users_lane {
	struct users *u;
	struct params *tree;
	struct background *thread;
	struct users_op *op; /* that it works on; NULL: none */
};

/**
 * struct users_op - Something under way
 * @work:	In the thread: sets @err. @after: in the main loop, then
 * @next_step:	After gateway_wait()
 * @fault:	What is said at the end, when what had been begun is taken back
 * @is_clean:	The tree has nothing of it
 * @enrolment_id: Dropped when the user is made; 0: none
 */
struct users_op {
	struct background_job job;
	struct users *u;
	struct users_lane *lane;
	struct users_op *next;
	void (*work)(struct users_op *op, struct params *tree);
	void (*after)(struct users_op *op);
	void (*next_step)(struct users_op *op);
	int err;
	struct diag why;
	int fault;
	bool is_clean;
	bool is_gone;
	int64_t enrolment_id;
	struct user *user;
	struct users_listed listed;
	struct users_list list;
	struct users_master master;
	struct user_values values;
	struct users_secrets secrets;
	struct gateway_grant grant;
	users_done done;
	void *context;
};

/* struct users_forgotten - Removed a moment ago: a list may still have it */
struct users_forgotten {
	char id[USER_ID_MAX + 1];
	uint64_t until_ns;
};

enum { USERS_FORGOTTEN_MAX = 1024 };

/**
 * struct users_look - Looking through the tree
 * @op:		Under way; NULL: none
 * @at:		How far in @list
 * @user:	How far in the table, after that
 * @began:	The count of changes when the list was asked for
 * @complained:	That it could not be read was said
 */
struct users_look {
	bool is_walking;
	bool is_in_list;
	struct users_op *op;
	struct users_list list;
	size_t at;
	struct user *user;
	uint64_t began;
	uint64_t due_ns;
	uint64_t list_began_ns;
	uint64_t list_cost_ns;
	bool complained;
};

struct users {
	struct gateway *g;
	struct suite *suite;
	uint8_t public_key[32]; /* the gateway's; the threads read it */
	struct user_table *table;
	struct users_lane lanes[USERS_LANES];
	struct users_op *waiting; /* the oldest first */
	size_t n_waiting;
	int epoll;
	struct users_master master;
	struct users_look look;
	uint64_t look_ns;
	uint64_t soon_ns;
	uint64_t forget_ns;
	uint64_t serial; /* of changes */
	uint64_t notes;	 /* of changes that were committed */
	uint64_t now_ns; /* boot clock, of the last tick */
	struct users_forgotten forgotten[USERS_FORGOTTEN_MAX];
	size_t forgotten_at;
	bool forgets_private_keys;
	bool lists_all;
	bool is_stopping;
};

struct users_op *users_op_new(struct users *u, users_done done, void *context);
/* The end of @op: its caller hears @err. */
void users_op_end(struct users_op *op, int err);
void users_op_free(struct users_op *op); /* takes NULL */

/** users_work() - @work in a thread, then @after. @is_look: in the last one. It always begins at some time */
void users_work(struct users_op *op, bool is_look,
		void (*work)(struct users_op *op, struct params *tree),
		void (*after)(struct users_op *op));
/** users_later() - @step when what is under way in the gateway has come to its end. Return: 0; ERR_LIMIT */
int users_later(struct users_op *op, void (*step)(struct users_op *op));

struct user *users_get(const struct users *u, const char *id); /* in any state */
struct peer *users_own_peer(const struct users *u, const struct user *user);
void users_touch(struct users *u, struct user *user);
void users_drop(struct users *u,
		struct user *user); /* from the table; remembered for a while */
bool users_is_forgotten(const struct users *u, const char *id);

/* What a batch or a change came to, into @op->err; the first reason counts. */
void users_op_note(struct users_op *op, int err);
void users_op_noted(void *context, int err, int carried,
		    const struct peer *peer); /* a gateway_done */
/* Begin to write @user's record, as part of a batch or alone. */
int users_put_record(struct users_op *op, const struct user *as, const char *action,
		     gateway_done done);
/* Begin to add the peer of @op->user. @wanted: an address, or ADDR_NONE */
int users_add_peer(struct users_op *op, const struct ip_addr *wanted, bool is_active,
		   gateway_done done);
/* Take a user out of the tree and the store, whatever state it is in. Ends @op with @op->fault. */
void users_take_back(struct users_op *op);

int users_look_tick(struct users *u, uint64_t now_ns); /* as users_tick() */
