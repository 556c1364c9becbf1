/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking what others changed in the tree: a list of everybody, then, one after the other, those who are
 * new or of whom something may have changed, then those who are not in the list, then what earlier
 * attempts left. What was changed here since the list was asked for is left alone until the next one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gateway/users_internal.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { STEPS = 2000 }; /* that need nobody's answer, before others get their turn */
static void finish(struct users *u, uint64_t again_ns)
{
	users_list_done(&u->look.list);
	u->look.is_walking = false;
	u->look.user = NULL;
	u->look.due_ns = u->now_ns + again_ns;
}

void users_expect(struct users *u)
{
	if (u->look.due_ns != UINT64_MAX && u->look.due_ns > u->now_ns + u->soon_ns)
		u->look.due_ns = u->now_ns + u->soon_ns;
}

/* The next one, if nothing waits for an answer. */
static void step_done(struct users_op *op, int err)
{
	struct users *u = op->u;

	u->look.op = NULL;
	if (err != 0 && err != -ECANCELED && err != -EBUSY)
		log_warning("user %s of the tree: %s", op->user ? op->user->id : op->listed.id,
			    op->why.text[0] ? op->why.text : err_text(err));
	if (op->user)
		op->user->is_busy = false;
	users_op_free(op);
	u->look.due_ns = 0; /* the walk goes on in the next turn: nothing nests */
}

static struct users_op *begin(struct users *u, struct user *user)
{
	struct users_op *op = users_op_new(u, NULL, NULL);

	if (!op)
		return NULL;
	op->user = user;
	op->grant.now_ns = clock_wall_ns();
	snprintf(op->grant.who, sizeof(op->grant.who), "users:tree");
	u->look.op = op;
	return op;
}

/* May @op->user still be changed? It was free when the tree was asked. */
static bool is_overtaken(const struct users_op *op)
{
	const struct users *u = op->u;

	return op->user->is_busy || op->user->state != USER_MADE ||
	       op->user->touched > u->look.began;
}

/* A user that was asked for may be gone when the answer comes. */
static bool find_again(struct users_op *op)
{
	op->user = users_get(op->u, op->listed.id);
	return op->user && !is_overtaken(op);
}

/* --- New ones --- */

static void address_put(struct users_op *op)
{
	step_done(op, op->err);
}

static void put_address(struct users_op *op, struct params *tree)
{
	op->err = users_tree_put_address(tree, op->values.id, &op->values.address, &op->why);
}

static void adopted(void *context, int err, int carried, const struct peer *peer)
{
	struct users_op *op = context;
	const struct record *record;

	(void)carried;
	users_op_note(op, err);
	if (op->err != 0 || !peer) {
		user_table_remove(op->u->table, op->user);
		op->user = NULL;
		step_done(op, op->err ? op->err : -EIO);
		return;
	}
	record = records_find_name(gateway_records(op->u->g), STORE_USER, op->user->id);
	op->user->record_id = record ? record->id : 0;
	log_info("user %s is new in the tree", op->user->id);
	if (ip_addr_equal(&peer->v4, &op->values.address) || op->u->is_stopping) {
		step_done(op, 0);
		return;
	}
	if (op->values.address.family != ADDR_NONE)
		log_warning("user %s cannot have the address of the tree: it gets another",
			    op->user->id);
	op->values.address = peer->v4;
	users_work(op, true, put_address, address_put);
}

static int begin_to_adopt(struct users_op *op)
{
	struct gateway *g = op->u->g;
	int err;

	op->err = 0;
	gateway_batch_begin(g);
	err = users_put_record(op, op->user, "user.adopt", users_op_noted);
	if (err == 0)
		err = users_add_peer(op, &op->values.address, op->values.is_active, adopted);
	if (err != 0)
		(void)gateway_batch_end(g, false);
	else
		err = gateway_batch_end(g, true);
	return err;
}

static void adopt(struct users_op *op)
{
	const struct user_values *v = &op->values;
	struct user init = { .state = USER_MADE,
			     .is_active = v->is_active,
			     .is_busy = true,
			     .has_peer = true,
			     .has_digest = v->has_digest,
			     .stamp = op->listed.stamp };
	int err;

	memcpy(init.id, v->id, sizeof(init.id));
	memcpy(init.public_key, v->public_key, 32);
	memcpy(init.digest, v->digest, sizeof(init.digest));
	memcpy(init.created_at, v->created_at, sizeof(init.created_at));
	if (!init.created_at[0])
		users_tree_time(op->grant.now_ns, init.created_at);
	err = user_table_add(op->u->table, &init, &op->user);
	if (err == 0)
		err = begin_to_adopt(op);
	if (err == 0)
		return;
	if (op->user)
		user_table_remove(op->u->table, op->user);
	op->user = NULL;
	if (err == ERR_EXISTS)
		diag_set(
			&op->why, err, 0,
			"a peer of this gateway has that name or key already: it stays as it is");
	step_done(op, err);
}

static void read_one(struct users_op *op, struct params *tree)
{
	op->err = users_tree_read(tree, op->listed.id, &op->values, &op->why);
}

static void new_one_read(struct users_op *op)
{
	if (op->err == ERR_UNKNOWN) /* not whole yet, or gone again */
		step_done(op, 0);
	else if (op->err != 0)
		step_done(op, op->err);
	else if (users_get(op->u, op->listed.id) || users_is_forgotten(op->u, op->listed.id))
		step_done(op, 0);
	else
		adopt(op);
}

/* --- Changed ones --- */

static void applied(void *context, int err, int carried, const struct peer *peer)
{
	struct users_op *op = context;
	const struct user_values *v = &op->values;

	(void)carried, (void)peer;
	users_op_note(op, err);
	if (op->err == 0) {
		op->user->is_active = v->is_active;
		op->user->stamp = op->listed.stamp;
		memcpy(op->user->public_key, v->public_key, 32);
		if (v->created_at[0])
			memcpy(op->user->created_at, v->created_at, sizeof(v->created_at));
		user_table_set_digest(op->u->table, op->user, v->has_digest, v->digest);
	}
	step_done(op, op->err);
}

static struct user as_in_tree(const struct users_op *op)
{
	const struct user_values *v = &op->values;
	struct user as = *op->user;

	as.is_active = v->is_active;
	as.stamp = op->listed.stamp;
	as.has_digest = v->has_digest;
	memcpy(as.digest, v->digest, sizeof(as.digest));
	memcpy(as.public_key, v->public_key, 32);
	if (v->created_at[0])
		memcpy(as.created_at, v->created_at, sizeof(as.created_at));
	return as;
}

/* What becomes of the peer. A status counts when the tree has another one than it had. */
static void plan(const struct users_op *op, const struct peer *peer, struct gateway_edit *e)
{
	const struct user_values *v = &op->values;

	*e = (struct gateway_edit){ .action = "user.follow",
				    .status = v->is_active ? STORE_PEER_ACTIVE
							   : STORE_PEER_SUSPENDED,
				    .v4 = v->address,
				    .v6 = peer->v6 };
	if (v->is_active != op->user->is_active && peer->status != e->status)
		e->fields |= GATEWAY_STATUS;
	if (memcmp(v->public_key, op->user->public_key, 32) != 0) {
		e->fields |= GATEWAY_KEY;
		memcpy(e->public_key, v->public_key, 32);
	}
	if (v->address.family == ADDR_V4 && !ip_addr_equal(&v->address, &peer->v4))
		e->fields |= GATEWAY_ADDRESSES;
}

static int begin_to_apply(struct users_op *op, const struct gateway_edit *e, int64_t peer_id)
{
	struct gateway *g = op->u->g;
	struct user as = as_in_tree(op);
	int err = 0;

	op->err = 0;
	gateway_batch_begin(g);
	if (e->fields)
		err = gateway_change_peer(g, peer_id, e, &op->grant, users_op_noted, op);
	if (err == 0)
		err = users_put_record(op, &as, "", applied);
	if (err != 0)
		(void)gateway_batch_end(g, false);
	else
		err = gateway_batch_end(g, true);
	return err;
}

static void changed_one_read(struct users_op *op)
{
	const struct peer *peer;
	struct gateway_edit e;
	int err = op->err;

	if (err != 0 || !find_again(op)) {
		op->user = NULL;
		step_done(op, err == ERR_UNKNOWN ? 0 : err);
		return;
	}
	peer = users_own_peer(op->u, op->user);
	if (!peer) {
		op->user = NULL;
		step_done(op, 0); /* the end of the walk sees to it */
		return;
	}
	op->user->is_busy = true;
	plan(op, peer, &e);
	err = begin_to_apply(op, &e, peer->id);
	if (err == ERR_EXISTS || err == ERR_RANGE || err == ERR_EXPIRED) {
		/* The tree wants an address that nobody can have; all else is as it says. */
		diag_set(&op->why, err, 0,
			 "its address or key in the tree is taken: it is not "
			 "followed");
		log_warning("user %s: %s", op->user->id, op->why.text);
		e.fields &= GATEWAY_STATUS;
		memcpy(op->values.public_key, op->user->public_key, 32);
		err = begin_to_apply(op, &e, peer->id);
	}
	if (err != 0)
		step_done(op, err);
}

/* --- Those who were suspended or resumed here --- */

static void status_stored(void *context, int err, int carried, const struct peer *peer)
{
	struct users_op *op = context;

	(void)carried, (void)peer;
	if (err == 0)
		op->user->is_active = op->values.is_active;
	step_done(op, err);
}

static void status_put(struct users_op *op)
{
	struct user as;
	int err = op->err;

	if (err != 0 || !find_again(op)) {
		op->user = NULL;
		step_done(op, err);
		return;
	}
	op->user->is_busy = true;
	as = *op->user;
	as.is_active = op->values.is_active;
	err = users_put_record(op, &as, "", status_stored);
	if (err != 0)
		step_done(op, err);
}

static void put_status(struct users_op *op, struct params *tree)
{
	op->err = users_tree_put_status(tree, op->listed.id, op->values.is_active, &op->why);
}

/* --- Those who are not there --- */

static void gone(void *context, int err, const struct user *user,
		 const struct users_secrets *secrets)
{
	struct users *u = context;

	(void)user, (void)secrets;
	u->look.op = NULL;
	if (err != 0 && err != -ECANCELED)
		log_warning("a user that the tree has not cannot be removed yet: %s",
			    err_text(err));
	u->look.due_ns = 0;
}

static struct gateway_grant own_grant(const char *who)
{
	struct gateway_grant grant = { .now_ns = clock_wall_ns() };

	snprintf(grant.who, sizeof(grant.who), "%s", who);
	return grant;
}

static void absence_read(struct users_op *op)
{
	struct users *u = op->u;
	const struct gateway_grant grant = own_grant("users:tree");
	int err = op->err;

	if (err != 0 || !op->is_gone || !find_again(op)) {
		op->user = NULL;
		step_done(op, err);
		return;
	}
	log_info("user %s is gone from the tree", op->listed.id);
	op->user = NULL;
	err = users_remove(u, op->listed.id, &grant, gone, u);
	if (err != 0) {
		step_done(op, err);
		return;
	}
	if (u->look.op == op) /* the removal goes on instead */
		u->look.op = NULL;
	users_op_free(op);
}

/* Only who has no key there at all is gone. */
static void read_absence(struct users_op *op, struct params *tree)
{
	struct text value = { .data = NULL };
	char name[PARAMS_NAME_MAX + 1];

	snprintf(name, sizeof(name), "users/%s/wg-public-key", op->listed.id);
	op->err = params_get(tree, name, &value, &op->why);
	text_done(&value);
	op->is_gone = op->err == ERR_UNKNOWN;
	if (op->is_gone)
		op->err = 0;
}

/* --- The walk --- */

static bool ask(struct users *u, const char *id,
		void (*work)(struct users_op *op, struct params *tree),
		void (*after)(struct users_op *op), const struct users_listed *listed,
		bool is_active)
{
	struct users_op *op = begin(u, NULL);

	if (!op)
		return false;
	if (listed)
		op->listed = *listed;
	else
		snprintf(op->listed.id, sizeof(op->listed.id), "%s", id);
	op->values.is_active = is_active;
	users_work(op, true, work, after);
	return true;
}

static bool differs_here(const struct users *u, const struct user *user)
{
	return users_own_peer(u, user) && user->is_active != users_is_active(u, user);
}

/* Return: true when an answer is waited for. */
static bool look_at_listed(struct users *u, const struct users_listed *one)
{
	struct user *user = users_get(u, one->id);

	if (!one->is_whole)
		return false;
	if (!user)
		return !users_is_forgotten(u, one->id) &&
		       ask(u, one->id, read_one, new_one_read, one, false);
	if (user->state != USER_MADE || user->is_busy || user->touched > u->look.began)
		return false;
	if (one->stamp == 0 || one->stamp != user->stamp)
		return ask(u, one->id, read_one, changed_one_read, one, false);
	return differs_here(u, user) &&
	       ask(u, one->id, put_status, status_put, one, users_is_active(u, user));
}

/* What an earlier attempt, or a crash, left; or a user whose peer was removed elsewhere. */
static bool mend(struct users *u, struct user *user)
{
	struct users_op *op;

	if (user->state == USER_MADE) {
		const struct gateway_grant grant = own_grant("gateway");

		u->look.op = NULL;
		return users_remove(u, user->id, &grant, gone, u) == 0;
	}
	op = users_op_new(u, gone, u);
	if (!op)
		return false;
	op->user = user;
	op->grant = own_grant("gateway");
	if (user->has_peer)
		op->fault = -ECANCELED; /* nobody was told of it */
	users_take_back(op);
	return true;
}

static bool look_at_known(struct users *u, struct user *user)
{
	if (user->is_busy)
		return false;
	if (user->state != USER_MADE || !users_own_peer(u, user))
		return mend(u, user);
	if (user->touched > u->look.began || !u->master.is_there ||
	    users_list_find(&u->look.list, user->id))
		return false;
	return ask(u, user->id, read_absence, absence_read, NULL, false);
}

static uint64_t pause_after(const struct users *u)
{
	uint64_t cost_ns = u->look.list_cost_ns * USERS_LOOK_TIMES;

	return cost_ns > u->look_ns ? cost_ns : u->look_ns;
}

static bool step(struct users *u)
{
	struct users_look *l = &u->look;
	struct user *user;

	if (l->is_in_list && l->at < l->list.n)
		return look_at_listed(u, &l->list.all[l->at++]);
	if (l->is_in_list) {
		l->is_in_list = false;
		l->user = user_table_first(u->table);
	}
	user = l->user;
	if (!user) {
		finish(u, pause_after(u));
		return false;
	}
	l->user = user->next;
	return look_at_known(u, user);
}

static void go_on(struct users *u)
{
	for (int i = 0; u->look.is_walking && i < STEPS; i++) {
		if (step(u))
			return;
	}
	if (u->look.is_walking)
		u->look.due_ns = 0; /* in the next turn */
}

/* --- The list --- */

static void read_list(struct users_op *op, struct params *tree)
{
	op->err = users_tree_check_server(tree, op->u->public_key, &op->why);
	if (op->err == 0)
		op->err = users_tree_master(tree, false, &op->master, &op->why);
	if (op->err == 0)
		op->err = users_tree_list(tree, &op->list, &op->why);
}

static void complain(struct users *u, const struct users_op *op)
{
	if (!u->look.complained)
		log_warning("the users' tree cannot be read: %s",
			    op->why.text[0] ? op->why.text : err_text(op->err));
	u->look.complained = true;
}

/* What was being made or removed goes on all the same. */
static void list_read(struct users_op *op)
{
	struct users *u = op->u;

	u->look.op = NULL;
	if (op->err != 0) {
		complain(u, op);
		finish(u, (uint64_t)USERS_RETRY_S * 1000000000);
		users_op_free(op);
		return;
	}
	if (u->look.complained)
		log_info("the users' tree can be read again");
	u->look.complained = false;
	u->look.list_cost_ns = clock_boot_ns() - u->look.list_began_ns;
	if (u->master.is_there && !op->master.is_there)
		log_warning("the users' tree has no master-api-key any more");
	u->master = op->master;
	u->look.list = op->list;
	op->list = (struct users_list){ .all = NULL };
	users_op_free(op);
	u->look.at = 0;
	u->look.is_in_list = u->look.is_walking = true;
	go_on(u);
}

static void begin_to_look(struct users *u)
{
	struct users_op *op = begin(u, NULL);

	if (!op) {
		finish(u, u->look_ns);
		return;
	}
	u->look.began = u->serial;
	u->look.list_began_ns = clock_boot_ns();
	users_work(op, true, read_list, list_read);
}

static bool looks(const struct users *u)
{
	return u->look.op || u->lanes[USERS_LANES - 1].op;
}

/* While a removal goes on for the walk, is_walking stays and nothing is due. */
int users_look_tick(struct users *u, uint64_t now_ns)
{
	uint64_t left_ms;

	if (!looks(u) && now_ns >= u->look.due_ns) {
		u->look.due_ns = UINT64_MAX;
		if (u->look.is_walking)
			go_on(u);
		else
			begin_to_look(u);
	}
	if (u->look.due_ns == UINT64_MAX)
		return 1000;
	if (now_ns >= u->look.due_ns)
		return looks(u) ? 1000 : 0;
	left_ms = (u->look.due_ns - now_ns) / 1000000 + 1;
	return left_ms < 1000 ? (int)left_ms : 1000;
}

/* A peer that was removed or changed elsewhere: the tree follows at the next look. */
void users_note(void *context, const struct store_change *c, const struct peer *peer)
{
	struct users *u = context;

	(void)peer;
	u->notes++;
	if ((c->kind == STORE_REMOVE_PEER || c->kind == STORE_CHANGE_PEER) &&
	    users_get(u, c->peer.name))
		users_expect(u);
}
