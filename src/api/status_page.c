/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status page of a node: open to everybody, and therefore without a key or a secret in it. Its
 * members are those of the hub-and-spoke contract, and no others.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/surface.h"
#include "api/time_text.h"
#include "sys/clock.h"

static const uint64_t SECOND_NS = 1000000000;

/* RFC 3339 with milliseconds. */
static json_t *now_json(const struct call *call)
{
	char whole[TIME_TEXT_MAX], text[TIME_TEXT_MAX];

	time_text_utc(call->now_ns, whole);
	snprintf(text, sizeof(text), "%.19s.%03uZ", whole,
		 (unsigned int)(call->now_ns % SECOND_NS / 1000000));
	return json_string(text);
}

static json_t *tunnel_json(const struct call *call, const struct observation *seen)
{
	const char *interface = gateway_config(call->api->gateway)->interface;
	uint64_t oldest_s = 0;

	if (!seen)
		return json_pack("{s:s, s:i, s:i, s:s}", "interface", interface, "peer_count",
				 0, "max_last_handshake_sec", 0, "error",
				 "The interface cannot be read");
	for (size_t i = 0; i < seen->n; i++) {
		uint64_t at_ns = seen->peers[i].last_handshake_ns;
		uint64_t age_s = at_ns != 0 && at_ns < call->now_ns
					 ? (call->now_ns - at_ns) / SECOND_NS
					 : 0;

		oldest_s = age_s > oldest_s ? age_s : oldest_s;
	}
	return json_pack("{s:s, s:I, s:I}", "interface", interface, "peer_count",
			 (json_int_t)seen->n_connected, "max_last_handshake_sec",
			 (json_int_t)oldest_s);
}

static json_t *disk_json(const struct call *call)
{
	struct machine_look m;
	char text[32];

	machine_look(call->api->machine, &m);
	snprintf(text, sizeof(text), "%.1f",
		 floor((double)m.disk_free / (1024.0 * 1024 * 1024) * 10 + 0.5) / 10);
	return json_real(strtod(text, NULL));
}

/* NULL where there is no server, or none that answers: the member is then left out. */
static json_t *postgres_json(const struct call *call)
{
	struct pg_status status;
	json_t *json;

	if (!call->api->postgres || !postgres_watch_get(call->api->postgres, &status))
		return NULL;
	json = json_pack("{s:s, s:I}", "role", status.is_replica ? "replica" : "primary",
			 "connections", (json_int_t)status.connections);
	if (status.has_lag)
		json_object_set_new(json, "replication_lag_sec",
				    json_integer((json_int_t)status.lag_s));
	json_object_set_new(json, "backup_status",
			    json_string(status.archives ? "configured" : "not_configured"));
	if (status.last_backup[0])
		json_object_set_new(json, "last_backup", json_string(status.last_backup));
	return json;
}

static void status_seen(void *context, int err, const struct observation *seen)
{
	struct call *call = context;
	struct ip_addr own = pool_gateway(gateway_pool(call->api->gateway, ADDR_V4));
	char address[ADDR_TEXT_MAX];

	call_reply_line(call, 200,
			json_pack("{s:s, s:s, s:o, s:o*, s:o, s:o}", "node", call->api->node,
				  "overlay_ip", ip_addr_format(&own, address), "wg",
				  tunnel_json(call, err == 0 ? seen : NULL), "postgres",
				  postgres_json(call), "disk_free_gb", disk_json(call), "time",
				  now_json(call)));
}

static void health_seen(void *context, int err, const struct observation *seen)
{
	struct call *call = context;
	bool is_healthy = err == 0 && seen->n_connected > 0;

	call_reply_line(call, 200,
			json_pack("{s:s, s:s, s:o, s:o}", "status",
				  is_healthy ? "healthy" : "degraded", "node", call->api->node,
				  "wireguard", tunnel_json(call, err == 0 ? seen : NULL),
				  "timestamp", now_json(call)));
}

static void look(struct call *call, observer_done done)
{
	if (observer_look(call->api->observer, clock_boot_ns(), done, call) != 0)
		done(call, -EBUSY, NULL);
}

static void show_status(struct call *call)
{
	look(call, status_seen);
}

static void show_health(struct call *call)
{
	look(call, health_seen);
}

static void show_ready(struct call *call)
{
	call_reply_text(call, 200, "ready");
}

static const struct route routes[] = {
	ROUTE(HTTP_GET, "/status", ROUTE_OPEN, ROUTE_SIGNS_NOTHING, show_status),
	ROUTE(HTTP_GET, "/health", ROUTE_OPEN, ROUTE_SIGNS_NOTHING, show_health),
	ROUTE(HTTP_GET, "/ready", ROUTE_OPEN, ROUTE_SIGNS_NOTHING, show_ready),
};

const struct surface surface_status = {
	.name = "status",
	.family = SURFACE_TEXT,
	.routes = routes,
	.n_routes = sizeof(routes) / sizeof(routes[0]),
};
