/* SPDX-License-Identifier: Apache-2.0 */
#include "api/dispatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/configurations.h"
#include "api/key_text.h"
#include "api/obfuscation.h"
#include "api/peers.h"
#include "api/status.h"
#include "auth/peercred.h"
#include "sys/clock.h"
#include "sys/log.h"

static const struct route routes[] = {
	/* The gateway contract. */
	ROUTE(HTTP_POST, "/api/v1/configurations/", ROUTE_SIGNED, ROUTE_SIGNS_RAW_BODY,
	      configurations_create),
	ROUTE(HTTP_POST, "/api/v1/configurations", ROUTE_OPEN, ROUTE_SIGNS_NOTHING,
	      configurations_redirect),
	ROUTE(HTTP_PUT, "/api/v1/configurations/{}/status", ROUTE_SIGNED, ROUTE_SIGNS_STATUS,
	      configurations_set_status),
	ROUTE(HTTP_DELETE, "/api/v1/configurations/{}", ROUTE_SIGNED, ROUTE_SIGNS_NOTHING,
	      configurations_delete),
	ROUTE(HTTP_GET, "/api/v1/ip-usage", ROUTE_SIGNED, ROUTE_SIGNS_NOTHING, status_ip_usage),
	ROUTE(HTTP_GET, "/api/v1/server/status", ROUTE_SIGNED, ROUTE_SIGNS_NOTHING,
	      status_server),
	/* Ours. */
	ROUTE(HTTP_GET, "/api/v1/peers", ROUTE_LOCAL_OR_SIGNED, ROUTE_SIGNS_RAW_BODY,
	      peers_list),
	ROUTE(HTTP_POST, "/api/v1/peers", ROUTE_LOCAL_OR_SIGNED, ROUTE_SIGNS_RAW_BODY,
	      peers_create),
	/* Before the next: a name has no slash, and a key none of these words behind one. */
	ROUTE(HTTP_GET, "/api/v1/peers/{}/configuration", ROUTE_LOCAL_OR_SIGNED,
	      ROUTE_SIGNS_RAW_BODY, peers_configuration),
	ROUTE(HTTP_GET, "/api/v1/peers/{}", ROUTE_LOCAL_OR_SIGNED, ROUTE_SIGNS_RAW_BODY,
	      peers_show),
	ROUTE(HTTP_PATCH, "/api/v1/peers/{}", ROUTE_LOCAL_OR_SIGNED, ROUTE_SIGNS_RAW_BODY,
	      peers_change),
	ROUTE(HTTP_DELETE, "/api/v1/peers/{}", ROUTE_LOCAL_OR_SIGNED, ROUTE_SIGNS_RAW_BODY,
	      peers_delete),
	ROUTE(HTTP_GET, "/api/v1/profiles", ROUTE_LOCAL_OR_SIGNED, ROUTE_SIGNS_RAW_BODY,
	      obfuscation_list),
	ROUTE(HTTP_POST, "/api/v1/profiles/{}/rotate", ROUTE_LOCAL_OR_SIGNED,
	      ROUTE_SIGNS_RAW_BODY, obfuscation_rotate),
	ROUTE(HTTP_DELETE, "/api/v1/profiles/{}", ROUTE_LOCAL_OR_SIGNED, ROUTE_SIGNS_RAW_BODY,
	      obfuscation_drop),
};

enum { ROUTES = sizeof(routes) / sizeof(routes[0]) };

/* --- Signed --- */

static const char needs_version_2[] =
	"This route needs a signature of version 2: X-Signature-Version: 2 and X-Nonce";

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

	if (call->match.route->signs == ROUTE_SIGNS_NOTHING)
		h.signed_body_len = 0;
	return h;
}

static bool judge(struct call *call, const struct hmac_request *h)
{
	struct api *api = call->api;
	enum hmac_verdict v =
		hmac_judge(&api->key, api->cache, call->now_ns / 1000000000, h, &call->use);

	if (v == HMAC_ACCEPTED) {
		call->who.kind = PRINCIPAL_API_KEY;
		memcpy(call->who.name, "api-key", sizeof("api-key"));
		return true;
	}
	call_refuse(call, v == HMAC_CACHE_FULL ? 503 : 401, hmac_verdict_text(v));
	return false;
}

static bool authenticate_signed(struct call *call, bool needs_v2)
{
	const char *version = http_exchange_header(call->x, "X-Signature-Version");
	struct hmac_request h = describe(call);
	struct text canonical = { .data = NULL }, resource = { .data = NULL };
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
	if (version && !h.is_v2 && strcmp(version, "1") != 0) {
		call_refuse(call, 401, hmac_verdict_text(HMAC_INVALID_SIGNATURE));
		return false;
	}
	if (call->match.route->signs == ROUTE_SIGNS_STATUS)
		canonical_status(http_exchange_request(call->x), &canonical);
	h.canonical = canonical.data;
	h.canonical_len = canonical.len;
	name_resource(&call->match, &resource);
	h.resource = resource.err == 0 ? resource.data : NULL;
	accepted = judge(call, &h);
	text_done(&resource);
	text_done(&canonical);
	return accepted;
}

/* --- By route --- */

static bool authenticate_local(struct call *call)
{
	const struct http_request *r = http_exchange_request(call->x);

	if (peercred_judge(&r->caller, call->api->own_uid, &call->who) == 0)
		return true;
	call_refuse(call, 403, "Only root and the gateway's own user may use this socket");
	return false;
}

/* Return: false when the call was refused, and answered. */
static bool authenticate(struct call *call)
{
	switch (call->match.route->auth) {
	case ROUTE_OPEN:
		return true;
	case ROUTE_SIGNED:
		return authenticate_signed(call, false);
	case ROUTE_LOCAL_OR_SIGNED:
		if (http_exchange_request(call->x)->is_local)
			return authenticate_local(call);
		return authenticate_signed(call, true);
	}
	abort(); /* ROUTE() lets no other value pass */
}

static struct call *call_new(struct api *api, struct http_exchange *x)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->api = api;
	call->x = x;
	call->now_ns = clock_wall_ns();
	return call;
}

void dispatch_request(void *context, struct http_exchange *x)
{
	const struct http_request *r = http_exchange_request(x);
	struct call *call = call_new(context, x);
	struct http_reply reply = { .status = 503, .content_type = "application/json" };

	if (!call) {
		http_reply(x, &reply);
		return;
	}
	switch (router_find(routes, ROUTES, r->method, r->target, &call->match)) {
	case ROUTE_NO_PATH:
		call_refuse(call, 404, "Not Found");
		return;
	case ROUTE_NO_METHOD:
		call_refuse(call, 405, "Method Not Allowed");
		return;
	case ROUTE_FOUND:
		break;
	}
	if (authenticate(call))
		call->match.route->handle(call);
}
