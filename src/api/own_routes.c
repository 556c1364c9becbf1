/* SPDX-License-Identifier: Apache-2.0 */
#include "api/access_lists.h"
#include "api/audit.h"
#include "api/batch.h"
#include "api/documents.h"
#include "api/enrolments.h"
#include "api/facts.h"
#include "api/links.h"
#include "api/metrics.h"
#include "api/obfuscation.h"
#include "api/objects.h"
#include "api/peers.h"
#include "api/surface.h"
#include "api/webhooks.h"

static const struct route routes[] = {
	OWN_ROUTE(HTTP_GET, "/api/v1/peers", ROUTE_READ, peers_list),
	OWN_ROUTE(HTTP_POST, "/api/v1/peers", ROUTE_OPERATE, peers_create),
	/* Before the next: a name has no slash, and a key none of these words behind one. */
	OWN_ROUTE(HTTP_GET, "/api/v1/peers/{}/configuration", ROUTE_READ, peers_configuration),
	OWN_ROUTE(HTTP_POST, "/api/v1/peers/{}/link", ROUTE_OPERATE, links_create),
	OWN_ROUTE(HTTP_GET, "/api/v1/peers/{}", ROUTE_READ, peers_show),
	OWN_ROUTE(HTTP_PATCH, "/api/v1/peers/{}", ROUTE_OPERATE, peers_change),
	OWN_ROUTE(HTTP_DELETE, "/api/v1/peers/{}", ROUTE_OPERATE, peers_delete),
	OWN_ROUTE(HTTP_POST, "/api/v1/batch", ROUTE_OPERATE, batch_run),
	OWN_ROUTE(HTTP_GET, "/api/v1/gateway", ROUTE_READ, facts_show),
	OWN_ROUTE(HTTP_PATCH, "/api/v1/gateway", ROUTE_ADMINISTER, facts_change),
	OWN_ROUTE(HTTP_GET, "/api/v1/accounts", ROUTE_ADMINISTER, accounts_list),
	OWN_ROUTE(HTTP_POST, "/api/v1/accounts", ROUTE_ADMINISTER, accounts_create),
	OWN_ROUTE(HTTP_GET, "/api/v1/accounts/{}", ROUTE_ADMINISTER, accounts_show),
	OWN_ROUTE(HTTP_PATCH, "/api/v1/accounts/{}", ROUTE_ADMINISTER, accounts_change),
	OWN_ROUTE(HTTP_DELETE, "/api/v1/accounts/{}", ROUTE_ADMINISTER, accounts_delete),
	OWN_ROUTE(HTTP_GET, "/api/v1/keys", ROUTE_ADMINISTER, keys_list),
	OWN_ROUTE(HTTP_POST, "/api/v1/keys", ROUTE_ADMINISTER, keys_create),
	OWN_ROUTE(HTTP_GET, "/api/v1/keys/{}", ROUTE_ADMINISTER, keys_show),
	OWN_ROUTE(HTTP_DELETE, "/api/v1/keys/{}", ROUTE_ADMINISTER, keys_delete),
	OWN_ROUTE(HTTP_GET, "/api/v1/access", ROUTE_READ, access_lists_list),
	OWN_ROUTE(HTTP_POST, "/api/v1/access", ROUTE_ADMINISTER, access_lists_create),
	OWN_ROUTE(HTTP_GET, "/api/v1/access/{}", ROUTE_READ, access_lists_show),
	OWN_ROUTE(HTTP_PATCH, "/api/v1/access/{}", ROUTE_ADMINISTER, access_lists_change),
	OWN_ROUTE(HTTP_DELETE, "/api/v1/access/{}", ROUTE_ADMINISTER, access_lists_delete),
	OWN_ROUTE(HTTP_GET, "/api/v1/links", ROUTE_OPERATE, links_list),
	OWN_ROUTE(HTTP_DELETE, "/api/v1/links/{}", ROUTE_OPERATE, links_delete),
	OWN_ROUTE(HTTP_GET, "/api/v1/enrolments", ROUTE_ADMINISTER, enrolments_list),
	OWN_ROUTE(HTTP_POST, "/api/v1/enrolments", ROUTE_ADMINISTER, enrolments_create),
	OWN_ROUTE(HTTP_DELETE, "/api/v1/enrolments/{}", ROUTE_ADMINISTER, enrolments_delete),
	OWN_ROUTE(HTTP_GET, "/api/v1/webhooks", ROUTE_ADMINISTER, webhooks_list),
	OWN_ROUTE(HTTP_POST, "/api/v1/webhooks", ROUTE_ADMINISTER, webhooks_create),
	OWN_ROUTE(HTTP_POST, "/api/v1/webhooks/{}/test", ROUTE_ADMINISTER, webhooks_try),
	OWN_ROUTE(HTTP_GET, "/api/v1/webhooks/{}", ROUTE_ADMINISTER, webhooks_show),
	OWN_ROUTE(HTTP_PATCH, "/api/v1/webhooks/{}", ROUTE_ADMINISTER, webhooks_change),
	OWN_ROUTE(HTTP_DELETE, "/api/v1/webhooks/{}", ROUTE_ADMINISTER, webhooks_delete),
	OWN_ROUTE(HTTP_GET, "/api/v1/audit", ROUTE_ADMINISTER, audit_list),
	OWN_ROUTE(HTTP_GET, "/api/v1/events", ROUTE_READ, events_follow),
	OWN_ROUTE(HTTP_GET, "/api/v1/profiles", ROUTE_READ, obfuscation_list),
	OWN_ROUTE(HTTP_POST, "/api/v1/profiles/{}/rotate", ROUTE_ADMINISTER,
		  obfuscation_rotate),
	OWN_ROUTE(HTTP_DELETE, "/api/v1/profiles/{}", ROUTE_ADMINISTER, obfuscation_drop),
	OWN_ROUTE(HTTP_GET, "/metrics", ROUTE_READ, metrics_show),
	OWN_ROUTE(HTTP_GET, "/openapi.json", ROUTE_OPEN, documents_show_openapi),
	OWN_ROUTE(HTTP_GET, "/docs", ROUTE_OPEN, documents_show_page),
};

static const char *const prefixes[] = {
	"/api/v1/peers",    "/api/v1/batch",  "/api/v1/gateway", "/api/v1/accounts",
	"/api/v1/keys",	    "/api/v1/access", "/api/v1/links",	 "/api/v1/enrolments",
	"/api/v1/webhooks", "/api/v1/audit",  "/api/v1/events",	 "/api/v1/profiles",
	"/metrics",	    "/openapi.json",  "/docs",		 NULL
};

const struct surface surface_own = {
	.name = "own",
	.family = SURFACE_PROBLEM,
	.challenge = "Bearer",
	.routes = routes,
	.n_routes = sizeof(routes) / sizeof(routes[0]),
	.prefixes = prefixes,
};
