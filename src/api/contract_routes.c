/* SPDX-License-Identifier: Apache-2.0 */
#include "api/configurations.h"
#include "api/status.h"
#include "api/surface.h"

static const struct route routes[] = {
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
};

const struct surface surface_contract = {
	.name = "gateway",
	.family = SURFACE_DETAIL,
	.routes = routes,
	.n_routes = sizeof(routes) / sizeof(routes[0]),
};
