/* SPDX-License-Identifier: Apache-2.0 */
/**
 * internal.h - Inside the gateway: its state, and a change on its way
 *
 * gateway.c loads and collects, decide.c decides about peers, rotation.c about profiles,
 * decide_records.c about small objects, decide_access.c about who may have an access list.
 *
 * Threads: the main loop's.
 */
#pragma once

#include "gateway/gateway.h"
#include "gateway/networks.h"
#include "gateway/records.h"

/**
 * struct gateway - @batch collects what is decided between gateway_batch_begin() and _end()
 * @is_rotating: A change of the profiles is on the way to the disk
 * @orphans:	Removals that were refused, whose peers get back what they had given up
 */
struct gateway {
	struct gateway_config config;
	struct store *store;
	struct writer *writer;
	struct peers *peers;
	struct records *records;
	struct networks *networks; /* behind peers, also behind those that a change is about */
	struct answered *answered;
	struct profiles profiles;
	bool is_rotating;
	struct pool *v4;
	struct pool *v6;
	bool is_batch;
	struct store_change *batch_first;
	struct store_change *batch_last;
	struct pending *orphans; /* linked by their changes' @next */
	struct {
		gateway_listener call;
		void *context;
	} listeners[GATEWAY_LISTENERS_MAX];
	size_t n_listeners;
	gateway_budget budget;
	void *budget_context;
	gateway_announcer announcer;
	void *announcer_context;
};

/* struct rotation - The profiles as they are to be, and the same for the store */
struct rotation {
	struct profiles after;
	struct profile_rows rows;
};

/**
 * struct pending - A change on its way. @change is first: the writer gives that back
 * @peer:	NULL when it is about none
 * @wanted:	What the peer becomes when it is done; NULL unless it is changed. Owned, with its
 *		texts
 * @rest_until_ns: For addresses that it leaves, if it moves
 * @gives_up:	A removal whose addresses and networks others of its batch may have already
 * @rotation:	NULL unless it is one
 * @record:	The record as it was when it was decided; NULL: a new one, or none
 * @room:	Where one record more is counted until it is made or not; NULL: none is
 * @body, @detail: Owned
 */
struct pending {
	struct store_change change;
	struct peer *peer;
	struct peer *wanted;
	uint64_t rest_until_ns;
	bool gives_up;
	struct rotation *rotation;
	struct record *record;
	struct records *room;
	char *body;
	char *detail;
	gateway_done done;
	void *context;
};

struct pending *pending_new(enum store_change_kind kind, const char *action,
			    const struct gateway_grant *grant, gateway_done done,
			    void *context);
/* What a grant says, into a change that was made without. Return: 0 or -ENOMEM */
int pending_set_grant(struct pending *p, const struct gateway_grant *grant);
void pending_free(struct pending *p); /* takes NULL */

/* One record more of the kind that it is about. Return: 0; ERR_LIMIT: there are as many as may be */
int pending_take_room(struct gateway *g, struct pending *p);
void pending_leave_room(struct pending *p); /* where it has taken one */

/** pending_submit() - On its way, or into the batch. Return: 0; else it is still the caller's */
int pending_submit(struct gateway *g, struct pending *p);

/* What became of it, per kind; then @done is called. @g's state is as the store's afterwards. */
void decide_ended(struct gateway *g, struct pending *p);
void rotation_ended(struct gateway *g, struct pending *p);
void records_ended(struct gateway *g, struct pending *p);

/** pending_end() - When it is settled and told: free it, unless its peer is still to get back what it had */
void pending_end(struct gateway *g, struct pending *p);
/* After changes came to their end: who was not removed after all gets back what it had given up. */
void decide_take_in_orphans(struct gateway *g);

/* A peer names its records (@by 1), or no longer (-1): those that are named cannot be dropped. And it
 * has its networks, or no longer. */
void decide_refer(struct gateway *g, const struct peer *peer, int by);

/* The same for an account, by its body. */
void decide_access_refer(struct gateway *g, const char *account_body, int by);

/* May that become an account's body? @account: as it is; NULL: a new one. Return: 0; -EBUSY; ERR_UNKNOWN (no
 * such list); -EOPNOTSUPP (a peer would have both a list and networks behind it). */
int decide_access_judge_account(const struct gateway *g, const struct record *account,
				const char *body);

/* Return: 0; -EOPNOTSUPP as above. A list knows a peer by its addresses alone. */
int decide_access_judge_peer(const struct gateway *g, const struct peer *peer);

/* Give an address back to its pool; ADDR_NONE is none. */
void gateway_give_back(struct gateway *g, const struct ip_addr *a, uint64_t until_ns);
