/* SPDX-License-Identifier: Apache-2.0 */
#include "api/actions.h"
#include "api/admin.h"
#include "api/configurations.h"
#include "api/dns_stats.h"
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
#define SIGNED(method_, pattern_, handle_) \
	ROUTE(method_, pattern_, ROUTE_SIGNED, ROUTE_SIGNS_NOTHING, handle_)
	SIGNED(HTTP_GET, "/api/v1/server/metrics", admin_metrics),
	SIGNED(HTTP_POST, "/api/v1/sync-ips", admin_sync_ips),
	SIGNED(HTTP_GET, "/api/v1/admin/interface-stats", admin_interface_stats),
	SIGNED(HTTP_GET, "/api/v1/admin/health", admin_health),
	SIGNED(HTTP_GET, "/api/v1/admin/health/dns", admin_health_dns),
	SIGNED(HTTP_GET, "/api/v1/admin/health/dns/all", admin_health_dns_all),
	SIGNED(HTTP_GET, "/api/v1/admin/health/dns/{}", admin_health_dns_level),
	SIGNED(HTTP_GET, "/api/v1/admin/summary", admin_summary),
	SIGNED(HTTP_GET, "/api/v1/admin/crl-status", admin_crl_status),
	SIGNED(HTTP_POST, "/api/v1/admin/crl-check", admin_crl_check),
	SIGNED(HTTP_POST, "/api/v1/admin/recover-peers", admin_recover_peers),
	SIGNED(HTTP_POST, "/api/v1/admin/reconcile-peers", admin_reconcile_peers),
	SIGNED(HTTP_POST, "/api/v1/admin/restart-wireguard", admin_restart_wireguard),
#undef SIGNED
	ROUTE(HTTP_POST, "/api/v1/admin/reboot", ROUTE_SIGNED, ROUTE_SIGNS_REBOOT,
	      actions_reboot),
/* These read a nonce in version 1 too. */
#define WITH_NONCE(pattern_, signs_, handle_)                                     \
	{                                                                         \
		.method = HTTP_POST, .pattern = (pattern_), .auth = ROUTE_SIGNED, \
		.signs = (signs_), .reads_nonce = true, .handle = (handle_)       \
	}
	WITH_NONCE("/admin/service/{}/stop", ROUTE_SIGNS_STOP, actions_stop),
	WITH_NONCE("/admin/service/{}/start", ROUTE_SIGNS_START, actions_start),
	WITH_NONCE("/admin/wipe", ROUTE_SIGNS_WIPE, actions_wipe),
#undef WITH_NONCE
#define FREE(method_, pattern_, handle_) \
	ROUTE(method_, pattern_, ROUTE_OPEN, ROUTE_SIGNS_NOTHING, handle_)
	FREE(HTTP_GET, "/api/v1/dns/stats", dns_stats_show),
	FREE(HTTP_GET, "/api/v1/dns/stats/summary", dns_stats_summary),
	FREE(HTTP_POST, "/api/v1/dns/stats/lap", dns_stats_lap),
	FREE(HTTP_GET, "/api/v1/dns/stats/laps", dns_stats_laps),
	FREE(HTTP_DELETE, "/api/v1/dns/stats/laps", dns_stats_clear),
	FREE(HTTP_GET, "/api/v1/dns/stats/since/{}", dns_stats_since),
#undef FREE
};

const struct surface surface_contract = {
	.name = "gateway",
	.family = SURFACE_DETAIL,
	.routes = routes,
	.n_routes = sizeof(routes) / sizeof(routes[0]),
};
