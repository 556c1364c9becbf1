/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/internal.h"

/* --- Room --- */

int pending_take_room(struct gateway *g, struct pending *p)
{
	int err = records_reserve(g->records, p->change.record.kind);

	if (err == 0)
		p->room = g->records;
	return err;
}

void pending_leave_room(struct pending *p)
{
	if (p->room)
		records_release(p->room, p->change.record.kind);
	p->room = NULL;
}

/* --- What became of it --- */

/* The list that an account named, or now does not, is one account poorer. */
static void unrefer(struct gateway *g, const struct pending *p)
{
	if (p->change.record.kind != STORE_ACCOUNT || p->change.kind != STORE_PUT_RECORD)
		return;
	if (p->change.result != 0)
		decide_access_refer(g, p->body, -1);
	else if (p->record)
		decide_access_refer(g, p->record->body, -1);
}

static void end_put(struct gateway *g, struct pending *p)
{
	const struct store_record *one = &p->change.record;
	struct record *made;
	int err = p->record ? records_change(g->records, p->record, one)
			    : records_add(g->records, one, &made);

	/* What the store has committed and memory cannot follow is for the next start. */
	if (err != 0)
		p->change.result = err;
}

void records_ended(struct gateway *g, struct pending *p)
{
	unrefer(g, p);
	pending_leave_room(p);
	if (p->change.result != 0)
		return;
	if (p->change.kind == STORE_PUT_RECORD) {
		end_put(g, p);
		return;
	}
	if (p->change.record.kind == STORE_ACCOUNT)
		decide_access_refer(g, p->record->body, -1);
	records_remove(g->records, p->record);
	p->record = NULL;
}

static int submit(struct gateway *g, struct pending *p, int err)
{
	if (err == 0)
		err = pending_submit(g, p);
	if (err != 0)
		pending_free(p);
	return err;
}

static int check_name(const struct gateway *g, enum store_record_kind kind, const char *name,
		      const struct record *self)
{
	const struct record *same = records_find_name(g->records, kind, name);

	if (!same || same == self)
		return 0;
	return same->is_busy ? -EBUSY : ERR_EXISTS;
}

static int set_body(struct pending *p, const char *name, const char *body)
{
	struct store_record *one = &p->change.record;

	if (strlen(body) > STORE_BODY_MAX || strlen(name) > STORE_NAME_MAX)
		return ERR_LIMIT;
	p->body = strdup(body);
	if (!p->body)
		return -ENOMEM;
	one->body = p->body;
	snprintf(one->name, sizeof(one->name), "%s", name);
	return 0;
}

int gateway_put_record(struct gateway *g, enum store_record_kind kind, int64_t id,
		       const char *name, const char *body, const char *action,
		       const struct gateway_grant *grant, gateway_done done, void *context)
{
	struct record *record = records_find_id(g->records, kind, id);
	struct pending *p;
	int err;

	if (id != 0 && (!record || record->is_busy))
		return record ? -EBUSY : ERR_UNKNOWN;
	err = check_name(g, kind, name, record);
	if (err == 0 && kind == STORE_ACCOUNT)
		err = decide_access_judge_account(g, record, body);
	if (err != 0)
		return err;
	p = pending_new(STORE_PUT_RECORD, action, grant, done, context);
	if (!p)
		return -ENOMEM;
	p->record = record;
	p->change.record.id = id;
	p->change.record.kind = kind;
	if (record) {
		p->change.record.created_ns = record->created_ns;
		if (p->change.now_ns <= record->changed_ns)
			p->change.now_ns = record->changed_ns + 1;
	}
	if (kind == STORE_ACCOUNT)
		decide_access_refer(g, body, 1);
	err = record ? 0 : pending_take_room(g, p);
	err = submit(g, p, err == 0 ? set_body(p, name, body) : err);
	if (err != 0 && kind == STORE_ACCOUNT)
		decide_access_refer(g, body, -1);
	return err;
}

int gateway_drop_record(struct gateway *g, enum store_record_kind kind, int64_t id,
			const char *action, const struct gateway_grant *grant,
			gateway_done done, void *context)
{
	struct record *record = records_find_id(g->records, kind, id);
	struct pending *p;

	if (!record || record->is_busy)
		return record ? -EBUSY : ERR_UNKNOWN;
	if (record->n_peers > 0 || record->n_accounts > 0)
		return ERR_EXISTS;
	p = pending_new(STORE_DROP_RECORD, action, grant, done, context);
	if (!p)
		return -ENOMEM;
	p->record = record;
	p->change.record.id = id;
	p->change.record.kind = kind;
	memcpy(p->change.record.name, record->name, sizeof(record->name));
	return submit(g, p, 0);
}

/* --- Events --- */

static void ignore(void *context, int err, int carried, const struct peer *peer)
{
	(void)context, (void)err, (void)carried, (void)peer;
}

int gateway_event_new(struct gateway *g, const char *name, const char *body,
		      struct store_change **ret)
{
	struct pending *p = pending_new(STORE_PUT_RECORD, "", NULL, ignore, NULL);
	int err;

	if (!p)
		return -ENOMEM;
	p->change.record.kind = STORE_OUTBOX;
	err = pending_take_room(g, p);
	if (err == 0)
		err = set_body(p, name, body);
	if (err == 0)
		*ret = &p->change;
	else
		pending_free(p);
	return err;
}

void gateway_events_free(struct store_change *chain)
{
	for (struct store_change *next; chain; chain = next) {
		next = chain->next;
		pending_free((struct pending *)chain);
	}
}

int gateway_put_event(struct gateway *g, struct store_change *event, const char *action,
		      const struct gateway_grant *grant, gateway_done done, void *context)
{
	struct pending *p = (struct pending *)event;
	int err = grant ? pending_set_grant(p, grant) : 0;

	snprintf(p->change.action, sizeof(p->change.action), "%s", action);
	p->done = done;
	p->context = context;
	return submit(g, p, err);
}
