/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. A hook is what is kept of one webhook: its settings, the queue of what waits for
 * it, and the one message that is under way, which stays the first of the queue until it is answered.
 * A change is announced before it is committed, so that its events are committed with it; they join the
 * queues when they come back as records.
 */
#include "gateway/webhooks.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "gateway/courier.h"
#include "gateway/event_body.h"
#include "gateway/event_names.h"
#include "gateway/outbox.h"
#include "gateway/webhook_record.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/random.h"

enum {
	TICK_MS = 1000,
	LINE_MAX_LEN = 128,
	SIGNATURES_MAX = 32 + 2 * WEBHOOK_SIGNATURE_MAX,
	ACCEPTED = 200,
	REDIRECTED = 300,
	GONE = 410,
};

static const uint64_t SECOND_NS = 1000000000, MS_NS = 1000000;

static const char agent[] = "User-Agent: culvert/" CULVERT_VERSION;

/* struct message - With the courier. @lines: the header fields that are made for each try */
struct message {
	struct courier_job job; /* first: the courier gives that back */
	struct webhooks *webhooks;
	int64_t hook_id;
	struct text url;
	struct text body;
	char id_line[LINE_MAX_LEN];
	char time_line[LINE_MAX_LEN];
	char signature_line[SIGNATURES_MAX];
};

/**
 * struct hook - One webhook
 * @failures:	In a row
 * @next_ns:	Boot clock; not tried before
 * @unsaid:	Events that could not be stored, and of which no event tells yet
 */
struct hook {
	struct hook *next;
	int64_t id;
	struct webhook_record settings;
	struct outbox_queue queue;
	struct message *under_way;
	unsigned int failures;
	uint64_t next_ns;
	uint64_t unsaid;
	struct webhook_state state;
};

struct webhooks {
	struct gateway *gateway;
	struct webhooks_config config;
	struct courier *courier;
	struct hook *hooks;
	struct outbox outbox;
	struct webhook_state gone; /* numbers of those that were removed */
	int64_t newest;	 /* record of the outbox: a change of an older one makes no new event */
	int64_t subject; /* of the change whose events come next */
};

/* struct told - An event on its way to the store that goes with no change */
struct told {
	struct webhooks *webhooks;
	int64_t hook_id;
	uint64_t n; /* events that are lost if it is */
};

static struct hook *find_hook(const struct webhooks *w, int64_t id)
{
	struct hook *h = w->hooks;

	while (h && h->id != id)
		h = h->next;
	return h;
}

static const char *interface_of(const struct webhooks *w)
{
	return gateway_config(w->gateway)->interface;
}

/* --- Hooks --- */

static void free_message(struct message *m)
{
	if (!m)
		return;
	text_done(&m->url);
	text_done(&m->body);
	free(m);
}

static void hook_free(struct hook *h)
{
	outbox_queue_done(&h->queue);
	webhook_record_done(&h->settings);
	free(h);
}

/* New, or with other settings: whatever went wrong before, it may go well now. */
static void take_hook(struct webhooks *w, int64_t id, const char *body)
{
	struct hook *h = find_hook(w, id);

	if (!h) {
		h = calloc(1, sizeof(*h));
		if (!h) {
			log_error("a webhook is left out until the next start: no memory");
			return;
		}
		h->id = id;
		h->next = w->hooks;
		w->hooks = h;
	}
	webhook_record_done(&h->settings);
	if (webhook_record_read(body, &h->settings) != 0) {
		log_error("webhook %" PRId64 " cannot be read; it gets nothing", id);
		h->settings = (struct webhook_record){ .is_enabled = false };
	}
	h->failures = 0;
	h->next_ns = 0;
}

static void add_numbers(struct webhook_state *to, const struct webhook_state *from)
{
	to->delivered += from->delivered;
	to->failed += from->failed;
	to->missed += from->missed;
}

static void remove_hook(struct webhooks *w, int64_t id)
{
	struct hook **at = &w->hooks, *h;

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	h = *at;
	if (!h)
		return;
	*at = h->next;
	outbox_drop_all(&w->outbox, &h->queue);
	add_numbers(&w->gone, &h->state);
	hook_free(h); /* what is under way finds it gone */
}

/* --- Events become records --- */

/* Queues that are full, and as many events again of webhooks that were removed, or on their way. */
static_assert(RECORDS_OUTBOX_MAX >= 2 * WEBHOOKS_MAX * OUTBOX_WAITING_MAX, "room for each");

/* Return: as gateway_event_new() */
static int make_event(struct webhooks *w, const struct hook *h,
		      const uint8_t random[OUTBOX_RANDOM_LEN], const struct text *body,
		      uint64_t now_ns, struct store_change **ret)
{
	char name[STORE_NAME_MAX + 1];
	int err = body->err;

	outbox_name(h->id, random, name);
	if (err == 0)
		err = gateway_event_new(w->gateway, name, body->data, ret);
	if (err == 0)
		(*ret)->now_ns = now_ns;
	return err;
}

/* Of its own making and unmaking a webhook hears nothing. */
static bool wants(const struct hook *h, const char *name, const struct store_change *c)
{
	if (c->kind == STORE_PUT_RECORD || c->kind == STORE_DROP_RECORD) {
		if (c->record.kind == STORE_OUTBOX ||
		    (c->record.kind == STORE_WEBHOOK && c->record.id == h->id))
			return false;
	}
	return h->settings.is_enabled && webhook_record_wants(&h->settings, name);
}

static int announce(void *context, const struct store_change *c, const struct peer *peer,
		    struct store_change **ret)
{
	struct webhooks *w = context;
	struct text body = { .data = NULL };
	struct store_change *chain = NULL;
	char name[EVENT_NAME_MAX + 1];
	uint8_t random[OUTBOX_RANDOM_LEN];

	(void)peer;
	event_name(c->action, name);
	for (struct hook *h = w->hooks; h; h = h->next) {
		struct store_change *one;
		int err;

		if (!wants(h, name, c))
			continue;
		if (!body.data) {
			random_fill(random, sizeof(random));
			event_body_change(&body, interface_of(w), c);
		}
		err = make_event(w, h, random, &body, c->now_ns, &one);
		if (err == ERR_LIMIT) {
			h->unsaid++; /* a full outbox is no reason to refuse a change */
			continue;
		}
		if (err != 0) {
			gateway_events_free(chain);
			text_done(&body);
			return err;
		}
		one->next = chain;
		chain = one;
	}
	text_done(&body);
	*ret = chain;
	return 0;
}

static void stored(void *context, int err, int carried, const struct peer *peer)
{
	struct told *t = context;
	struct hook *h = find_hook(t->webhooks, t->hook_id);

	(void)carried, (void)peer;
	if (err != 0 && h)
		h->unsaid += t->n;
	free(t);
}

/* An event that goes with no change, and stands for @n; what cannot be stored is told later. */
static void tell(struct webhooks *w, struct hook *h, const struct text *body, uint64_t n,
		 uint64_t wall_ns)
{
	struct told *t = malloc(sizeof(*t));
	uint8_t random[OUTBOX_RANDOM_LEN];
	struct store_change *event;

	random_fill(random, sizeof(random));
	if (t && make_event(w, h, random, body, wall_ns, &event) == 0) {
		*t = (struct told){ w, h->id, n };
		if (gateway_put_event(w->gateway, event, "", NULL, stored, t) == 0)
			return;
	}
	free(t);
	h->unsaid += n;
}

static void tell_all(struct webhooks *w, const char *name, const struct text *body,
		     uint64_t wall_ns)
{
	for (struct hook *h = w->hooks; h; h = h->next) {
		if (!h->settings.is_enabled || !webhook_record_wants(&h->settings, name))
			continue;
		if (body->err == 0)
			tell(w, h, body, 1, wall_ns);
		else
			h->unsaid++;
	}
}

void webhooks_note_life(void *context, enum lives_event event, const struct peer *peer,
			const struct endpoint *endpoint)
{
	struct webhooks *w = context;
	struct text body = { .data = NULL };
	uint64_t wall_ns = clock_wall_ns();

	if (!w->hooks)
		return;
	event_body_life(&body, interface_of(w), event, peer, endpoint, wall_ns);
	tell_all(w, event_body_lives_name(event), &body, wall_ns);
	text_done(&body);
}

/* Behind what waits: it happened after that. */
static void say_missed(struct webhooks *w, struct hook *h)
{
	struct text body = { .data = NULL };
	uint64_t n = h->unsaid, wall_ns = clock_wall_ns();

	event_body_missed(&body, interface_of(w), n, wall_ns);
	if (body.err == 0) {
		h->unsaid = 0;
		tell(w, h, &body, n, wall_ns);
	}
	if (h->unsaid == 0)
		h->state.missed += n;
	text_done(&body);
}

/* --- Sending --- */

static uint64_t draw(uint64_t below)
{
	uint64_t r;

	random_fill(&r, sizeof(r));
	return below ? r % below : 0;
}

/* Twice as long each time, less a random part of up to a half: many gateways that lost one receiver
 * do not come back to it at once. */
static uint64_t pause_ns(const struct webhooks *w, const struct hook *h, uint64_t asked_s)
{
	uint64_t max = WEBHOOKS_PAUSE_MAX_S * SECOND_NS, pause = w->config.retry_ns;

	for (unsigned int i = 1; i < h->failures && pause < max; i++)
		pause *= 2;
	pause = pause < max ? pause : max;
	pause -= draw(pause / 2);
	if (asked_s > WEBHOOKS_PAUSE_MAX_S)
		asked_s = WEBHOOKS_PAUSE_MAX_S;
	return asked_s * SECOND_NS > pause ? asked_s * SECOND_NS : pause;
}

static void sign(struct message *m, const struct webhook_record *settings, const char *id,
		 uint64_t now_s)
{
	char first[WEBHOOK_SIGNATURE_MAX], second[WEBHOOK_SIGNATURE_MAX] = "";
	bool has_former =
		settings->former.len > 0 && settings->former_until_ns / SECOND_NS > now_s;

	webhook_sign(&settings->secret, id, now_s, m->body.data, m->body.len, first);
	if (has_former)
		webhook_sign(&settings->former, id, now_s, m->body.data, m->body.len, second);
	snprintf(m->id_line, sizeof(m->id_line), "webhook-id: %s", id);
	snprintf(m->time_line, sizeof(m->time_line), "webhook-timestamp: %" PRIu64, now_s);
	snprintf(m->signature_line, sizeof(m->signature_line), "webhook-signature: %s%s%s",
		 first, has_former ? " " : "", second);
}

static void answered(struct courier_job *job);

static struct message *make_message(struct webhooks *w, const struct hook *h,
				    const struct record *record, int64_t subject)
{
	struct message *m = calloc(1, sizeof(*m));
	char id[OUTBOX_MESSAGE_ID_MAX];

	if (!m)
		return NULL;
	m->webhooks = w;
	m->hook_id = h->id;
	text_puts(&m->url, h->settings.url);
	event_body_number(&m->body, record->body, subject);
	if (m->url.err != 0 || m->body.err != 0) {
		free_message(m);
		return NULL;
	}
	outbox_message_id(record->name, id);
	sign(m, &h->settings, id, clock_wall_ns() / SECOND_NS);
	m->job = (struct courier_job){
		.url = m->url.data,
		.body = m->body.data,
		.body_len = m->body.len,
		.lines = { "Content-Type: application/json", agent, m->id_line, m->time_line,
			   m->signature_line },
		.done = answered,
	};
	return m;
}

static void delivered(struct webhooks *w, struct hook *h)
{
	h->failures = 0;
	h->next_ns = 0;
	h->state.delivered++;
	outbox_drop_first(&w->outbox, &h->queue);
}

static void ignore(void *context, int err, int carried, const struct peer *peer)
{
	(void)context, (void)carried, (void)peer;
	if (err != 0)
		log_warning("a webhook cannot be switched off: %s", err_text(err));
}

/* The receiver says that it wants nothing any more, now or ever. */
static void disable(struct webhooks *w, struct hook *h)
{
	const struct gateway_grant grant = { .now_ns = clock_wall_ns(), .who = "gateway" };
	const struct record *record =
		records_find_id(gateway_records(w->gateway), STORE_WEBHOOK, h->id);
	struct webhook_record off = h->settings;
	struct text body = { .data = NULL };

	off.is_enabled = false;
	webhook_record_write(&off, &body);
	if (record && body.err == 0)
		(void)gateway_put_record(w->gateway, STORE_WEBHOOK, h->id, record->name,
					 body.data, "webhook.disable", &grant, ignore, NULL);
	text_done(&body);
	webhook_record_done(&off);
	log_warning("webhook %" PRId64 ": the receiver answered 410; it is switched off",
		    h->id);
}

static bool is_failing(const struct webhooks *w, const struct hook *h)
{
	const struct record *record = h->failures > 0 && h->queue.first
					      ? outbox_record(&w->outbox, h->queue.first)
					      : NULL;

	return record && clock_wall_ns() > record->created_ns &&
	       clock_wall_ns() - record->created_ns > WEBHOOKS_GIVE_UP_S * SECOND_NS;
}

static void failed(struct webhooks *w, struct hook *h, const struct courier_job *job)
{
	h->failures++;
	h->state.failed++;
	h->next_ns = clock_boot_ns() + pause_ns(w, h, job->retry_after_s);
	if (is_failing(w, h))
		h->next_ns = clock_boot_ns() + WEBHOOKS_PAUSE_MAX_S * SECOND_NS;
	if (h->failures == 1 && job->status != 0)
		log_warning("webhook %" PRId64 ": answered with status %ld, trying again",
			    h->id, job->status);
	else if (h->failures == 1)
		log_warning("webhook %" PRId64 ": not delivered, trying again: %s", h->id,
			    job->why);
	if (job->status == GONE)
		disable(w, h);
}

static void tried(struct hook *h, const struct courier_job *job)
{
	h->state.last_ns = clock_wall_ns();
	h->state.last_status = job->status;
	snprintf(h->state.last_why, sizeof(h->state.last_why), "%s", job->why);
}

/* What the operator allows may be less by now than when the URL was taken. */
static bool is_allowed(struct webhooks *w, struct hook *h)
{
	struct courier_job refused = { .status = 0 };
	struct diag d = { .text = "" };

	if (webhook_url_check(h->settings.url, w->config.allows_private, w->config.allows_plain,
			      &d) == 0)
		return true;
	snprintf(refused.why, sizeof(refused.why), "%.150s", d.text);
	tried(h, &refused);
	failed(w, h, &refused);
	return false;
}

static void send_next(struct webhooks *w, struct hook *h)
{
	const struct outbox_item *first = h->queue.first;
	const struct record *record = outbox_record(&w->outbox, first);

	if (!record)
		outbox_drop_first(&w->outbox, &h->queue);
	if (!record || record->is_busy || !is_allowed(w, h))
		return;
	h->under_way = make_message(w, h, record, first->subject);
	if (h->under_way && courier_submit(w->courier, &h->under_way->job) == 0)
		return;
	free_message(h->under_way);
	h->under_way = NULL;
}

static void answered(struct courier_job *job)
{
	struct message *m = (struct message *)job;
	struct webhooks *w = m->webhooks;
	struct hook *h = find_hook(w, m->hook_id);

	if (h && h->under_way == m) {
		h->under_way = NULL;
		tried(h, job);
		if (job->status >= ACCEPTED && job->status < REDIRECTED)
			delivered(w, h);
		else
			failed(w, h, job);
		if (h->queue.first && h->settings.is_enabled && h->next_ns == 0)
			send_next(w, h);
	}
	free_message(m);
}

/* --- What was committed --- */

static void take_event(struct webhooks *w, int64_t id, const char *name, const char *body,
		       int64_t subject)
{
	struct hook *h = find_hook(w, outbox_receiver(name));

	if (outbox_take(&w->outbox, h ? &h->queue : NULL, id, event_body_missed_count(body),
			subject) != 0)
		log_error("an event waits for the next start: no memory");
}

/* The number of what an event is about is that of the change before it. */
static void note(void *context, const struct store_change *c, const struct peer *peer)
{
	struct webhooks *w = context;
	const struct store_record *r = &c->record;

	(void)peer;
	if (c->kind == STORE_ADD_PEER)
		w->subject = c->peer.id;
	if (c->kind != STORE_PUT_RECORD && c->kind != STORE_DROP_RECORD)
		return;
	if (r->kind != STORE_OUTBOX)
		w->subject = r->id;
	if (r->kind == STORE_OUTBOX && c->kind == STORE_PUT_RECORD && r->id > w->newest) {
		w->newest = r->id;
		take_event(w, r->id, r->name, r->body, w->subject);
	} else if (r->kind == STORE_WEBHOOK && c->kind == STORE_PUT_RECORD) {
		take_hook(w, r->id, r->body);
	} else if (r->kind == STORE_WEBHOOK) {
		remove_hook(w, r->id);
	}
}

/* --- Life --- */

/* After a restart the number of what was made is looked up, by its key. */
static int64_t subject_of(const struct webhooks *w, const char *body)
{
	static const char name[] = "\"public_key\":\"";
	const char *at = strstr(body, name);
	const struct peer *peer;
	uint8_t key[32];

	if (!at || strlen(at) < sizeof(name) + KEY_BASE64_LEN ||
	    key_from_base64(at + sizeof(name) - 1, KEY_BASE64_LEN, key) != 0)
		return 0;
	peer = peers_find_key(gateway_peers(w->gateway), key);
	return peer ? peer->id : 0;
}

static void load(struct webhooks *w)
{
	const struct records *records = gateway_records(w->gateway);
	const struct record *one = records_after(records, STORE_WEBHOOK, 0);

	for (; one; one = one->next)
		take_hook(w, one->id, one->body);
	for (one = records_after(records, STORE_OUTBOX, 0); one; one = one->next) {
		w->newest = one->id;
		take_event(w, one->id, one->name, one->body, subject_of(w, one->body));
	}
}

int webhooks_new(struct gateway *g, const struct webhooks_config *config, struct webhooks **ret)
{
	struct webhooks *w = calloc(1, sizeof(*w));
	struct text body = { .data = NULL };
	int err;

	if (!w)
		return -ENOMEM;
	w->gateway = g;
	w->config = *config;
	w->outbox.gateway = g;
	err = courier_new(config->allows_private, &w->courier);
	if (err != 0) {
		free(w);
		return err;
	}
	load(w);
	gateway_set_announcer(g, announce, w);
	gateway_listen(g, note, w);
	/* Who came and went meanwhile nobody saw: whoever keeps a list makes it anew now. */
	event_body_plain(&body, interface_of(w), "gateway.started", clock_wall_ns());
	tell_all(w, "gateway.started", &body, clock_wall_ns());
	text_done(&body);
	*ret = w;
	return 0;
}

struct webhooks *webhooks_free(struct webhooks *w)
{
	if (!w)
		return NULL;
	gateway_set_announcer(w->gateway, NULL, NULL);
	courier_free(w->courier);
	for (struct hook *next, *h = w->hooks; h; h = next) {
		next = h->next;
		free_message(h->under_way);
		hook_free(h);
	}
	outbox_done(&w->outbox);
	free(w);
	return NULL;
}

const struct webhooks_config *webhooks_config(const struct webhooks *w)
{
	return &w->config;
}

static enum webhook_mood mood_of(const struct webhooks *w, const struct hook *h)
{
	if (!h->settings.is_enabled)
		return WEBHOOK_DISABLED;
	if (h->failures == 0)
		return WEBHOOK_OK;
	return is_failing(w, h) ? WEBHOOK_FAILING : WEBHOOK_RETRYING;
}

bool webhooks_state(const struct webhooks *w, int64_t id, struct webhook_state *ret)
{
	const struct hook *h = find_hook(w, id);
	uint64_t now_ns = clock_boot_ns();

	if (!h)
		return false;
	*ret = h->state;
	ret->mood = mood_of(w, h);
	ret->pending = h->queue.n;
	if (h->queue.first && h->next_ns > now_ns && h->settings.is_enabled)
		ret->next_ns = clock_wall_ns() + (h->next_ns - now_ns);
	return true;
}

void webhooks_totals(const struct webhooks *w, struct webhook_state *ret)
{
	*ret = w->gone;
	for (const struct hook *h = w->hooks; h; h = h->next) {
		ret->pending += h->queue.n;
		add_numbers(ret, &h->state);
	}
}

int webhooks_test(struct webhooks *w, int64_t id, const struct gateway_grant *grant,
		  gateway_done done, void *context, char ret_id[OUTBOX_MESSAGE_ID_MAX])
{
	struct hook *h = find_hook(w, id);
	struct text body = { .data = NULL };
	uint8_t random[OUTBOX_RANDOM_LEN];
	struct store_change *event = NULL;
	char name[STORE_NAME_MAX + 1];
	int err;

	if (!h)
		return ERR_UNKNOWN;
	random_fill(random, sizeof(random));
	outbox_name(id, random, name);
	outbox_message_id(name, ret_id);
	event_body_plain(&body, interface_of(w), "webhook.test", grant->now_ns);
	err = make_event(w, h, random, &body, grant->now_ns, &event);
	text_done(&body);
	if (err != 0)
		return err;
	h->next_ns = 0;
	return gateway_put_event(w->gateway, event, "webhook.test", grant, done, context);
}

int webhooks_fd(const struct webhooks *w)
{
	return courier_fd(w->courier);
}

void webhooks_collect(struct webhooks *w)
{
	courier_collect(w->courier);
}

/* Return: in how many nanoseconds it has something to do; UINT64_MAX: nothing. */
static uint64_t look_after(struct webhooks *w, struct hook *h, uint64_t now_ns)
{
	uint64_t n = outbox_trim(&w->outbox, &h->queue, h->under_way != NULL);

	if (n > 0)
		log_warning("webhook %" PRId64 ": too many events wait; %" PRIu64
			    " of the oldest were dropped",
			    h->id, n);
	h->state.missed += n;
	if (h->unsaid > 0)
		say_missed(w, h);
	if (!h->queue.first || h->under_way || !h->settings.is_enabled)
		return UINT64_MAX;
	if (now_ns < h->next_ns)
		return h->next_ns - now_ns;
	send_next(w, h);
	return UINT64_MAX;
}

int webhooks_tick(struct webhooks *w, uint64_t now_ns)
{
	uint64_t wait_ns = TICK_MS * MS_NS;

	outbox_tick(&w->outbox, now_ns);
	for (struct hook *h = w->hooks; h; h = h->next) {
		uint64_t one_ns = look_after(w, h, now_ns);

		wait_ns = one_ns < wait_ns ? one_ns : wait_ns;
	}
	return (int)(wait_ns / MS_NS) + 1;
}
