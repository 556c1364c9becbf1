/* SPDX-License-Identifier: Apache-2.0 */
#include "api/webhooks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/key_text.h"
#include "api/objects.h"
#include "api/time_text.h"
#include "gateway/webhook_record.h"

static const char not_there[] = "There is no such webhook";

/* --- Telling --- */

static const char *mood_word(enum webhook_mood mood)
{
	static const char *const words[] = {
		[WEBHOOK_OK] = "ok",
		[WEBHOOK_RETRYING] = "retrying",
		[WEBHOOK_FAILING] = "failing",
		[WEBHOOK_DISABLED] = "disabled",
	};

	return words[mood];
}

static json_t *time_or_null(uint64_t wall_ns)
{
	char text[TIME_TEXT_MAX];

	return wall_ns ? json_string(time_text_utc(wall_ns, text)) : json_null();
}

static json_t *last_json(const struct webhook_state *s)
{
	if (s->last_ns == 0)
		return json_null();
	return json_pack("{s:o, s:o, s:s?}", "time", time_or_null(s->last_ns), "status",
			 s->last_status ? json_integer(s->last_status) : json_null(), "error",
			 s->last_status ? NULL : s->last_why);
}

static json_t *delivery_json(const struct call *call, int64_t id)
{
	struct webhook_state s = { .mood = WEBHOOK_OK };

	(void)webhooks_state(call->api->webhooks, id, &s);
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:o, s:o}", "state", mood_word(s.mood),
			 "pending", (json_int_t)s.pending, "delivered", (json_int_t)s.delivered,
			 "failed", (json_int_t)s.failed, "missed", (json_int_t)s.missed, "last",
			 last_json(&s), "next_try", time_or_null(s.next_ns));
}

static json_t *events_json(const struct webhook_record *w)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < w->n_events; i++)
		json_array_append_new(list, json_string(w->events[i]));
	return list;
}

static json_t *webhook_json(const struct call *call, const struct record *record)
{
	char created[TIME_TEXT_MAX];
	struct webhook_record w;
	json_t *json;

	if (webhook_record_read(record->body, &w) != 0)
		return NULL;
	json = json_pack("{s:I, s:s, s:s, s:o, s:b, s:s?, s:s, s:o}", "id",
			 (json_int_t)record->id, "name", record->name, "url", w.url, "events",
			 events_json(&w), "enabled", (int)w.is_enabled, "note",
			 w.note[0] ? w.note : NULL, "created",
			 time_text_utc(record->created_ns, created), "delivery",
			 delivery_json(call, record->id));
	webhook_record_done(&w);
	return json;
}

void webhooks_list(struct call *call)
{
	const struct record *one = records_after(object_records(call), STORE_WEBHOOK, 0);
	json_t *list = json_array();

	for (; one; one = one->next) /* there are at most WEBHOOKS_MAX */
		json_array_append_new(list, webhook_json(call, one));
	call_reply(call, 200, json_pack("{s:o}", "webhooks", list));
}

void webhooks_show(struct call *call)
{
	const struct record *one = object_find(call, STORE_WEBHOOK);

	if (one)
		call_reply(call, 200, webhook_json(call, one));
	else
		call_refuse(call, 404, not_there);
}

/* --- Reading --- */

static void read_url(const struct call *call, struct json_reader *r, bool required,
		     struct webhook_record *w)
{
	const struct webhooks_config *config = webhooks_config(call->api->webhooks);
	const char *url = NULL;
	struct diag d = { .text = "" };

	json_take_text(r, "url", required, WEBHOOK_URL_MAX, &url);
	if (!url)
		return;
	if (webhook_url_check(url, config->allows_private, config->allows_plain, &d) != 0)
		json_refuse(r, "url", "value_error", d.text);
	else
		snprintf(w->url, sizeof(w->url), "%s", url);
}

static void read_events(struct json_reader *r, struct webhook_record *w)
{
	const json_t *list = NULL, *one;
	size_t i;

	json_take_list(r, "events", &list);
	if (!list)
		return;
	if (!json_is_array(list) || json_array_size(list) == 0 ||
	    json_array_size(list) > WEBHOOK_EVENTS_MAX) {
		json_refuse(r, "events", "value_error", "A list of 1 to 32 names of events");
		return;
	}
	w->n_events = 0;
	json_array_foreach(list, i, one)
	{
		const char *text = json_string_value(one);

		if (!text || strlen(text) > EVENT_NAME_MAX || !event_pattern_is_known(text)) {
			json_refuse(r, "events", "value_error",
				    "No event is called that; such as peer.created, peer.*, *");
			return;
		}
		memcpy(w->events[w->n_events++], text, strlen(text) + 1);
	}
}

/* "secret": a text is the caller's own, true one that is made here. The one before is good for a while
 * longer, so that the receiver can follow. */
static void read_secret(struct call *call, struct json_reader *r, struct webhook_record *w)
{
	const json_t *value = json_object_get(r->object, "secret");
	struct webhook_secret fresh = { .len = 0 };

	if (!value || json_is_null(value) || json_is_false(value))
		return;
	if (json_is_true(value)) {
		webhook_secret_make(&fresh);
	} else if (!json_is_string(value) ||
		   webhook_secret_parse(json_string_value(value), &fresh) != 0) {
		json_refuse(r, "secret", "value_error",
			    "A secret is whsec_ and base64 of 24 to 64 octets, or true");
		return;
	}
	w->former = w->secret;
	w->former_until_ns =
		w->secret.len > 0 ? call->now_ns + (uint64_t)WEBHOOK_FORMER_S * 1000000000 : 0;
	w->secret = fresh;
	webhook_secret_done(&fresh);
}

static void read_rest(struct call *call, struct json_reader *r, struct webhook_record *w)
{
	const char *note = NULL;

	read_events(r, w);
	json_take_bool(r, "enabled", false, &w->is_enabled);
	if (json_object_get(r->object, "note"))
		w->note[0] = '\0';
	json_take_text(r, "note", false, STORE_NOTE_MAX, &note);
	if (note)
		snprintf(w->note, sizeof(w->note), "%s", note);
	read_secret(call, r, w);
	json_refuse_unknown(r, (const char *const[]){ "name", "url", "events", "enabled",
						      "note", "secret", NULL });
}

/* --- Changing --- */

/* The only replies that have the secret: it was made or sent with this request. */
static json_t *with_secret(const struct call *call, const struct record *record)
{
	json_t *json = webhook_json(call, record);
	char text[WEBHOOK_SECRET_TEXT_MAX];
	struct webhook_record w;

	if (!json || !call->tells_secret || webhook_record_read(record->body, &w) != 0)
		return json;
	webhook_secret_format(&w.secret, text);
	json_object_set_new(json, "secret", json_string(text));
	secret_wipe(text, sizeof(text));
	webhook_record_done(&w);
	return json;
}

static void made(struct call *call, int err, unsigned int status)
{
	const struct record *one = object_made(call, STORE_WEBHOOK, err);

	if (one)
		call_reply(call, status, with_secret(call, one));
}

static void created(void *context, int err, int carried, const struct peer *peer)
{
	(void)carried, (void)peer;
	made(context, err, 201);
}

static void changed(void *context, int err, int carried, const struct peer *peer)
{
	(void)carried, (void)peer;
	made(context, err, 200);
}

static void put(struct call *call, int64_t id, const char *name, const struct webhook_record *w)
{
	struct gateway_grant grant = call_grant(call);
	struct text body = { .data = NULL };
	int err;

	webhook_record_write(w, &body);
	call->id = id;
	err = body.err;
	if (err == 0)
		err = gateway_put_record(call->api->gateway, STORE_WEBHOOK, id, name, body.data,
					 id ? "webhook.update" : "webhook.create", &grant,
					 id ? changed : created, call);
	text_done(&body);
	object_follow_put(call, err);
}

void webhooks_create(struct call *call)
{
	struct webhook_record w = { .is_enabled = true, .n_events = 1, .events = { "*" } };
	struct json_reader r;
	const char *name;

	if (!call_read_members(call, &r))
		return;
	name = object_read_name(&r, true);
	read_url(call, &r, true, &w);
	read_rest(call, &r, &w);
	call->tells_secret = true;
	if (w.secret.len == 0)
		webhook_secret_make(&w.secret);
	if (call_end_members(call, &r)) {
		if (records_count(object_records(call), STORE_WEBHOOK) >= WEBHOOKS_MAX)
			call_conclude_refusal(call, 409, "There are at most 8 webhooks");
		else
			put(call, 0, name, &w);
	}
	webhook_record_done(&w);
}

void webhooks_change(struct call *call)
{
	const struct record *one = object_find(call, STORE_WEBHOOK);
	struct json_reader r;
	struct webhook_record w;
	const char *name;

	if (!one) {
		call_conclude_refusal(call, 404, not_there);
		return;
	}
	if (!call_read_members(call, &r))
		return;
	if (webhook_record_read(one->body, &w) != 0) {
		json_reader_done(&r);
		call_fail(call, ERR_CORRUPT, NULL);
		return;
	}
	name = object_read_name(&r, false);
	read_url(call, &r, false, &w);
	call->tells_secret = json_is_true(json_object_get(call->body, "secret"));
	read_rest(call, &r, &w);
	if (call_end_members(call, &r))
		put(call, one->id, name ? name : one->name, &w);
	webhook_record_done(&w);
}

void webhooks_delete(struct call *call)
{
	object_drop(call, STORE_WEBHOOK, "webhook.delete", "It is in use");
}

static void tried(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;

	(void)carried, (void)peer;
	if (err != 0) {
		call_fail(call, err, NULL);
		return;
	}
	call_reply(call, 202,
		   json_pack("{s:s, s:O}", "status", "queued", "message", call->value));
}

void webhooks_try(struct call *call)
{
	const struct record *one = object_find(call, STORE_WEBHOOK);
	struct gateway_grant grant = call_grant(call);
	char id[OUTBOX_MESSAGE_ID_MAX];
	int err;

	if (!one) {
		call_conclude_refusal(call, 404, not_there);
		return;
	}
	err = webhooks_test(call->api->webhooks, one->id, &grant, tried, call, id);
	if (err == 0)
		call->value = json_string(id);
	object_follow_put(call, err);
}
