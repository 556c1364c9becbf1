/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/access_sync.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "gateway/access_members.h"
#include "sys/log.h"

/**
 * struct access_sync - @members, @accounts: as the host has them, while @is_well
 * @has_table:	The host looks at packets; without it there are no lists
 * @table_is_gone: The host has none in force, until access_sync_end() has put one there
 * @is_building: Between access_sync_begin() and _end(), of which @build_err is what went wrong
 * @n_lists:	Stored
 * @message:	Being filled, or empty
 * @leaving:	Addresses whose peers are still on the interface
 */
struct access_sync {
	struct store *store;
	access_send send;
	void *context;
	struct access_readers readers;
	struct access_members members;
	struct access_members accounts;
	bool is_well;
	bool has_table;
	bool table_is_gone;
	bool is_building;
	int build_err;
	size_t n_lists;
	struct host_message message;
	struct nft_element *leaving;
	size_t n_leaving;
	size_t leaving_capacity;
};

int access_sync_new(struct store *store, access_send send, void *context,
		    const struct access_readers *readers, struct access_sync **ret)
{
	struct access_sync *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->store = store;
	s->send = send;
	s->context = context;
	s->readers = *readers;
	*ret = s;
	return 0;
}

struct access_sync *access_sync_free(struct access_sync *s)
{
	if (!s)
		return NULL;
	access_members_done(&s->members);
	access_members_done(&s->accounts);
	free(s->leaving);
	free(s);
	return NULL;
}

bool access_sync_is_well(const struct access_sync *s)
{
	return s->is_well;
}

static int fail(struct access_sync *s, int err, struct diag *d)
{
	s->is_well = false;
	return diag_set(d, err, 0, "access lists are not in force: %s", err_text(err));
}

/* --- Saying it --- */

static int say(struct access_sync *s, enum host_access_type type)
{
	struct host_message m = { .type = type };

	return s->send(s->context, &m);
}

/* Changes that wait are said first: the order is what closes the gaps. */
static int flush(struct access_sync *s)
{
	int err = s->message.access.n > 0 ? s->send(s->context, &s->message) : 0;

	s->message = (struct host_message){ .type = HOST_ACCESS_MEMBERS };
	return err;
}

static int change_address(struct access_sync *s, const struct ip_addr *address, uint32_t was,
			  uint32_t is)
{
	const struct nft_element e = { .key = *address, .was = was, .is = is };
	struct host_access *body = &s->message.access;

	if (address->family == ADDR_NONE || was == is)
		return 0;
	host_access_write_change(&e, &body->changes[body->n++]);
	return body->n == HOST_ACCESS_CHANGES_MAX ? flush(s) : 0;
}

static int say_list(struct access_sync *s, const struct store_record *list)
{
	struct host_message m = { .type = HOST_ACCESS_LIST };
	struct access_rule rules[ACCESS_RULES_MAX];
	size_t n = 0;
	int err = s->readers.rules(list->body, rules, &n);

	if (list->id > UINT32_MAX)
		return ERR_RANGE;
	if (err != 0) {
		log_error("the access list %s cannot be read: it allows nothing", list->name);
		n = 0;
	}
	m.access.list = (uint32_t)list->id;
	m.access.n = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		host_access_write_rule(&rules[i], &m.access.rules[i]);
	err = flush(s);
	return err == 0 ? s->send(s->context, &m) : err;
}

static int say_list_gone(struct access_sync *s, int64_t id)
{
	struct host_message m = { .type = HOST_ACCESS_REMOVE };

	m.access.list = (uint32_t)id;
	return s->send(s->context, &m);
}

/* --- What a peer has --- */

static uint32_t list_of(const struct access_sync *s, int64_t own, int64_t account_id)
{
	const struct access_member *account;

	if (own != 0)
		return own > UINT32_MAX ? UINT32_MAX
					: (uint32_t)own; /* no such list: nothing */
	account = access_members_find(&s->accounts, account_id);
	return account ? account->own : 0;
}

/* Without memory the peer has no entry, and is not permitted. */
static int put_member(struct access_sync *s, const struct store_peer *p)
{
	struct access_member *m = access_members_put(&s->members, p->id);

	if (!m)
		return -ENOMEM;
	m->account_id = p->account_id;
	m->own = list_of(s, p->access_id, 0);
	m->now = list_of(s, p->access_id, p->account_id);
	m->v4 = p->v4;
	m->v6 = p->v6;
	return 0;
}

bool access_sync_permits(const struct access_sync *s, const struct store_peer *p)
{
	uint32_t list = list_of(s, p->access_id, p->account_id);
	const struct access_member *m = access_members_find(&s->members, p->id);

	/* Which lists accounts have may not be known before all was read. */
	if (!s->is_well && !s->is_building && (p->access_id != 0 || p->account_id != 0))
		return false;
	if (list == 0)
		return true;
	return m && m->now == list && !p->routes && ip_addr_equal(&m->v4, &p->v4) &&
	       ip_addr_equal(&m->v6, &p->v6);
}

bool access_sync_may_stay(const struct access_sync *s)
{
	return !s->table_is_gone;
}

/* --- Everything anew --- */

static int note_account(struct access_sync *s, int64_t id, const char *body)
{
	int64_t list = s->readers.account_list(body);
	struct access_member *account;

	access_members_remove(&s->accounts, id);
	if (list == 0)
		return 0;
	account = access_members_put(&s->accounts, id);
	if (!account)
		return -ENOMEM;
	account->own = list_of(s, list, 0);
	return 0;
}

static int count_record(void *context, const struct store_record *record)
{
	struct access_sync *s = context;

	if (record->kind == STORE_ACCESS)
		s->n_lists++;
	return record->kind == STORE_ACCOUNT ? note_account(s, record->id, record->body) : 0;
}

static int set_record(void *context, const struct store_record *record)
{
	return record->kind == STORE_ACCESS ? say_list(context, record) : 0;
}

static int set_peer(void *context, const struct store_peer *p)
{
	struct access_sync *s = context;
	uint32_t list = list_of(s, p->access_id, p->account_id);
	int err = 0;

	if (p->access_id != 0 || p->account_id != 0)
		err = put_member(s, p);
	if (err == 0)
		err = change_address(s, &p->v4, 0, list);
	return err == 0 ? change_address(s, &p->v6, 0, list) : err;
}

static void forget(struct access_sync *s)
{
	access_members_done(&s->members);
	access_members_done(&s->accounts);
	s->message = (struct host_message){ .type = HOST_ACCESS_MEMBERS };
	s->n_leaving = 0;
	s->n_lists = 0;
	s->is_well = s->is_building = false;
	s->build_err = 0;
}

/* What was in force before counts on, if there was anything and nobody removed it. */
static int fail_to_build(struct access_sync *s, int err, struct diag *d)
{
	if (!s->table_is_gone && say(s, HOST_ACCESS_CHECK) == ERR_UNKNOWN)
		s->table_is_gone = true;
	return fail(s, err, d);
}

static int begin_table(struct access_sync *s)
{
	int err = say(s, HOST_ACCESS_STAGE);

	return err == 0 ? store_load_records(s->store, set_record, s) : err;
}

int access_sync_begin(struct access_sync *s, struct diag *d)
{
	int err;

	forget(s);
	err = store_load_records(s->store, count_record, s);
	if (err == 0)
		err = s->n_lists > 0 ? begin_table(s) : say(s, HOST_ACCESS_CLEAR);
	if (err != 0)
		return fail_to_build(s, err, d);
	s->has_table = s->is_building = s->n_lists > 0;
	s->is_well = !s->is_building;
	if (s->is_well)
		s->table_is_gone = true;
	return 0;
}

void access_sync_take(struct access_sync *s, const struct store_peer *p)
{
	if (s->is_building && s->build_err == 0)
		s->build_err = set_peer(s, p);
}

int access_sync_end(struct access_sync *s, int err, struct diag *d)
{
	if (!s->is_building)
		return 0;
	s->is_building = false;
	if (err == 0)
		err = s->build_err;
	if (err == 0)
		err = flush(s);
	if (err == 0)
		err = say(s, HOST_ACCESS_ENFORCE);
	if (err != 0)
		return fail_to_build(s, err, d);
	s->is_well = true;
	s->table_is_gone = false;
	return 0;
}

static int take(void *context, const struct store_peer *p)
{
	access_sync_take(context, p);
	return 0;
}

static int set_everything(struct access_sync *s, struct diag *d)
{
	int err = access_sync_begin(s, d);

	if (err != 0)
		return err;
	err = s->is_building ? store_load_peers(s->store, take, s) : 0;
	return access_sync_end(s, err, d);
}

void access_sync_check(struct access_sync *s)
{
	int err = s->is_well && s->has_table ? say(s, HOST_ACCESS_CHECK) : 0;

	if (err == 0)
		return;
	if (err == ERR_UNKNOWN)
		log_warning("the table of access lists is gone: setting it again");
	else
		log_warning(
			"whether access lists are in force is not known (%s): setting them again",
			err_text(err));
	s->is_well = false;
	s->table_is_gone = err == ERR_UNKNOWN;
}

/* --- A group --- */

static int leave(struct access_sync *s, const struct ip_addr *address, uint32_t was)
{
	int err;

	if (address->family == ADDR_NONE || was == 0)
		return 0;
	err = array_room(&s->leaving, s->n_leaving, sizeof(*s->leaving), &s->leaving_capacity);
	if (err == 0)
		s->leaving[s->n_leaving++] =
			(struct nft_element){ .key = *address, .was = was };
	return err;
}

/* One address of a peer, as it was (@from) and as it is (@to). */
static int move(struct access_sync *s, const struct ip_addr *from, uint32_t was,
		const struct ip_addr *to, uint32_t is)
{
	int err;

	if (ip_addr_equal(from, to))
		return change_address(s, to, was, is);
	err = leave(s, from, was);
	return err == 0 ? change_address(s, to, 0, is) : err;
}

static int change_peer(struct access_sync *s, const struct store_peer *p)
{
	const struct access_member *found = access_members_find(&s->members, p->id);
	struct access_member was = found ? *found : (struct access_member){ .id = p->id };
	uint32_t is = list_of(s, p->access_id, p->account_id);
	int err = move(s, &was.v4, was.now, &p->v4, is);

	if (err == 0)
		err = move(s, &was.v6, was.now, &p->v6, is);
	if (err == 0 && (p->access_id != 0 || p->account_id != 0))
		return put_member(s, p);
	access_members_remove(&s->members, p->id);
	return err;
}

static int remove_peer(struct access_sync *s, int64_t id)
{
	const struct access_member *found = access_members_find(&s->members, id);
	int err = found ? leave(s, &found->v4, found->now) : 0;

	if (found && err == 0)
		err = leave(s, &found->v6, found->now);
	access_members_remove(&s->members, id);
	return err;
}

/* Another list for all peers of an account that name none. */
static int change_account(struct access_sync *s, const struct store_record *account)
{
	uint32_t was = list_of(s, 0, account->id), is;
	int err = note_account(s, account->id, account->body);

	is = list_of(s, 0, account->id);
	for (size_t i = 0; err == 0 && was != is && i < s->members.capacity; i++) {
		struct access_member *m = &s->members.table[i];

		if (m->id == 0 || m->account_id != account->id || m->own != 0)
			continue;
		err = change_address(s, &m->v4, m->now, is);
		if (err == 0)
			err = change_address(s, &m->v6, m->now, is);
		m->now = is;
	}
	return err;
}

static int note_change(struct access_sync *s, const struct store_change *c)
{
	switch (c->kind) {
	case STORE_ADD_PEER:
	case STORE_CHANGE_PEER:
		return change_peer(s, &c->peer);
	case STORE_REMOVE_PEER:
		return remove_peer(s, c->peer.id);
	case STORE_PUT_RECORD:
		if (c->record.kind == STORE_ACCESS)
			return say_list(s, &c->record);
		return c->record.kind == STORE_ACCOUNT ? change_account(s, &c->record) : 0;
	case STORE_DROP_RECORD:
		if (c->record.kind == STORE_ACCOUNT)
			access_members_remove(&s->accounts, c->record.id);
		return 0;
	case STORE_SET_PROFILES:
	case STORE_SET_USAGE:
	case STORE_NO_CHANGE:
		break;
	}
	return 0;
}

static bool makes_list(const struct store_change *first)
{
	for (const struct store_change *c = first; c; c = c->next)
		if (c->result == 0 && c->kind == STORE_PUT_RECORD &&
		    c->record.kind == STORE_ACCESS)
			return true;
	return false;
}

int access_sync_before(struct access_sync *s, const struct store_change *first, struct diag *d)
{
	int err = 0;

	if (!s->is_well)
		return fail(s, -ENOTCONN, d);
	/* Without lists nothing is remembered of peers; the group is stored by now. */
	if (!s->has_table)
		return makes_list(first) ? set_everything(s, d) : 0;
	for (const struct store_change *c = first; c && err == 0; c = c->next)
		if (c->result == 0)
			err = note_change(s, c);
	if (err == 0)
		err = flush(s);
	return err == 0 ? 0 : fail(s, err, d);
}

int access_sync_after(struct access_sync *s, const struct store_change *first, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < s->n_leaving; i++)
		err = change_address(s, &s->leaving[i].key, s->leaving[i].was, 0);
	s->n_leaving = 0;
	if (err == 0)
		err = flush(s);
	for (const struct store_change *c = first; s->has_table && c && err == 0; c = c->next)
		if (c->result == 0 && c->kind == STORE_DROP_RECORD &&
		    c->record.kind == STORE_ACCESS)
			err = say_list_gone(s, c->record.id);
	return err == 0 ? 0 : fail(s, err, d);
}
