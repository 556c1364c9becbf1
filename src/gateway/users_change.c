/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making and removing one user. Each step begins something and names the next:
 *
 *	make      store: record MAKING and the peer → tree: write → store: record MADE → answer
 *	remove    store: record REMOVING, no peer → tree: remove → store: no record → answer
 *	take back as remove; at once store: no peer, no record where the tree has nothing
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "gateway/users_internal.h"
#include "sys/log.h"
#include "sys/random.h"

static_assert((int)USERS_MAX <= (int)RECORDS_USERS_MAX, "each has a record");

/* --- Steps that all have in common --- */

void users_op_note(struct users_op *op, int err)
{
	if (op->err == 0 || op->err == -ECANCELED)
		op->err = err;
}

void users_op_noted(void *context, int err, int carried, const struct peer *peer)
{
	(void)carried, (void)peer;
	users_op_note(context, err);
}

int users_put_record(struct users_op *op, const struct user *as, const char *action,
		     gateway_done done)
{
	struct text body = { .data = NULL };
	int err;

	user_record_write(as, &body);
	err = body.err ? body.err
		       : gateway_put_record(op->u->g, STORE_USER, as->record_id, as->id,
					    body.data, action, &op->grant, done, op);
	text_done(&body);
	return err;
}

/* --- Addresses --- */

/* The network's address and what the rule says; ADDR_NONE: none. */
static struct ip_addr by_rule(const struct users *u, const char *id)
{
	struct ip_addr a = gateway_config(u->g)->subnet4.ip;
	unsigned int octet = user_octet(id), sum = octet;

	if (octet == 255)
		return (struct ip_addr){ .family = ADDR_NONE };
	for (int i = 3; i >= 0; i--) {
		sum += a.b[i];
		a.b[i] = (uint8_t)sum;
		sum >>= 8;
	}
	return a;
}

static int add_at(struct users_op *op, const struct ip_addr *address, bool is_active,
		  gateway_done done)
{
	struct gateway_add add = {
		.name = op->user->id,
		.dns = "d1",
		.obfuscation = "",
		.v4 = *address,
		.wants_v4 = true,
		.families = STORE_IPV4,
		.level = FRAME_OFF, /* the file knows nothing else */
		.port = gateway_config(op->u->g)->port,
		.status = is_active ? STORE_PEER_ACTIVE : STORE_PEER_SUSPENDED,
		.limits.keepalive_s = GATEWAY_KEEPALIVE_S,
	};

	memcpy(add.public_key, op->user->public_key, 32);
	return gateway_add_peer(op->u->g, &add, &op->grant, done, op);
}

static int check_free(const struct users_op *op)
{
	const struct peers *peers = gateway_peers(op->u->g);
	const struct peer *same_key = peers_find_key(peers, op->user->public_key);
	const struct peer *same_name = peers_find_name(peers, op->user->id);

	if ((same_key && same_key->is_busy) || (same_name && same_name->is_busy))
		return -EBUSY;
	return same_key || same_name ? ERR_EXISTS : 0;
}

int users_add_peer(struct users_op *op, const struct ip_addr *wanted, bool is_active,
		   gateway_done done)
{
	const struct ip_addr choices[] = { *wanted,
					   by_rule(op->u, op->user->id),
					   { .family = ADDR_NONE } };
	int err = check_free(op);

	if (err != 0)
		return err;
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
		bool is_last = i + 1 == sizeof(choices) / sizeof(choices[0]);

		if (!is_last && choices[i].family != ADDR_V4)
			continue;
		err = add_at(op, &choices[i], is_active, done);
		if (err != ERR_EXISTS && err != ERR_RANGE && err != ERR_EXPIRED)
			break;
	}
	return err;
}

/* --- Taking back --- */

/* What cannot be ended now is tried again by users_look.c. */
static void give_up(struct users_op *op, int err)
{
	op->user->state = USER_REMOVING;
	users_touch(op->u, op->user);
	users_op_end(op, op->fault ? op->fault : err);
}

static void dropped(void *context, int err, int carried, const struct peer *peer)
{
	struct users_op *op = context;

	(void)carried, (void)peer;
	users_op_note(op, err);
	if (op->err != 0) {
		give_up(op, op->err);
		return;
	}
	users_drop(op->u, op->user);
	op->user = NULL;
	users_op_end(op, op->fault);
}

static int begin_to_drop(struct users_op *op)
{
	struct gateway *g = op->u->g;
	const struct peer *peer =
		op->user->has_peer ? peers_find_key(gateway_peers(g), op->user->public_key)
				   : NULL;
	int err = 0;

	op->err = 0;
	op->grant.frees_at_once = op->fault != 0; /* nobody ever had it */
	gateway_batch_begin(g);
	if (peer)
		err = gateway_remove_peer(g, peer->id, &op->grant, users_op_noted, op);
	if (err == 0)
		err = gateway_drop_record(g, STORE_USER, op->user->record_id, "", &op->grant,
					  dropped, op);
	if (err != 0)
		(void)gateway_batch_end(g, false);
	else
		err = gateway_batch_end(g, true);
	return err;
}

static void drop_it(struct users_op *op)
{
	int err = op->u->is_stopping ? -ECANCELED : begin_to_drop(op);

	if (err == -EBUSY)
		err = users_later(op, drop_it);
	if (err != 0)
		give_up(op, err);
}

/* What the caller hears of it. The rest is in the log. */
static int fault_of_tree(int err)
{
	return err == ERR_EXISTS || err == -ENOSPC || err == -ENOMEM || err == 0 ? err
										 : -EREMOTEIO;
}

static void tree_cleaned(struct users_op *op)
{
	if (op->err == 0) {
		drop_it(op);
		return;
	}
	log_warning("user %s cannot be taken out of the tree yet: %s", op->user->id,
		    op->why.text[0] ? op->why.text : err_text(op->err));
	give_up(op, fault_of_tree(op->err));
}

static void clean_tree(struct users_op *op, struct params *tree)
{
	op->err = users_tree_remove(tree, op->user->id, op->user->public_key, &op->why);
}

/* A user that was made stays one; what was being made is taken back another time. */
static void not_begun(struct users_op *op, int err)
{
	if (op->user->state == USER_MADE)
		users_op_end(op, err);
	else
		give_up(op, err);
}

static void removing(void *context, int err, int carried, const struct peer *peer)
{
	struct users_op *op = context;

	(void)carried, (void)peer;
	users_op_note(op, err);
	if (op->err != 0) {
		not_begun(op, op->err);
		return;
	}
	user_table_set_digest(op->u->table, op->user, false, op->user->digest);
	users_touch(op->u, op->user);
	op->user->state = USER_REMOVING;
	op->user->has_peer = false;
	users_work(op, false, clean_tree, tree_cleaned);
}

static int begin_to_remove(struct users_op *op)
{
	struct gateway *g = op->u->g;
	const struct peer *peer = users_own_peer(op->u, op->user);
	struct user as = *op->user;
	int err;

	as.state = USER_REMOVING;
	op->err = 0;
	op->grant.frees_at_once = op->fault != 0; /* nobody ever had it */
	gateway_batch_begin(g);
	err = peer ? gateway_remove_peer(g, peer->id, &op->grant, users_op_noted, op) : 0;
	if (err == 0)
		err = users_put_record(op, &as, op->fault ? "" : "user.delete", removing);
	if (err != 0)
		(void)gateway_batch_end(g, false);
	else
		err = gateway_batch_end(g, true);
	return err;
}

static void remove_step(struct users_op *op)
{
	int err = op->u->is_stopping ? -ECANCELED : begin_to_remove(op);

	if (err == -EBUSY)
		err = users_later(op, remove_step);
	if (err != 0)
		not_begun(op, err);
}

void users_take_back(struct users_op *op)
{
	op->user->is_busy = true;
	if (op->is_clean)
		drop_it(op);
	else if (op->user->has_peer)
		remove_step(op);
	else
		users_work(op, false, clean_tree, tree_cleaned);
}

/* --- Making --- */

static void fail(struct users_op *op, int err)
{
	op->fault = err;
	if (op->u->is_stopping)
		users_op_end(op, err);
	else
		users_take_back(op);
}

static void made(void *context, int err, int carried, const struct peer *peer)
{
	struct users_op *op = context;

	(void)carried, (void)peer;
	users_op_note(op, err);
	if (op->err != 0) {
		op->is_clean = false;
		fail(op, op->err);
		return;
	}
	op->user->state = USER_MADE;
	user_table_set_digest(op->u->table, op->user, true, op->values.digest);
	users_touch(op->u, op->user);
	users_op_end(op, 0);
}

/* A token is used up by the transaction that makes its user: two who have it are never both one, and
 * none is lost to a failure in between. */
static int begin_to_say_made(struct users_op *op, const struct user *as)
{
	struct gateway *g = op->u->g;
	int err;

	op->err = 0;
	if (op->enrolment_id == 0)
		return users_put_record(op, as, "user.create", made);
	gateway_batch_begin(g);
	err = users_put_record(op, as, "user.create", users_op_noted);
	if (err == 0)
		err = gateway_drop_record(g, STORE_ENROLMENT, op->enrolment_id, "enrolment.use",
					  &op->grant, made, op);
	if (err != 0)
		(void)gateway_batch_end(g, false);
	else
		err = gateway_batch_end(g, true);
	return err;
}

static void say_made(struct users_op *op)
{
	struct user as = *op->user;
	int err;

	as.state = USER_MADE;
	as.has_digest = true;
	memcpy(as.digest, op->values.digest, sizeof(as.digest));
	err = op->u->is_stopping ? -ECANCELED : begin_to_say_made(op, &as);
	if (err == -EBUSY)
		err = users_later(op, say_made);
	if (err != 0)
		made(op, err, 0, NULL);
}

static void tree_written(struct users_op *op)
{
	if (op->err == 0) {
		say_made(op);
		return;
	}
	log_warning("user %s cannot be written into the tree: %s", op->user->id,
		    op->why.text[0] ? op->why.text : err_text(op->err));
	fail(op, fault_of_tree(op->err));
}

static void write_tree(struct users_op *op, struct params *tree)
{
	op->err = users_tree_write(tree, &op->values, &op->is_clean, &op->why);
}

/* The record's change came before it, in the same batch. */
static void making(void *context, int err, int carried, const struct peer *peer)
{
	struct users_op *op = context;
	const struct record *record;

	(void)carried;
	users_op_note(op, err);
	if (op->err != 0 || !peer) {
		err = op->err ? op->err : -EIO;
		user_table_remove(op->u->table, op->user);
		op->user = NULL;
		users_op_end(op, err);
		return;
	}
	record = records_find_name(gateway_records(op->u->g), STORE_USER, op->user->id);
	op->user->record_id = record ? record->id : 0;
	op->values.address = peer->v4;
	users_work(op, false, write_tree, tree_written);
}

static int begin_to_make(struct users_op *op)
{
	const struct ip_addr none = { .family = ADDR_NONE };
	struct gateway *g = op->u->g;
	int err;

	gateway_batch_begin(g);
	err = users_put_record(op, op->user, "", users_op_noted);
	if (err == 0)
		err = users_add_peer(op, &none, true, making);
	if (err != 0)
		(void)gateway_batch_end(g, false);
	else
		err = gateway_batch_end(g, true);
	return err;
}

static void draw_key_pair(struct users_op *op)
{
	struct user_values *v = &op->values;

	random_fill(v->private_key.b, sizeof(v->private_key.b));
	dh_clamp(&v->private_key);
	dh_public(op->u->suite, v->public_key, &v->private_key);
	dh_forget(op->u->suite, &v->private_key);
	v->has_private_key = !op->u->forgets_private_keys;
	op->secrets.private_key = v->private_key;
	op->secrets.has_private_key = true;
}

/* @public_key: NULL: one is made here. */
static void draw(struct users_op *op, const char *id, const uint8_t public_key[32])
{
	struct user_values *v = &op->values;
	uint8_t secret[USERS_SECRET_LEN];

	snprintf(v->id, sizeof(v->id), "%s", id);
	if (public_key)
		memcpy(v->public_key, public_key, sizeof(v->public_key));
	else
		draw_key_pair(op);
	random_fill(secret, sizeof(secret));
	hex_encode(secret, sizeof(secret), op->secrets.api_key);
	secret_wipe(secret, sizeof(secret));
	users_tree_digest(op->secrets.api_key, USERS_KEY_TEXT_LEN, v->digest);
	v->has_digest = true;
	v->is_active = true;
	users_tree_time(op->grant.now_ns, v->created_at);
}

static int enter(struct users_op *op)
{
	struct user init = {
		.state = USER_MAKING, .is_active = true, .is_busy = true, .has_peer = true
	};

	memcpy(init.id, op->values.id, sizeof(init.id));
	memcpy(init.public_key, op->values.public_key, 32);
	memcpy(init.created_at, op->values.created_at, sizeof(init.created_at));
	return user_table_add(op->u->table, &init, &op->user);
}

/* @kept: places in the queue that are for others. */
static int may_begin(const struct users *u, size_t kept)
{
	if (u->is_stopping)
		return -ECANCELED;
	return u->n_waiting >= USERS_WAITING_MAX - kept ? ERR_LIMIT : 0;
}

/* @public_key, @enrolment_id: as users_enroll(), or NULL and 0. */
static int begin(struct users *u, const char *id, const uint8_t public_key[32],
		 int64_t enrolment_id, const struct gateway_grant *grant, users_done done,
		 void *context)
{
	const struct user *there = users_get(u, id);
	struct users_op *op;
	int err = may_begin(u, 0);

	if (there)
		return there->state == USER_MADE ? ERR_EXISTS : -EAGAIN;
	op = err ? NULL : users_op_new(u, done, context);
	if (!op)
		return err ? err : -ENOMEM;
	op->grant = *grant;
	op->enrolment_id = enrolment_id;
	draw(op, id, public_key);
	err = enter(op);
	if (err == 0)
		err = begin_to_make(op);
	if (err == 0)
		return 0;
	if (op->user)
		user_table_remove(u->table, op->user);
	users_op_free(op);
	return err;
}

int users_create(struct users *u, const char *id, const struct gateway_grant *grant,
		 users_done done, void *context)
{
	return begin(u, id, NULL, 0, grant, done, context);
}

int users_enroll(struct users *u, const char *id, const uint8_t public_key[32],
		 int64_t enrolment_id, const struct gateway_grant *grant, users_done done,
		 void *context)
{
	return begin(u, id, public_key, enrolment_id, grant, done, context);
}

/* --- Removing --- */

int users_remove(struct users *u, const char *id, const struct gateway_grant *grant,
		 users_done done, void *context)
{
	struct user *user = users_get(u, id);
	struct users_op *op;
	int err = may_begin(u, 0);

	if (!user || user->state == USER_MAKING)
		return user ? -EAGAIN : ERR_UNKNOWN;
	if (user->is_busy)
		return user->state == USER_REMOVING ? ERR_UNKNOWN : -EBUSY;
	op = err ? NULL : users_op_new(u, done, context);
	if (!op)
		return err ? err : -ENOMEM;
	op->grant = *grant;
	op->user = user;
	user->is_busy = true;
	users_take_back(op);
	return 0;
}

/* --- Revealing --- */

static void read_private_key(struct users_op *op, struct params *tree)
{
	op->err =
		users_tree_private_key(tree, op->values.id, &op->secrets.private_key, &op->why);
}

/* The user may be gone by now, or have another key. */
static void revealed(struct users_op *op)
{
	const struct user *user = users_find(op->u, op->values.id);
	const struct peer *peer = user ? users_peer(op->u, user) : NULL;
	uint8_t public_key[32];
	int err = op->err == ERR_UNKNOWN || op->err == ERR_FORMAT ? 0 : fault_of_tree(op->err);

	if (err == 0 && !user)
		err = ERR_UNKNOWN;
	if (op->err == 0 && user) {
		dh_public(op->u->suite, public_key, &op->secrets.private_key);
		dh_forget(op->u->suite, &op->secrets.private_key);
		op->secrets.has_private_key = memcmp(public_key, peer->public_key, 32) == 0;
	}
	if (op->done)
		op->done(op->context, err, err ? NULL : user, err ? NULL : &op->secrets);
	users_op_free(op);
}

int users_reveal(struct users *u, const char *id, users_done done, void *context)
{
	struct users_op *op;
	int err = may_begin(u, USERS_KEPT_FOR_CHANGES);

	if (!users_find(u, id))
		return ERR_UNKNOWN;
	op = err ? NULL : users_op_new(u, done, context);
	if (!op)
		return err ? err : -ENOMEM;
	snprintf(op->values.id, sizeof(op->values.id), "%s", id);
	users_work(op, false, read_private_key, revealed);
	return 0;
}

static bool reveals(const struct users_op *op, const char *id)
{
	return op && op->work == read_private_key && strcmp(op->values.id, id) == 0;
}

bool users_is_revealing(const struct users *u, const char *id)
{
	const struct users_op *op = u->waiting;

	for (int i = 0; i < USERS_LANES; i++) {
		if (reveals(u->lanes[i].op, id))
			return true;
	}
	while (op && !reveals(op, id))
		op = op->next;
	return op != NULL;
}
