/* SPDX-License-Identifier: Apache-2.0 */
/**
 * router.h - Which route a request means: exact match on the raw path
 *
 * Nothing is unescaped or normalised before a route is chosen, so "//", "..", "%2e" and
 * upper case are simply other paths. A pattern may hold one "{}": it stands for any
 * text, slashes too, because keys in base64 have them.
 *
 * Every route names who may call it. There is no default: an enum route_auth has no
 * zero, and ROUTE() does not compile without one. What has no checker is refused.
 *
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "http/server.h"

enum route_auth {
	ROUTE_OPEN = 1, /* anybody: it shows and changes nothing of ours */
	ROUTE_SIGNED,	/* signed with the API key, version 1 or 2 */
	/* Of our own API: a local caller, signed with version 2, or a key of ours with that
	 * role or a higher one. */
	ROUTE_READ,
	ROUTE_OPERATE,
	ROUTE_ADMINISTER,
	/* Of the node agent. */
	ROUTE_AGENT,
	ROUTE_AGENT_OPEN, /* open unless configured otherwise; a wrong signature is refused */
	/* Of the users' API. */
	ROUTE_MASTER,
	ROUTE_USER, /* the master key, or a user's */
};

/* What version 1 of signing signs on a route. */
enum route_signed {
	ROUTE_SIGNS_RAW_BODY = 1, /* the body as received */
	ROUTE_SIGNS_STATUS,	  /* that, or the spaced JSON of its member "status" */
	ROUTE_SIGNS_NOTHING,	  /* the empty text, whatever the body */
	ROUTE_SIGNS_STOP,	  /* {"service": "…", "action": "stop"}, of the path */
	ROUTE_SIGNS_START,
	ROUTE_SIGNS_WIPE, /* {"action": "wipe", "confirm": true} */
	/* The empty text, as any request without a body: where the action is allowed, only version 2 is taken. */
	ROUTE_SIGNS_REBOOT,
};

struct call; /* one request on its way through whoever has the route table */

/* struct route - One row of a route table */
struct route {
	enum http_method method;
	const char *pattern;
	enum route_auth auth;
	enum route_signed signs;
	bool reads_nonce; /* X-Nonce, in version 1 too */
	void (*handle)(struct call *call);
};

/* The array's size is negative, and the row does not compile, when @auth_ or @signs_ is 0. */
#define ROUTE(method_, pattern_, auth_, signs_, handle_)                                  \
	{                                                                                 \
		.method = (method_), .pattern = (pattern_),                               \
		.auth = (enum route_auth)((auth_) * sizeof(char[(auth_) ? 1 : -1])),      \
		.signs = (enum route_signed)((signs_) * sizeof(char[(signs_) ? 1 : -1])), \
		.handle = (handle_)                                                       \
	}

/* Of our own routes: signatures of version 2 sign everything. */
#define OWN_ROUTE(method_, pattern_, auth_, handle_) \
	ROUTE(method_, pattern_, auth_, ROUTE_SIGNS_RAW_BODY, handle_)

enum route_outcome {
	ROUTE_FOUND,
	ROUTE_NO_PATH,	 /* 404 */
	ROUTE_NO_METHOD, /* 405; @allow says what there is */
};

/**
 * struct route_match - The route, and what "{}" stood for
 * @part, @part_len: In the target, raw; NULL when the pattern has no "{}"
 * @query:	Behind the question mark; "" when there is none
 * @allow:	"GET, DELETE"; filled for ROUTE_NO_METHOD
 */
struct route_match {
	const struct route *route;
	const char *part;
	size_t part_len;
	const char *query;
	char allow[64];
};

enum route_outcome router_find(const struct route *routes, size_t n, enum http_method method,
			       const char *target, struct route_match *ret);
