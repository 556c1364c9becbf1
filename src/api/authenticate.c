/* SPDX-License-Identifier: Apache-2.0 */
#include "api/authenticate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/key_record.h"
#include "api/key_text.h"
#include "api/users.h"
#include "auth/agent_hmac.h"
#include "auth/bearer.h"
#include "auth/peercred.h"
#include "base/utf8.h"
#include "host/messages.h"
#include "sys/clock.h"

enum { WAIT_TEXT_MAX = 16 };

/* Whoever fails too often waits. */
static void note_failure(struct call *call)
{
	penalty_failed(call->api->failures, &http_exchange_request(call->x)->remote,
		       clock_boot_ns());
}

/* --- Signed --- */

static const char needs_version_2[] =
	"Say who you are: a key of this gateway as Authorization: Bearer KEY ('culvert gateway key"
	" add NAME' makes one), or a signature of version 2: X-Signature-Version: 2 and X-Nonce";

static const char reboot_needs_version_2[] =
	"A reboot needs a signature of version 2: X-Signature-Version: 2 and X-Nonce";

static json_t *missing_header(const char *name)
{
	return json_pack("{s:s, s:[s, s], s:s, s:n}", "type", "missing", "loc", "header", name,
			 "msg", "Field required", "input");
}

/* 422 with one entry per header that is not there. */
static void refuse_missing(struct call *call, const struct hmac_request *r)
{
	json_t *errors = json_array();

	if (!r->signature)
		json_array_append_new(errors, missing_header("signature"));
	if (!r->timestamp)
		json_array_append_new(errors, missing_header("timestamp"));
	call_refuse_fields(call, errors);
}

/* The spaced JSON of the member "status", if it is a word that needs no escapes. */
static void canonical_status(const struct http_request *r, struct text *out)
{
	json_t *body = NULL;
	const char *word;

	if (json_parse(r->body, r->body_len, &body, NULL) != 0)
		return;
	word = json_string_value(json_object_get(body, "status"));
	if (word && strspn(word, "abcdefghijklmnopqrstuvwxyz") == strlen(word))
		text_printf(out, "{\"status\": \"%s\"}", word);
	json_decref(body);
}

/* The route and the peer it is about: the query means nothing here, and a key in a path may
 * be written in several ways. */
static void name_resource(const struct route_match *m, struct text *out)
{
	char key_text[KEY_BASE64_LEN + 1];
	uint8_t key[32];

	text_puts(out, m->route->pattern);
	if (!m->part)
		return;
	text_puts(out, " ");
	if (key_text_from_path(m->part, m->part_len, key) == 0) {
		key_to_base64(key, key_text);
		text_puts(out, key_text);
	} else {
		text_add(out, m->part, m->part_len);
	}
}

static struct hmac_request describe(const struct call *call)
{
	const struct http_request *r = http_exchange_request(call->x);
	const char *version = http_exchange_header(call->x, "X-Signature-Version");
	struct hmac_request h = {
		.method = r->method_text,
		.target = r->target,
		.signature = http_exchange_header(call->x, "signature"),
		.timestamp = http_exchange_header(call->x, "timestamp"),
		.nonce = http_exchange_header(call->x, "X-Nonce"),
		.body = r->body,
		.body_len = r->body_len,
		.signed_body = r->body,
		.signed_body_len = r->body_len,
		.is_v2 = version && strcmp(version, "2") == 0,
		.changes = r->method != HTTP_GET,
	};

	h.reads_nonce = call->match.route->reads_nonce;
	if (call->match.route->signs == ROUTE_SIGNS_NOTHING ||
	    call->match.route->signs == ROUTE_SIGNS_REBOOT)
		h.signed_body_len = 0;
	return h;
}

/* Three routes sign a text of their own, whatever the body is. */
static void describe_action(const struct call *call, struct hmac_request *h, struct text *out)
{
	const struct route_match *m = &call->match;

	switch (m->route->signs) {
	case ROUTE_SIGNS_STOP:
	case ROUTE_SIGNS_START:
		text_puts(out, "{\"service\": \"");
		text_add(out, m->part, m->part_len);
		text_printf(out, "\", \"action\": \"%s\"}",
			    m->route->signs == ROUTE_SIGNS_STOP ? "stop" : "start");
		break;
	case ROUTE_SIGNS_WIPE:
		text_puts(out, "{\"action\": \"wipe\", \"confirm\": true}");
		break;
	default:
		return;
	}
	h->signed_body = out->data;
	h->signed_body_len = out->len;
}

static bool judge(struct call *call, const struct hmac_request *h)
{
	struct api *api = call->api;
	enum hmac_verdict v =
		hmac_judge(&api->key, api->cache, call->now_ns / 1000000000, h, &call->use);

	if (v == HMAC_ACCEPTED) {
		call->who.kind = PRINCIPAL_API_KEY;
		call->who.role = ROLE_ADMIN;
		memcpy(call->who.name, "api-key", sizeof("api-key"));
		return true;
	}
	if (v == HMAC_INVALID_SIGNATURE)
		note_failure(call);
	call_refuse(call, v == HMAC_CACHE_FULL ? 503 : 401, hmac_verdict_text(v));
	return false;
}

/* Version 1 signs neither method nor path: that of any GET, which is not spent, would do for a reboot. What
 * stops, starts and wipes signs a text of its own. */
static bool would_reboot(const struct call *call)
{
	return call->match.route->signs == ROUTE_SIGNS_REBOOT &&
	       call->api->actions & UINT32_C(1) << HOST_ACTION_REBOOT;
}

static bool authenticate_signed(struct call *call, bool needs_v2)
{
	const char *version = http_exchange_header(call->x, "X-Signature-Version");
	struct hmac_request h = describe(call);
	struct text canonical = { .data = NULL }, resource = { .data = NULL };
	struct text action = { .data = NULL };
	bool accepted;

	if (!h.signature || !h.timestamp) {
		if (needs_v2)
			call_refuse(call, 401, needs_version_2);
		else
			refuse_missing(call, &h);
		return false;
	}
	if (needs_v2 && !h.is_v2) {
		call_refuse(call, 401, needs_version_2);
		return false;
	}
	if (!h.is_v2 && call->api->needs_version_2) {
		call_refuse(call, 401, "Signatures of version 1 are switched off here");
		return false;
	}
	if (!h.is_v2 && would_reboot(call)) {
		call_refuse(call, 401, reboot_needs_version_2);
		return false;
	}
	if (version && !h.is_v2 && strcmp(version, "1") != 0) {
		call_refuse(call, 401, hmac_verdict_text(HMAC_INVALID_SIGNATURE));
		return false;
	}
	if (call->match.route->signs == ROUTE_SIGNS_STATUS)
		canonical_status(http_exchange_request(call->x), &canonical);
	h.canonical = canonical.data;
	h.canonical_len = canonical.len;
	describe_action(call, &h, &action);
	name_resource(&call->match, &resource);
	h.resource = resource.err == 0 ? resource.data : NULL;
	accepted = judge(call, &h);
	text_done(&resource);
	text_done(&canonical);
	text_done(&action);
	return accepted;
}

/* --- Keys of ours --- */

static bool refuse_key(struct call *call)
{
	note_failure(call);
	call_refuse(call, 401, "This key is not known, or not any more");
	return false;
}

/* "key NAME"; of a name that is too long "key #ID " and as much as there is place for, cut between
 * characters: two keys are never one in the audit trail. */
static void name_key(char out[PRINCIPAL_NAME_MAX + 1], const char *name, int64_t id)
{
	size_t at = (size_t)snprintf(out, PRINCIPAL_NAME_MAX + 1, "key "), n;

	if (at + strlen(name) > PRINCIPAL_NAME_MAX)
		at = (size_t)snprintf(out, PRINCIPAL_NAME_MAX + 1, "key #%" PRId64 " ", id);
	for (; *name; name += n) {
		n = utf8_len(name, strlen(name));
		if (n == 0 || at + n > PRINCIPAL_NAME_MAX)
			break;
		memcpy(out + at, name, n);
		at += n;
	}
	out[at] = '\0';
}

/* An unknown number takes as long as a wrong secret. */
static bool authenticate_key(struct call *call, const char *value)
{
	const struct records *records = gateway_records(call->api->gateway);
	struct key_record key = { .role = ROLE_NONE };
	const struct record *record;
	struct bearer given;
	int64_t given_id;
	bool is_known;

	if (bearer_parse(value, &given) != 0)
		return refuse_key(call);
	given_id = given.id;
	record = records_find_id(records, STORE_KEY, given_id);
	is_known = record && key_record_read(record->body, &key) == 0;
	if (!bearer_matches(given.secret, is_known ? key.digest : NULL))
		is_known = false;
	secret_wipe(&given, sizeof(given));
	if (!is_known || (key.expires_ns != 0 && key.expires_ns <= call->now_ns))
		return refuse_key(call);
	call->who.kind = PRINCIPAL_KEY;
	call->who.role = key.role;
	call->who.account_id = key.account_id;
	call->who.key_id = given_id;
	name_key(call->who.name, record->name, given_id);
	return true;
}

/* --- The node agent --- */

static bool refuse_agent(struct call *call, const char *why)
{
	note_failure(call);
	call_refuse(call, 401, why);
	return false;
}

static bool judge_agent(struct call *call, const struct agent_request *r)
{
	struct api *api = call->api;

	call->who.kind = PRINCIPAL_AGENT;
	snprintf(call->who.name, sizeof(call->who.name), "agent");
	switch (agent_hmac_judge(&api->agent_key, api->agent_cache, call->now_ns / 1000000000,
				 r, &call->use)) {
	case HMAC_ACCEPTED:
		return true;
	case HMAC_REPLAY_DETECTED:
		if (call->use.has_nonce)
			return refuse_agent(call, "Invalid signature");
		/* Not done again, and not spent again. */
		call->is_repeated = true;
		call->use.has_digest = false;
		return true;
	case HMAC_TIMESTAMP_EXPIRED:
		call_refuse(call, 401, "Request timestamp too old");
		return false;
	case HMAC_INVALID_TIMESTAMP:
		call_refuse(call, 401, "Invalid timestamp");
		return false;
	case HMAC_INVALID_SIGNATURE:
		return refuse_agent(call, "Invalid signature");
	case HMAC_CACHE_FULL:
		break;
	}
	call_refuse(call, 503, hmac_verdict_text(HMAC_CACHE_FULL));
	return false;
}

static bool is_open_for_all(const struct call *call)
{
	bool is_metrics = strcmp(call->match.route->pattern, "/v1/metrics") == 0;

	return is_metrics ? call->api->agent_metrics_are_open : call->api->agent_health_is_open;
}

static bool authenticate_agent(struct call *call, bool may_be_open)
{
	const struct http_request *r = http_exchange_request(call->x);
	const struct agent_request a = {
		.method = r->method_text,
		.target = r->target,
		.body = r->body,
		.body_len = r->body_len,
		.timestamp = http_exchange_header(call->x, "X-Timestamp"),
		.nonce = http_exchange_header(call->x, "X-Nonce"),
		.signature = http_exchange_header(call->x, "X-Signature"),
		.changes = r->method != HTTP_GET,
	};

	if (may_be_open && !a.signature && is_open_for_all(call))
		return true;
	if (!a.signature || !a.timestamp) {
		call_refuse(call, 401, "Missing X-Signature or X-Timestamp header");
		return false;
	}
	return judge_agent(call, &a);
}

/* --- By route --- */

static bool authenticate_local(struct call *call)
{
	const struct http_request *r = http_exchange_request(call->x);

	call->who.role = ROLE_ADMIN;
	if (peercred_judge(&r->caller, call->api->own_uid, &call->who) == 0)
		return true;
	call_refuse(call, 403, "Only root and the gateway's own user may use this socket");
	return false;
}

static bool has_role(struct call *call, enum principal_role needed)
{
	if (call->who.role >= needed)
		return true;
	call_refuse(call, 403, "The role of this key does not allow that");
	return false;
}

static bool authenticate_own(struct call *call, enum principal_role needed)
{
	const char *value = http_exchange_header(call->x, "Authorization");

	if (http_exchange_request(call->x)->is_local)
		return authenticate_local(call);
	if (value)
		return authenticate_key(call, value) && has_role(call, needed);
	return authenticate_signed(call, true);
}

static bool by_route(struct call *call)
{
	switch (call->match.route->auth) {
	case ROUTE_OPEN:
		return true;
	case ROUTE_SIGNED:
		return authenticate_signed(call, false);
	case ROUTE_READ:
		return authenticate_own(call, ROLE_READER);
	case ROUTE_OPERATE:
		return authenticate_own(call, ROLE_OPERATOR);
	case ROUTE_ADMINISTER:
		return authenticate_own(call, ROLE_ADMIN);
	case ROUTE_AGENT:
		return authenticate_agent(call, false);
	case ROUTE_AGENT_OPEN:
		return authenticate_agent(call, true);
	case ROUTE_MASTER:
		return users_authenticate(call, true);
	case ROUTE_USER:
		return users_authenticate(call, false);
	}
	call_refuse(call, 403, "Nobody may do that here");
	return false;
}

bool authenticate(struct call *call)
{
	const struct ip_addr *from = &http_exchange_request(call->x)->remote;
	uint64_t now_ns = clock_boot_ns();
	unsigned int wait_s = penalty_wait_s(call->api->failures, from, now_ns);

	if (wait_s > 0 && call->match.route->auth != ROUTE_OPEN) {
		call_refuse_for(call, wait_s, "Too many failures; wait");
		return false;
	}
	wait_s = allowance_source(&call->api->allowance, from, now_ns);
	if (wait_s == 0 && !by_route(call))
		return false;
	if (wait_s == 0 && call->match.route->auth != ROUTE_OPEN)
		wait_s = allowance_key(&call->api->allowance, &call->who, from, now_ns);
	if (wait_s > 0)
		call_refuse_for(call, wait_s, "Too many requests; wait");
	return wait_s == 0;
}
