/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/users.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/epoll.h>
#include <unistd.h>

#include "gateway/users_internal.h"
#include "sys/log.h"

static const uint64_t SECOND_NS = 1000000000;

/* --- Something under way --- */

struct users_op *users_op_new(struct users *u, users_done done, void *context)
{
	struct users_op *op = calloc(1, sizeof(*op));

	if (!op)
		return NULL;
	op->u = u;
	op->done = done;
	op->context = context;
	return op;
}

void users_op_free(struct users_op *op)
{
	if (!op)
		return;
	users_list_done(&op->list);
	secret_wipe(op, sizeof(*op));
	free(op);
}

void users_op_end(struct users_op *op, int err)
{
	struct user *user = op->user;

	if (user)
		user->is_busy = false;
	if (op->done)
		op->done(op->context, err, err ? NULL : user, err ? NULL : &op->secrets);
	users_op_free(op);
}

/* --- Threads --- */

static void run(struct background_job *job)
{
	struct users_op *op = (struct users_op *)job;

	op->work(op, op->lane->tree);
}

static void give(struct users_lane *lane, struct users_op *op);

static struct users_op *next_waiting(struct users *u)
{
	struct users_op *op = u->waiting;

	if (op) {
		u->waiting = op->next;
		op->next = NULL;
		u->n_waiting--;
	}
	return op;
}

static bool only_looks(const struct users_lane *lane)
{
	return lane == &lane->u->lanes[USERS_LANES - 1];
}

static void finished(struct background_job *job)
{
	struct users_op *op = (struct users_op *)job, *next = NULL;
	struct users_lane *lane = op->lane;

	lane->op = NULL;
	if (!only_looks(lane))
		next = next_waiting(lane->u);
	if (next)
		give(lane, next);
	op->after(op);
}

static void give(struct users_lane *lane, struct users_op *op)
{
	int err;

	lane->op = op;
	op->lane = lane;
	op->job.run = run;
	op->job.done = finished;
	err = background_submit(lane->thread, &op->job);
	assert(err == 0); /* one at a time */
	(void)err;
}

static void wait_for_lane(struct users *u, struct users_op *op)
{
	struct users_op **at = &u->waiting;

	while (*at)
		at = &(*at)->next;
	*at = op;
	u->n_waiting++;
}

void users_work(struct users_op *op, bool is_look,
		void (*work)(struct users_op *op, struct params *tree),
		void (*after)(struct users_op *op))
{
	struct users *u = op->u;

	op->work = work;
	op->after = after;
	op->err = 0;
	op->why.text[0] = '\0';
	op->next = NULL;
	if (u->is_stopping) {
		users_op_end(op, -ECANCELED);
		return;
	}
	if (is_look) {
		assert(!u->lanes[USERS_LANES - 1].op);
		give(&u->lanes[USERS_LANES - 1], op);
		return;
	}
	for (int i = 0; i < USERS_LANES - 1; i++) {
		if (!u->lanes[i].op) {
			give(&u->lanes[i], op);
			return;
		}
	}
	wait_for_lane(u, op);
}

static void waited(void *context, int err, int carried, const struct peer *peer)
{
	struct users_op *op = context;

	(void)err, (void)carried, (void)peer;
	op->next_step(op);
}

int users_later(struct users_op *op, void (*step)(struct users_op *op))
{
	op->next_step = step;
	return gateway_wait(op->u->g, waited, op);
}

/* --- Opening and closing --- */

/* Is a record of something that came to no end, or whose peer is gone: users_look.c sees to it. */
static int load(struct users *u, struct diag *d)
{
	const struct records *records = gateway_records(u->g);
	const struct record *r = records_after(records, STORE_USER, 0);
	int err = 0;

	for (; r && err == 0; r = records_after(records, STORE_USER, r->id)) {
		struct user init = { .record_id = r->id }, *user;

		memcpy(init.id, r->name, sizeof(init.id));
		err = user_record_read(r->body, &init);
		init.has_peer = init.state != USER_REMOVING;
		if (err == 0)
			err = user_table_add(u->table, &init, &user);
	}
	return err == 0 ? 0
			: diag_set(d, err, 0, "the users that are stored cannot be loaded: %s",
				   err_text(err));
}

static int open_lane(struct users_lane *lane, const char *store, int epoll, struct diag *d)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = lane };
	int err = params_open(store, &lane->tree, d);

	if (err == 0)
		err = background_new(&lane->thread);
	if (err == 0 &&
	    epoll_ctl(epoll, EPOLL_CTL_ADD, background_fd(lane->thread), &event) < 0)
		err = -errno;
	return err;
}

static int open_lanes(struct users *u, const char *store, struct diag *d)
{
	int err = 0;

	u->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (u->epoll < 0)
		return -errno;
	for (int i = 0; i < USERS_LANES && err == 0; i++) {
		u->lanes[i].u = u;
		err = open_lane(&u->lanes[i], store, u->epoll, d);
	}
	return err;
}

static void set_periods(struct users *u, bool is_near)
{
	u->look_ns = SECOND_NS *
		     (is_near ? (uint64_t)USERS_LOOK_NEAR_S : (uint64_t)USERS_LOOK_FAR_S);
	u->soon_ns = SECOND_NS / 2 * (is_near ? 1 : 10);
	u->forget_ns = SECOND_NS *
		       (is_near ? (uint64_t)USERS_FORGET_NEAR_S : (uint64_t)USERS_FORGET_FAR_S);
}

int users_new(const struct users_config *config, struct gateway *g,
	      const struct users_master *master, struct users **ret, struct diag *d)
{
	struct users *u = calloc(1, sizeof(*u));
	int err;

	if (!u)
		return -ENOMEM;
	u->epoll = -1;
	u->g = g;
	u->master = *master;
	memcpy(u->public_key, gateway_config(g)->public_key, sizeof(u->public_key));
	set_periods(u, strncmp(config->store, "dir:", 4) == 0);
	u->forgets_private_keys = config->forgets_private_keys;
	u->lists_all = config->lists_all;
	err = suite_new(SUITE_OPENSSL, &u->suite);
	if (err == 0)
		err = user_table_new(&u->table);
	if (err == 0)
		err = load(u, d);
	if (err == 0)
		err = open_lanes(u, config->store, d);
	if (err != 0) {
		users_free(u);
		return err;
	}
	*ret = u;
	return 0;
}

/* The store is not asked any more, so what is under way is left as a crash would leave it. */
void users_stop(struct users *u)
{
	struct users_op *op;

	if (!u)
		return;
	u->is_stopping = true;
	while ((op = next_waiting(u)) != NULL)
		users_op_end(op, -ECANCELED);
	for (int i = 0; i < USERS_LANES; i++) {
		op = u->lanes[i].op;
		if (op && op->done)
			op->done(op->context, -ECANCELED, NULL, NULL);
		if (op)
			op->done = NULL;
	}
}

struct users *users_free(struct users *u)
{
	if (!u)
		return NULL;
	for (int i = 0; i < USERS_LANES; i++) {
		background_free(u->lanes[i].thread);
		params_free(u->lanes[i].tree);
		users_op_free(u->lanes[i].op);
	}
	users_list_done(&u->look.list);
	user_table_free(u->table);
	suite_free(u->suite);
	if (u->epoll >= 0)
		close(u->epoll);
	secret_wipe(u, sizeof(*u));
	free(u);
	return NULL;
}

int users_fd(const struct users *u)
{
	return u ? u->epoll : -1;
}

void users_collect(struct users *u)
{
	for (int i = 0; i < USERS_LANES && !u->is_stopping; i++)
		background_collect(u->lanes[i].thread);
}

int users_tick(struct users *u, uint64_t now_ns)
{
	if (!u || u->is_stopping)
		return 1000;
	u->now_ns = now_ns;
	return users_look_tick(u, now_ns);
}

/* --- Asking --- */

struct user *users_get(const struct users *u, const char *id)
{
	return user_table_find(u->table, id);
}

const struct user *users_find(const struct users *u, const char *id)
{
	const struct user *user = users_get(u, id);

	return user && user->state == USER_MADE && users_own_peer(u, user) ? user : NULL;
}

/* Somebody may have given the peer another key, or another name. */
struct peer *users_own_peer(const struct users *u, const struct user *user)
{
	struct peer *peer = peers_find_key(gateway_peers(u->g), user->public_key);

	return peer ? peer : peers_find_name(gateway_peers(u->g), user->id);
}

const struct peer *users_peer(const struct users *u, const struct user *user)
{
	return users_own_peer(u, user);
}

bool users_is_active(const struct users *u, const struct user *user)
{
	const struct peer *peer = users_peer(u, user);

	return peer && peer->status == STORE_PEER_ACTIVE;
}

const struct user *users_find_key(const struct users *u, const char *key)
{
	uint8_t digest[USERS_DIGEST_LEN];
	const struct user *user;

	users_tree_digest(key, strlen(key), digest);
	user = user_table_find_digest(u->table, digest);
	return user && user->state == USER_MADE && users_is_active(u, user) ? user : NULL;
}

bool users_is_master(const struct users *u, const char *key)
{
	uint8_t digest[USERS_DIGEST_LEN];
	bool is_equal;

	users_tree_digest(key, strlen(key), digest);
	is_equal = secret_equal(digest, u->master.digest, sizeof(digest));
	return is_equal && u->master.is_there;
}

bool users_master_digest(const struct users *u, uint8_t ret[USERS_DIGEST_LEN])
{
	memcpy(ret, u->master.digest, USERS_DIGEST_LEN);
	return u->master.is_there;
}

uint64_t users_changes(const struct users *u)
{
	return u->serial + u->notes;
}

enum users_master_state users_master_state(const struct users *u)
{
	if (!u->master.is_known)
		return USERS_MASTER_IS_UNKNOWN;
	return u->master.is_there ? USERS_MASTER_IS_THERE : USERS_MASTER_IS_MISSING;
}

bool users_lists_all(const struct users *u)
{
	return u->lists_all;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int users_ids(const struct users *u, const char ***ret, size_t *ret_n)
{
	const char **ids = malloc((user_table_count(u->table) + 1) * sizeof(*ids));
	size_t n = 0;

	if (!ids)
		return -ENOMEM;
	for (const struct user *one = user_table_first(u->table); one; one = one->next) {
		if (one->state == USER_MADE && users_peer(u, one))
			ids[n++] = one->id;
	}
	if (n > 0)
		qsort(ids, n, sizeof(*ids), by_text);
	*ret = ids;
	*ret_n = n;
	return 0;
}

/* --- What was changed when --- */

void users_touch(struct users *u, struct user *user)
{
	user->touched = ++u->serial;
}

void users_drop(struct users *u, struct user *user)
{
	struct users_forgotten *f = &u->forgotten[u->forgotten_at];

	u->forgotten_at = (u->forgotten_at + 1) % USERS_FORGOTTEN_MAX;
	memcpy(f->id, user->id, sizeof(f->id));
	f->until_ns = u->now_ns + u->forget_ns;
	if (u->look.user == user)
		u->look.user = user->next;
	u->serial++;
	user_table_remove(u->table, user);
}

/* When everything that is remembered is recent, there may be more: then nobody is new. */
bool users_is_forgotten(const struct users *u, const char *id)
{
	size_t n = 0;

	for (size_t i = 0; i < USERS_FORGOTTEN_MAX; i++) {
		if (u->forgotten[i].until_ns <= u->now_ns)
			continue;
		n++;
		if (strcmp(u->forgotten[i].id, id) == 0)
			return true;
	}
	return n == USERS_FORGOTTEN_MAX;
}
