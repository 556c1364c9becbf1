/* SPDX-License-Identifier: Apache-2.0 */
/**
 * surface.h - A set of routes that is served together, and how it says that something is wrong
 *
 * A listener serves one surface or several whose routes do not collide. To add one: a file with its
 * table, a declaration below, a row where listeners are made (cmd/gateway_serve.c).
 */
#pragma once

#include <stddef.h>

#include "base/addr.h"
#include "http/router.h"

/* What an error looks like. */
enum surface_family {
	SURFACE_DETAIL = 1, /* {"detail": "…"}, and 422 with a list */
	SURFACE_PROBLEM,    /* problem+json, RFC 9457 */
	SURFACE_ERROR,	    /* {"error": "…"} */
	SURFACE_TEXT,	    /* a line of plain text */
};

/**
 * struct surface - One of them
 * @challenge:	What a 401 asks for in WWW-Authenticate; NULL: nothing
 * @prefixes:	Paths that begin so and are none of ours are answered in its way where a listener has
 *		several surfaces; NULL behind the last
 */
struct surface {
	const char *name;
	enum surface_family family;
	const char *challenge;
	const struct route *routes;
	size_t n_routes;
	const char *const *prefixes;
};

enum { SURFACES_PER_LISTENER_MAX = 4 };

/**
 * struct surface_listener - What one listener serves, and to whom
 * @surfaces:	NULL behind the last; the first answers what nobody knows
 * @allowed:	Who may call; borrowed; none: everybody
 */
struct surface_listener {
	const struct surface *surfaces[SURFACES_PER_LISTENER_MAX + 1];
	const struct ip_prefix *allowed;
	size_t n_allowed;
};

extern const struct surface surface_contract; /* the gateway contract */
extern const struct surface surface_status;   /* the page of a node */
extern const struct surface surface_agent;    /* the node agent */
extern const struct surface surface_users;    /* users, each with a key and a file */
extern const struct surface surface_metrics;  /* what Prometheus asks for */
extern const struct surface surface_links;    /* what is behind one-time links */
extern const struct surface surface_own;      /* /api/v1/peers and the rest of ours */
