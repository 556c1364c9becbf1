/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. A heap has the moments at which something about a peer may change: the end of
 * its time, an edge of its hours, the end of its quota's period. What is popped is judged afresh, so
 * entries that are no longer true do no harm. Looks at the interface come as sorted lists; what is new
 * in one is found by walking it beside the one before, a part at a time: with 100 000 peers a whole one
 * would hold up requests for 50 ms.
 */
#include "gateway/lives.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "gateway/hours.h"
#include "gateway/leak.h"
#include "gateway/sessions.h"
#include "sys/clock.h"
#include "sys/log.h"

enum {
	FIRST_BUCKETS = 1024,
	/* Done in one go, so that requests do not wait. */
	DUE_PER_TICK = 500,
	DUE_SLACK = 1024,
	COMPARED_PER_TICK = 4000,
	TICK_MS = 1000,
	AGAIN_S = 5, /* until a change that was decided is looked at once more */
};

static const uint64_t SECOND_NS = 1000000000;

/* struct entry - What one peer has used, as usage_write() writes it, and where it has been. Most have no
 * @steps, which are the longer part */
struct entry {
	int64_t peer_id;
	uint8_t head[USAGE_BLOB_MIN];
	uint8_t *steps;
	bool is_dirty;
	struct leak *leak; /* NULL: it never moved */
	struct entry *next;
	struct entry *dirty_next;
};

struct due {
	uint64_t wall_ns;
	int64_t peer_id;
};

struct lives {
	struct gateway *gateway;
	struct observer *observer;
	bool (*is_enabled)(const struct record *account);
	lives_listener listener;
	void *listener_context;
	struct entry **buckets;
	size_t n_buckets;
	size_t n;
	struct entry *dirty_first;
	struct entry *dirty_last;
	struct due *heap;
	size_t n_due;
	size_t due_capacity;
	bool is_incomplete; /* something could not be put there */
	struct session *known;
	size_t n_known;
	struct session *fresh; /* of the newest look; compared with @known a part at a time */
	size_t n_fresh;
	size_t at_fresh;
	size_t at_known;
	bool has_looked; /* the first look tells nothing of who came */
	bool is_looking;
	bool is_storing;
	uint64_t next_look_ns;
	uint64_t look_began_ns;
	uint64_t next_store_ns;
	bool is_finishing;
	uint64_t wall_ns; /* of this tick */
	unsigned int n_events;
	uint8_t blobs[LIVES_STORED_MAX][USAGE_BLOB_MAX];
	struct store_usage rows[LIVES_STORED_MAX];
};

/* --- What peers have used --- */

static struct entry *find(const struct lives *l, int64_t id)
{
	struct entry *e = l->buckets[(size_t)id & (l->n_buckets - 1)];

	while (e && e->peer_id != id)
		e = e->next;
	return e;
}

/* Twice the buckets; without memory for them chains grow instead. */
static void grow(struct lives *l)
{
	size_t n = 2 * l->n_buckets;
	struct entry **fresh = calloc(n, sizeof(*fresh));

	if (!fresh)
		return;
	for (size_t i = 0; i < l->n_buckets; i++) {
		for (struct entry *next, *e = l->buckets[i]; e; e = next) {
			next = e->next;
			e->next = fresh[(size_t)e->peer_id & (n - 1)];
			fresh[(size_t)e->peer_id & (n - 1)] = e;
		}
	}
	free(l->buckets);
	l->buckets = fresh;
	l->n_buckets = n;
}

static struct entry *find_or_make(struct lives *l, int64_t id)
{
	struct entry *e = find(l, id);

	if (e)
		return e;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	if (l->n++ >= l->n_buckets)
		grow(l);
	e->peer_id = id;
	e->next = l->buckets[(size_t)id & (l->n_buckets - 1)];
	l->buckets[(size_t)id & (l->n_buckets - 1)] = e;
	return e;
}

static void mark_dirty(struct lives *l, struct entry *e)
{
	if (e->is_dirty)
		return;
	e->is_dirty = true;
	e->dirty_next = NULL;
	if (l->dirty_last)
		l->dirty_last->dirty_next = e;
	else
		l->dirty_first = e;
	l->dirty_last = e;
}

static void free_entry(struct entry *e)
{
	free(e->steps);
	free(e->leak);
	free(e);
}

/* Of a peer that is gone. One that waits to be stored goes when its turn comes. */
static void forget(struct lives *l, int64_t id)
{
	struct entry **at = &l->buckets[(size_t)id & (l->n_buckets - 1)];
	struct entry *e;

	while (*at && (*at)->peer_id != id)
		at = &(*at)->next;
	e = *at;
	if (!e)
		return;
	*at = e->next;
	l->n--;
	if (e->is_dirty)
		e->peer_id = 0;
	else
		free_entry(e);
}

static void read_entry(const struct entry *e, struct usage *ret)
{
	uint8_t blob[USAGE_BLOB_MAX];
	int err;

	memcpy(blob, e->head, USAGE_BLOB_MIN);
	if (e->steps)
		memcpy(blob + USAGE_BLOB_MIN, e->steps, USAGE_BLOB_MAX - USAGE_BLOB_MIN);
	err = usage_read(blob, e->steps ? USAGE_BLOB_MAX : USAGE_BLOB_MIN, ret);
	assert(err == 0); /* zeroes, or what was written here */
	(void)err;
}

/* Without memory it stays as it was: then the next look counts what this one would have. */
static int write_entry(struct entry *e, const struct usage *u)
{
	uint8_t blob[USAGE_BLOB_MAX];
	size_t more = usage_write(u, blob) - USAGE_BLOB_MIN;

	if (more && !e->steps)
		e->steps = malloc(more);
	if (more && !e->steps)
		return -ENOMEM;
	memcpy(e->head, blob, USAGE_BLOB_MIN);
	if (more) {
		memcpy(e->steps, blob + USAGE_BLOB_MIN, more);
	} else {
		free(e->steps);
		e->steps = NULL;
	}
	return 0;
}

void lives_usage(const struct lives *l, int64_t peer_id, struct usage *ret)
{
	const struct entry *e = find(l, peer_id);

	if (e)
		read_entry(e, ret);
	else
		*ret = (struct usage){ .rx = 0 };
}

/* --- The heap of what is due --- */

static void put_due(struct lives *l, int64_t peer_id, uint64_t wall_ns)
{
	size_t at = l->n_due;

	if (array_room(&l->heap, l->n_due, sizeof(*l->heap), &l->due_capacity) != 0) {
		l->is_incomplete = true; /* all begin anew when there is memory again */
		return;
	}
	l->n_due++;
	for (; at > 0 && l->heap[(at - 1) / 2].wall_ns > wall_ns; at = (at - 1) / 2)
		l->heap[at] = l->heap[(at - 1) / 2];
	l->heap[at] = (struct due){ wall_ns, peer_id };
}

static bool is_limited(const struct peer *peer)
{
	return peer->expires_ns || peer->schedule || peer->quota_bytes || peer->account_id ||
	       peer->blocked;
}

static void judge_all(struct lives *l)
{
	const struct peer *peer = peers_after(gateway_peers(l->gateway), 0);

	for (; peer; peer = peer->next) {
		if (is_limited(peer))
			put_due(l, peer->id, 0);
	}
}

/* Earlier moments of the same peer stay where they are. When those are the most, all begin anew: so
 * the heap is never more than a few times as long as there are peers. */
static void push_due(struct lives *l, int64_t peer_id, uint64_t wall_ns)
{
	size_t enough = 2 * peers_count(gateway_peers(l->gateway)) + DUE_SLACK;

	if (wall_ns == UINT64_MAX)
		return;
	if (l->n_due < enough) {
		put_due(l, peer_id, wall_ns);
		return;
	}
	l->n_due = 0;
	judge_all(l);
}

static int64_t pop_due(struct lives *l)
{
	int64_t id = l->heap[0].peer_id;
	struct due last = l->heap[--l->n_due];
	size_t at = 0;

	for (size_t child = 1; child < l->n_due; child = 2 * at + 1) {
		if (child + 1 < l->n_due && l->heap[child + 1].wall_ns < l->heap[child].wall_ns)
			child++;
		if (l->heap[child].wall_ns >= last.wall_ns)
			break;
		l->heap[at] = l->heap[child];
		at = child;
	}
	l->heap[at] = last;
	return id;
}

/* --- Judging a peer --- */

static bool is_over_quota(struct lives *l, const struct peer *peer)
{
	struct usage u;

	if (!peer->quota_bytes)
		return false;
	lives_usage(l, peer->id, &u);
	return usage_left(&u, (enum store_period)peer->quota_period, peer->quota_bytes,
			  l->wall_ns) == 0;
}

static bool is_account_off(const struct lives *l, const struct peer *peer)
{
	const struct record *account =
		records_find_id(gateway_records(l->gateway), STORE_ACCOUNT, peer->account_id);

	return account && !l->is_enabled(account);
}

/* Why it is not to be served now, and when that may change by itself. */
static unsigned int judge(struct lives *l, const struct peer *peer, uint64_t *ret_next_ns)
{
	unsigned int blocked = 0;
	uint64_t next_ns = UINT64_MAX, change_ns;

	if (peer->expires_ns && peer->expires_ns <= l->wall_ns)
		blocked |= STORE_BLOCK_EXPIRED;
	else if (peer->expires_ns)
		next_ns = peer->expires_ns;
	if (peer->schedule) {
		if (!hours_allow(peer->schedule, l->wall_ns, &change_ns))
			blocked |= STORE_BLOCK_SCHEDULE;
		next_ns = change_ns < next_ns ? change_ns : next_ns;
	}
	if (is_over_quota(l, peer))
		blocked |= STORE_BLOCK_QUOTA;
	if (peer->quota_bytes) {
		change_ns = usage_next_ns((enum store_period)peer->quota_period, l->wall_ns);
		next_ns = change_ns < next_ns ? change_ns : next_ns;
	}
	if (is_account_off(l, peer))
		blocked |= STORE_BLOCK_ACCOUNT;
	*ret_next_ns = next_ns;
	return blocked;
}

unsigned int lives_judge(struct lives *l, const struct peer *peer, uint64_t wall_ns)
{
	uint64_t next_ns;

	l->wall_ns = wall_ns;
	return judge(l, peer, &next_ns);
}

static void ignore(void *context, int err, int carried, const struct peer *peer)
{
	(void)context, (void)carried, (void)peer;
	if (err != 0 && err != ERR_UNKNOWN)
		log_warning("a peer cannot be blocked or let in: %s", err_text(err));
}

static const char *action_of(unsigned int was, unsigned int is)
{
	unsigned int more = is & ~was;

	if (more & STORE_BLOCK_EXPIRED)
		return "peer.expire";
	if (more & STORE_BLOCK_QUOTA)
		return "peer.quota";
	return more ? "peer.block" : "peer.unblock";
}

/* Also a new budget, where a period has begun: the change carries it. */
static void look_after(struct lives *l, const struct peer *peer, bool is_new_period)
{
	uint64_t next_ns;
	unsigned int blocked = judge(l, peer, &next_ns);
	const struct gateway_edit edit = {
		.fields = GATEWAY_BLOCKED,
		.action = action_of(peer->blocked, blocked),
		.blocked = blocked,
	};
	const struct gateway_grant grant = { .now_ns = l->wall_ns, .who = "gateway" };
	int err = 0;

	if (blocked != peer->blocked || (is_new_period && peer->quota_bytes))
		err = gateway_change_peer(l->gateway, peer->id, &edit, &grant, ignore, NULL);
	/* Somebody is changing it, or too many are: soon again. */
	if (err != 0 && err != ERR_UNKNOWN)
		next_ns = l->wall_ns + SECOND_NS / 4;
	else if (blocked != peer->blocked && next_ns > l->wall_ns + AGAIN_S * SECOND_NS)
		next_ns = l->wall_ns + AGAIN_S * SECOND_NS; /* has the disk taken it? */
	push_due(l, peer->id, next_ns);
}

/* Has a period of its quota ended since it was last counted? It is told once. */
static bool has_new_period(struct lives *l, const struct peer *peer)
{
	struct entry *e = peer->quota_bytes ? find(l, peer->id) : NULL;
	struct usage u;

	if (!e)
		return false;
	read_entry(e, &u);
	if (!usage_is_over(&u, l->wall_ns))
		return false;
	(void)usage_left(&u, (enum store_period)peer->quota_period, peer->quota_bytes,
			 l->wall_ns);
	return write_entry(e, &u) == 0;
}

static void do_what_is_due(struct lives *l)
{
	const struct peers *peers = gateway_peers(l->gateway);

	if (l->is_incomplete) {
		l->is_incomplete = false;
		l->n_due = 0;
		judge_all(l);
	}

	for (int i = 0; i < DUE_PER_TICK && l->n_due > 0 && l->heap[0].wall_ns <= l->wall_ns;
	     i++) {
		const struct peer *peer = peers_find_id(peers, pop_due(l));

		if (peer)
			look_after(l, peer, has_new_period(l, peer));
	}
}

/* --- Looking --- */

static void tell(struct lives *l, enum lives_event event, const struct peer *peer,
		 const struct session *is)
{
	if (!l->listener || !l->has_looked)
		return;
	l->n_events++;
	l->listener(l->listener_context, event, peer, &is->endpoint);
}

/* Without memory nothing is noticed; the next move tries again. */
static bool is_shared(struct lives *l, const struct session *was, const struct session *is,
		      const struct peer *peer)
{
	struct entry *e = find(l, peer->id);

	if (!e)
		return false;
	if (!e->leak)
		e->leak = calloc(1, sizeof(*e->leak));
	return e->leak &&
	       leak_moved(e->leak, &was->endpoint.ip, &is->endpoint.ip, clock_boot_ns());
}

static void tell_difference(struct lives *l, const struct session *was,
			    const struct session *is, const struct peer *peer)
{
	if (is->is_connected && !(was && was->is_connected))
		tell(l, LIVES_CONNECTED, peer, is);
	else if (was && was->is_connected && !is->is_connected)
		tell(l, LIVES_SILENT, peer, is);
	else if (was && is->is_connected && session_has_moved(was, is)) {
		tell(l, LIVES_MOVED, peer, is);
		if (is_shared(l, was, is, peer))
			tell(l, LIVES_SHARED, peer, is);
	}
}

static void count(struct lives *l, const struct peer *peer, const struct session *is)
{
	struct entry *e;
	struct usage u;

	if (is->rx == 0 && is->tx == 0 && !find(l, peer->id))
		return;
	e = find_or_make(l, peer->id);
	if (!e)
		return;
	read_entry(e, &u);
	usage_count(&u, (enum store_period)peer->quota_period, l->wall_ns, is->rx, is->tx);
	if (write_entry(e, &u) != 0)
		return;
	mark_dirty(l, e);
	if (peer->quota_bytes && !(peer->blocked & STORE_BLOCK_QUOTA) && is_over_quota(l, peer))
		look_after(l, peer, false);
}

/* It was there, and the interface has it no more: it was blocked, or the tunnel began anew. */
static void compare_gone(struct lives *l, const struct session *was)
{
	const struct peer *peer =
		was->is_connected ? peers_find_key(gateway_peers(l->gateway), was->public_key)
				  : NULL;

	if (peer && peer->id != 0)
		tell(l, LIVES_SILENT, peer, was);
}

/* Both lists go by key: what comes before @is in the former look is gone. Return: false when the rest waits
 * for the next turn. */
static bool skip_gone(struct lives *l, const struct session *is)
{
	while (l->at_known < l->n_known && l->n_events < LIVES_EVENTS_MAX &&
	       (!is || memcmp(l->known[l->at_known].public_key, is->public_key, 32) < 0))
		compare_gone(l, &l->known[l->at_known++]);
	return l->n_events < LIVES_EVENTS_MAX;
}

/* The same peer in the look before, or NULL. */
static const struct session *before(struct lives *l, const struct session *is)
{
	if (l->at_known < l->n_known &&
	    memcmp(l->known[l->at_known].public_key, is->public_key, 32) == 0)
		return &l->known[l->at_known++];
	return NULL;
}

static void compare_one(struct lives *l, const struct session *is)
{
	const struct session *was = before(l, is);
	const struct peer *peer;

	if (!session_is_news(was, is))
		return;
	peer = peers_find_key(gateway_peers(l->gateway), is->public_key);
	if (!peer || peer->id == 0)
		return;
	count(l, peer, is);
	tell_difference(l, was, is, peer);
}

static void compare_some(struct lives *l)
{
	l->n_events = 0;
	for (int i = 0; i < COMPARED_PER_TICK && l->at_fresh < l->n_fresh &&
			skip_gone(l, &l->fresh[l->at_fresh]);
	     i++)
		compare_one(l, &l->fresh[l->at_fresh++]);
	if (!l->fresh || l->at_fresh < l->n_fresh || !skip_gone(l, NULL))
		return;
	free(l->known);
	l->known = l->fresh;
	l->n_known = l->n_fresh;
	l->fresh = NULL;
	l->has_looked = true;
	l->is_looking = false;
}

/* The more a look costs, the longer until the next. */
static void pause_looking(struct lives *l)
{
	uint64_t times = gateway_config(l->gateway)->is_plain ? LIVES_LOOK_PLAIN_TIMES
							      : LIVES_LOOK_TIMES;
	uint64_t now_ns = clock_boot_ns();
	uint64_t next_ns = now_ns + times * (now_ns - l->look_began_ns);

	if (next_ns > l->next_look_ns)
		l->next_look_ns = next_ns;
}

static void looked(void *context, int err, const struct observation *seen)
{
	struct lives *l = context;

	pause_looking(l);
	l->fresh = err == 0 ? sessions_of(seen, l->wall_ns, &l->n_fresh) : NULL;
	l->is_looking = l->fresh != NULL;
	l->at_fresh = l->at_known = 0;
}

/* --- Storing --- */

static void stored(void *context, int err, int carried, const struct peer *peer)
{
	struct lives *l = context;

	(void)carried, (void)peer;
	l->is_storing = false;
	if (err == 0)
		return;
	/* A full disk: what they have used is still known here, and grows. */
	for (size_t i = 0; i < LIVES_STORED_MAX && l->rows[i].peer_id != 0; i++) {
		struct entry *e = find(l, l->rows[i].peer_id);

		if (e)
			mark_dirty(l, e);
	}
}

static void store_some(struct lives *l)
{
	struct usage u;
	size_t n = 0;

	while (l->dirty_first && n < LIVES_STORED_MAX) {
		struct entry *e = l->dirty_first;

		l->dirty_first = e->dirty_next;
		if (!l->dirty_first)
			l->dirty_last = NULL;
		e->is_dirty = false;
		if (e->peer_id == 0) {
			free_entry(e);
			continue;
		}
		read_entry(e, &u);
		l->rows[n] = (struct store_usage){ e->peer_id, l->blobs[n],
						   usage_write(&u, l->blobs[n]) };
		n++;
	}
	if (n < LIVES_STORED_MAX)
		l->rows[n].peer_id = 0;
	if (n == 0)
		return;
	l->is_storing = true;
	if (gateway_set_usage(l->gateway, l->rows, n, stored, l) != 0)
		stored(l, -ENOMEM, 0, NULL);
}

/* --- Life --- */

static int load_one(void *context, const struct store_usage *row)
{
	struct lives *l = context;
	struct entry *e = find_or_make(l, row->peer_id);
	struct usage u;
	int err = e ? usage_read(row->data, row->len, &u) : -ENOMEM;

	return err == 0 ? write_entry(e, &u) : err;
}

/* Everybody, once: who has been over time while nobody looked. */
int lives_new(struct gateway *g, struct observer *o,
	      bool (*is_enabled)(const struct record *account), struct lives **ret)
{
	struct lives *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	l->gateway = g;
	l->observer = o;
	l->is_enabled = is_enabled;
	l->n_buckets = FIRST_BUCKETS;
	l->buckets = calloc(l->n_buckets, sizeof(*l->buckets));
	err = l->buckets ? store_load_usage(gateway_store(g), load_one, l) : -ENOMEM;
	if (err != 0) {
		lives_free(l);
		return err;
	}
	judge_all(l);
	*ret = l;
	return 0;
}

struct lives *lives_free(struct lives *l)
{
	if (!l)
		return NULL;
	for (struct entry *next, *e = l->dirty_first; e; e = next) {
		next = e->dirty_next;
		if (e->peer_id == 0)
			free_entry(e);
	}
	for (size_t i = 0; l->buckets && i < l->n_buckets; i++) {
		for (struct entry *next, *e = l->buckets[i]; e; e = next) {
			next = e->next;
			free_entry(e);
		}
	}
	free(l->buckets);
	free(l->heap);
	free(l->known);
	free(l->fresh);
	free(l);
	return NULL;
}

void lives_listen(struct lives *l, lives_listener listener, void *context)
{
	l->listener = listener;
	l->listener_context = context;
}

/* All peers of an account that was switched. */
static void judge_account(struct lives *l, int64_t account_id)
{
	const struct peer *peer = peers_after(gateway_peers(l->gateway), 0);

	for (; peer; peer = peer->next) {
		if (peer->account_id == account_id)
			push_due(l, peer->id, 0);
	}
}

void lives_note(void *context, const struct store_change *c, const struct peer *peer)
{
	struct lives *l = context;

	switch (c->kind) {
	case STORE_ADD_PEER:
	case STORE_CHANGE_PEER:
		/* What we have just decided is not decided again. */
		if (peer && is_limited(peer) && strcmp(c->who, "gateway") != 0)
			push_due(l, peer->id, 0);
		break;
	case STORE_REMOVE_PEER:
		forget(l, c->peer.id);
		break;
	case STORE_PUT_RECORD:
		if (c->record.kind == STORE_ACCOUNT)
			judge_account(l, c->record.id);
		break;
	case STORE_SET_PROFILES:
	case STORE_DROP_RECORD:
	case STORE_SET_USAGE:
	case STORE_NO_CHANGE:
		break;
	}
}

static int until_ms(const struct lives *l, uint64_t now_ns)
{
	uint64_t wait_ns = l->next_look_ns > now_ns ? l->next_look_ns - now_ns : 0;

	if (l->fresh)
		return 0; /* the rest of it, after whoever waits now */
	if (l->n_due > 0 && l->heap[0].wall_ns <= l->wall_ns + wait_ns)
		wait_ns = l->heap[0].wall_ns > l->wall_ns ? l->heap[0].wall_ns - l->wall_ns : 0;
	return wait_ns >= (uint64_t)TICK_MS * 1000000 ? TICK_MS : (int)(wait_ns / 1000000) + 1;
}

static void begin_look(struct lives *l, uint64_t now_ns)
{
	l->next_look_ns = now_ns + LIVES_LOOK_S * SECOND_NS;
	l->look_began_ns = now_ns;
	l->is_looking = true;
	if (observer_look(l->observer, now_ns, looked, l) != 0)
		l->is_looking = false;
}

int lives_tick(struct lives *l, uint64_t now_ns, uint64_t wall_ns)
{
	l->wall_ns = wall_ns;
	do_what_is_due(l);
	compare_some(l);
	if (l->next_look_ns != 0 && !l->is_looking && now_ns >= l->next_look_ns)
		begin_look(l, now_ns);
	if (l->next_look_ns == 0) /* a moment to get ready, or to be stopped again */
		l->next_look_ns = now_ns + SECOND_NS;
	observer_tick(l->observer, now_ns);
	if (!l->is_storing && now_ns >= l->next_store_ns) {
		l->next_store_ns = now_ns + SECOND_NS;
		store_some(l);
	}
	return until_ms(l, now_ns);
}

bool lives_finish(struct lives *l, uint64_t now_ns, uint64_t wall_ns)
{
	l->wall_ns = wall_ns;
	if (!l->is_finishing && !l->is_looking)
		begin_look(l, now_ns);
	l->is_finishing = true;
	compare_some(l);
	if (!l->is_storing)
		store_some(l);
	return !l->is_looking && !l->fresh && !l->is_storing && !l->dirty_first;
}
