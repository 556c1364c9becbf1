/* SPDX-License-Identifier: Apache-2.0 */
#include "api/call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/log.h"

enum { IDEMPOTENCY_KEY_MAX = 255 };

static void call_free(struct call *call)
{
	secret_key_done(&call->private_key);
	secret_key_done(&call->preshared_key);
	json_decref(call->body);
	json_decref(call->value);
	e2e_done(&call->e2e);
	free(call);
}

/* --- Sending --- */

static void answer(struct call *call, struct http_reply *reply)
{
	if (reply->status == 405)
		http_reply_add(reply, "Allow", call->match.allow);
	else if (reply->status == 503)
		http_reply_add(reply, "Retry-After", "1");
	else if (reply->status == 401 && call->surface->challenge)
		http_reply_add(reply, "WWW-Authenticate", call->surface->challenge);
	call->api->answers[reply->status / 100]++;
	http_reply(call->x, reply);
	call_free(call);
}

static void send_text(struct call *call, unsigned int status, const char *type,
		      const char *text)
{
	struct http_reply reply = { .status = status, .content_type = type };

	text_puts(&reply.body, text);
	answer(call, &reply);
}

static void send_json_with(struct call *call, unsigned int status, const char *type,
			   json_t *value, const char *name, const char *field)
{
	struct http_reply reply = { .status = status, .content_type = type };
	bool written = value && json_write(value, &reply.body) == 0 && reply.body.err == 0;

	json_decref(value);
	if (written) {
		if (name)
			http_reply_add(&reply, name, field);
		answer(call, &reply);
		return;
	}
	text_done(&reply.body);
	send_text(call, 500, "application/json", "{\"detail\":\"Internal Server Error\"}");
}

static void send_json(struct call *call, unsigned int status, const char *type, json_t *value)
{
	send_json_with(call, status, type, value, NULL, NULL);
}

static const char *title_of(unsigned int status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 409:
		return "Conflict";
	case 413:
		return "Content Too Large";
	case 414:
		return "URI Too Long";
	case 412:
		return "Precondition Failed";
	case 422:
		return "Unprocessable Content";
	case 429:
		return "Too Many Requests";
	case 431:
		return "Request Header Fields Too Large";
	case 501:
		return "Not Implemented";
	case 503:
		return "Service Unavailable";
	case 507:
		return "Insufficient Storage";
	default:
		return "Internal Server Error";
	}
}

static json_t *problem(unsigned int status, const char *detail)
{
	return json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title",
			 title_of(status), "status", (int)status, "detail", detail);
}

/* An error in the words of @family. NULL for plain text. */
static json_t *error_value(enum surface_family family, unsigned int status, const char *text)
{
	switch (family) {
	case SURFACE_DETAIL:
		return json_pack("{s:s}", "detail", text);
	case SURFACE_PROBLEM:
		return problem(status, text);
	case SURFACE_ERROR:
		return json_pack("{s:s}", "error", text);
	case SURFACE_TEXT:
		break;
	}
	return NULL;
}

static const char *error_type(enum surface_family family)
{
	if (family == SURFACE_PROBLEM)
		return "application/problem+json";
	return family == SURFACE_TEXT ? "text/plain; charset=utf-8" : "application/json";
}

static void send_error(struct call *call, unsigned int status, const char *text)
{
	enum surface_family family = call->surface->family;

	if (family == SURFACE_TEXT)
		send_text(call, status, error_type(family), text);
	else
		send_json(call, status, error_type(family), error_value(family, status, text));
}

static const char *reason_of(int err);

/* --- Answers --- */

void call_reply(struct call *call, unsigned int status, json_t *value)
{
	send_json(call, status, "application/json", value);
}

void call_reply_with(struct call *call, unsigned int status, json_t *value, const char *name,
		     const char *field)
{
	send_json_with(call, status, "application/json", value, name, field);
}

void call_reply_static(struct call *call, const char *type, const void *data, size_t len,
		       const char *name, const char *field)
{
	struct http_reply reply = { .status = 200, .content_type = type };

	text_add(&reply.body, data, len);
	if (reply.body.err != 0) {
		text_done(&reply.body);
		call_fail(call, -ENOMEM, NULL);
		return;
	}
	if (name)
		http_reply_add(&reply, name, field);
	answer(call, &reply);
}

void call_reply_text(struct call *call, unsigned int status, const char *text)
{
	send_text(call, status, "text/plain; charset=utf-8", text);
}

void call_reply_body(struct call *call, const char *type, struct text *body)
{
	struct http_reply reply = { .status = 200, .content_type = type };

	if (body->err != 0) {
		text_done(body);
		send_error(call, 503, reason_of(-ENOMEM));
		return;
	}
	reply.body = *body;
	*body = (struct text){ .data = NULL };
	answer(call, &reply);
}

void call_reply_whole(struct call *call, unsigned int status, const char *type,
		      struct text *body, const struct http_field *fields, size_t n)
{
	struct http_reply reply = { .status = status, .content_type = type };

	if (body->err != 0) {
		text_done(body);
		send_error(call, 503, reason_of(-ENOMEM));
		return;
	}
	reply.body = *body;
	*body = (struct text){ .data = NULL };
	for (size_t i = 0; i < n; i++)
		http_reply_add(&reply, fields[i].name, fields[i].value);
	answer(call, &reply);
}

void call_reply_line(struct call *call, unsigned int status, json_t *value)
{
	struct http_reply reply = { .status = status, .content_type = "application/json" };
	bool written = value && json_write(value, &reply.body) == 0;

	json_decref(value);
	text_puts(&reply.body, "\n");
	if (written && reply.body.err == 0) {
		answer(call, &reply);
		return;
	}
	text_done(&reply.body);
	send_text(call, 500, "application/json", "{\"error\":\"Internal Server Error\"}");
}

void call_stream(struct call *call, const char *type,
		 ssize_t (*read)(void *context, char *out, size_t max),
		 void (*close)(void *context), void *context)
{
	struct http_reply reply = { .status = 200,
				    .content_type = type,
				    .stream = { read, close, context } };

	answer(call, &reply);
}

void call_refuse(struct call *call, unsigned int status, const char *text)
{
	send_error(call, status, text);
}

/* The same request may be sent again. */
static void forget_signature(struct call *call)
{
	hmac_forget(call->who.kind == PRINCIPAL_AGENT ? call->api->agent_cache
						      : call->api->cache,
		    &call->use);
}

void call_refuse_for(struct call *call, unsigned int wait_s, const char *text)
{
	enum surface_family family = call->surface->family;
	json_t *value = error_value(family, 429, text);
	struct http_reply reply = { .status = 429, .content_type = error_type(family) };
	char seconds[12];

	if (value)
		json_write(value, &reply.body);
	json_decref(value);
	forget_signature(call);
	snprintf(seconds, sizeof(seconds), "%u", wait_s);
	http_reply_add(&reply, "Retry-After", seconds);
	answer(call, &reply);
}

/* @errors are taken over. */
static void send_errors(struct call *call, unsigned int status, const char *text,
			json_t *errors)
{
	json_t *value = problem(status, text);

	if (!value || json_object_set_new(value, "errors", errors) != 0) {
		json_decref(value);
		value = NULL;
	}
	send_json(call, status, "application/problem+json", value);
}

void call_refuse_fields(struct call *call, json_t *errors)
{
	if (call->surface->family != SURFACE_PROBLEM)
		send_json(call, 422, "application/json", json_pack("{s:o}", "detail", errors));
	else
		send_errors(call, 422, "The request has members that are missing or wrong",
			    errors);
}

void call_redirect(struct call *call, const char *location)
{
	struct http_reply reply = { .status = 307, .content_type = "application/json" };

	http_reply_add(&reply, "Location", location);
	answer(call, &reply);
}

static unsigned int status_of(int err)
{
	switch (err) {
	case -ENOSPC:
		return 507;
	case -EIO:
	case -EBUSY:
	case -ENOMEM:
	case -ENOTCONN:
	case ERR_CORRUPT:
	case ERR_LIMIT:
		return 503;
	case ERR_EXISTS: /* two took the same at once */
		return 409;
	case ERR_UNKNOWN:
		return 404;
	default:
		return 500;
	}
}

static const char *reason_of(int err)
{
	switch (err) {
	case -ENOSPC:
		return "The disk is full; nothing was changed";
	case -EIO:
	case ERR_CORRUPT:
		return "The disk failed; nothing is accepted until the gateway is restarted";
	case -EBUSY:
		return "The database is locked by another program or cannot be reached";
	case -ENOMEM:
		return "Out of memory";
	case -ENOTCONN:
		return "The interface cannot be reached";
	case ERR_LIMIT:
		return "Too many changes at once";
	case ERR_EXISTS:
		return "Somebody else was faster: that is taken now";
	case ERR_UNKNOWN:
		return "That is gone by now";
	default:
		return err_text(err);
	}
}

void call_fail(struct call *call, int err, const char *text)
{
	unsigned int status = status_of(err);

	forget_signature(call);
	log_warning("%s failed: %s", call->match.route->pattern, err_text(err));
	send_error(call, status, text ? text : reason_of(err));
}

/* --- Answers that spend the signature --- */

struct conclusion {
	struct call *call;
	unsigned int status;
	json_t *value;	/* NULL: a refusal with @text */
	json_t *errors; /* of the refusal; NULL: none */
	char *text;	/* owned */
};

static void concluded(void *context, int err, int carried, const struct peer *peer)
{
	struct conclusion *c = context;

	(void)carried;
	(void)peer;
	if (err != 0) {
		json_decref(c->value);
		json_decref(c->errors);
		call_fail(c->call, err, NULL);
	} else if (c->value) {
		call_reply(c->call, c->status, c->value);
	} else if (c->errors) {
		send_errors(c->call, c->status, c->text, c->errors);
	} else {
		call_refuse(c->call, c->status, c->text);
	}
	free(c->text);
	free(c);
}

/* @as: what is answered, but its text, of which @text is copied. */
static void conclude(struct call *call, const struct conclusion *as, const char *text)
{
	struct gateway_grant grant = call_grant(call);
	struct conclusion *c = malloc(sizeof(*c));
	char *kept = text ? strdup(text) : NULL;
	int err = c && (kept || !text) ? 0 : -ENOMEM;

	if (err == 0) {
		*c = *as;
		c->call = call;
		c->text = kept;
		if (!grant.has_signature) {
			concluded(c, 0, 0, NULL);
			return;
		}
		err = gateway_record(call->api->gateway, &grant, concluded, c);
	}
	if (err != 0) {
		free(c);
		free(kept);
		json_decref(as->value);
		json_decref(as->errors);
		call_fail(call, err, NULL);
	}
}

void call_conclude(struct call *call, unsigned int status, json_t *value)
{
	if (!value)
		call_fail(call, -ENOMEM, NULL);
	else
		conclude(call, &(struct conclusion){ .status = status, .value = value }, NULL);
}

void call_conclude_refusal(struct call *call, unsigned int status, const char *text)
{
	conclude(call, &(struct conclusion){ .status = status }, text);
}

void call_conclude_errors(struct call *call, unsigned int status, const char *text,
			  json_t *errors)
{
	if (!errors)
		call_fail(call, -ENOMEM, NULL);
	else
		conclude(call, &(struct conclusion){ .status = status, .errors = errors },
			 text);
}

/* --- Reading --- */

/* Entries about the body as a whole have no member's name in their place. */
static void refuse_body(struct call *call, const char *type, const char *msg)
{
	call_refuse_fields(call, json_pack("[{s:s, s:[s], s:s, s:n}]", "type", type, "loc",
					   "body", "msg", msg, "input"));
}

bool call_read_object(struct call *call)
{
	const struct http_request *r = http_exchange_request(call->x);
	struct diag d = { .text = "" };
	char msg[DIAG_TEXT_MAX + 32];

	if (call->body) /* the handler runs again */
		return true;
	if (r->body_len == 0) {
		refuse_body(call, "missing", "Field required");
		return false;
	}
	if (json_parse(r->body, r->body_len, &call->body, &d) != 0) {
		snprintf(msg, sizeof(msg), "JSON decode error: %s", d.text);
		refuse_body(call, "json_invalid", msg);
		return false;
	}
	if (!json_is_object(call->body)) {
		refuse_body(call, "model_attributes_type",
			    "Input should be a valid dictionary");
		return false;
	}
	return true;
}

static bool is_visible(const char *text)
{
	while (*text > ' ' && *text <= '~')
		text++;
	return !*text;
}

bool call_read_idempotency_key(struct call *call)
{
	const char *key = http_exchange_header(call->x, "Idempotency-Key");
	const struct http_request *r = http_exchange_request(call->x);
	size_t len = key ? strlen(key) : 0;

	if (!key)
		return true;
	if (len == 0 || len > IDEMPOTENCY_KEY_MAX || !is_visible(key)) {
		call_refuse(call, 400, "An Idempotency-Key has 1 to 255 visible characters");
		return false;
	}
	/* Texts with their NUL: where one ends is part of it. */
	hash_parts(call->api->suite, call->answered_digest,
		   (const struct hash_part[]){ { call->who.name, strlen(call->who.name) + 1 },
					       { &call->who.key_id, sizeof(call->who.key_id) },
					       { key, len + 1 } },
		   3);
	hash_parts(call->api->suite, call->answered_fingerprint,
		   (const struct hash_part[]){ { r->method_text, strlen(r->method_text) + 1 },
					       { r->target, strlen(r->target) + 1 },
					       { r->body, r->body_len } },
		   3);
	call->has_answered = true;
	return true;
}

struct gateway_grant call_grant(const struct call *call)
{
	struct gateway_grant g = { .now_ns = call->now_ns };
	uint64_t now_s = call->now_ns / 1000000000;
	uint64_t window_s = call->api->window_s;

	if (call->api->agent_cache && call->api->agent_window_s > window_s)
		window_s = call->api->agent_window_s;
	snprintf(g.who, sizeof(g.who), "%s", call->who.name);
	g.frees_at_once = call->who.kind == PRINCIPAL_AGENT;
	g.has_signature = call->use.has_digest;
	g.signed_s = call->use.signed_s;
	g.forget_before_s = now_s > window_s ? now_s - window_s : 0;
	memcpy(g.digest, call->use.digest, sizeof(g.digest));
	g.has_answered = call->has_answered;
	memcpy(g.answered_digest, call->answered_digest, STORE_DIGEST_LEN);
	memcpy(g.answered_fingerprint, call->answered_fingerprint, STORE_DIGEST_LEN);
	return g;
}

static void again(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;

	(void)carried;
	(void)peer;
	if (err != 0)
		call_fail(call, err, NULL);
	else
		call->match.route->handle(call);
}

void call_again(struct call *call)
{
	int err = gateway_wait(call->api->gateway, again, call);

	if (err != 0)
		call_fail(call, err, NULL);
}

void call_refusal_body(void *context, unsigned int listener, struct http_reply *reply,
		       unsigned int status, const char *why)
{
	const struct api *api = context;
	enum surface_family family = api->listeners[listener].surfaces[0]->family;
	json_t *value;

	/* By contract its errors of this kind are ours to shape: they say which rule it was. */
	if (family == SURFACE_DETAIL)
		family = SURFACE_PROBLEM;
	value = error_value(family, status, why);
	reply->status = status;
	reply->content_type = error_type(family);
	if (family == SURFACE_TEXT)
		text_puts(&reply->body, why);
	else if (!value || json_write(value, &reply->body) != 0)
		text_clear(&reply->body);
	json_decref(value);
}
