/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node agent: the dialect of a controller that drives many nodes. Paths are bare or below /v1. A
 * key at the end of a path may hold "/" as it is, so what stands behind /wg/ is taken apart here.
 *
 * A repeated request, whose signature was seen before, is not done again: it gets the first answer while
 * that is still true, and 409 otherwise.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/agent_interface.h"
#include "api/agent_peers.h"
#include "api/call.h"
#include "api/key_text.h"
#include "api/surface.h"
#include "sys/clock.h"

enum { ACTIVE_S = 180 };

static const uint64_t SECOND_NS = 1000000000;

/* --- Health and status --- */

static uint64_t uptime_s(const struct call *call)
{
	return (clock_boot_ns() - call->api->started_ns) / SECOND_NS;
}

static void show_health(struct call *call)
{
	call_reply(call, 200,
		   json_pack("{s:s, s:I, s:I, s:s}", "status", "ok", "timestamp",
			     (json_int_t)(call->now_ns / SECOND_NS), "uptime",
			     (json_int_t)uptime_s(call), "version", CULVERT_VERSION));
}

/* struct tunnel_sums - Over all peers of the interface */
struct tunnel_sums {
	size_t active;
	uint64_t rx;
	uint64_t tx;
};

static struct tunnel_sums sum(const struct call *call, const struct observation *seen)
{
	struct tunnel_sums s = { .active = 0 };

	for (size_t i = 0; i < seen->n; i++) {
		const struct observed *o = &seen->peers[i];

		s.active += o->last_handshake_ns != 0 &&
			    o->last_handshake_ns + ACTIVE_S * SECOND_NS > call->now_ns;
		s.rx += o->rx_bytes;
		s.tx += o->tx_bytes;
	}
	return s;
}

static json_t *interface_json(const struct call *call, const struct observation *seen)
{
	struct tunnel_sums s;

	if (!seen)
		return json_pack("{s:s, s:i, s:i}", "status", "error", "peer_count", 0,
				 "active_peers", 0);
	s = sum(call, seen);
	return json_pack("{s:s, s:I, s:I, s:I, s:I}", "status",
			 ifstate_of(call->api->gateway) == IFSTATE_UP ? "up" : "down",
			 "peer_count", (json_int_t)seen->n, "active_peers",
			 (json_int_t)s.active, "total_rx_bytes", (json_int_t)s.rx,
			 "total_tx_bytes", (json_int_t)s.tx);
}

static double tenth(double x)
{
	return (double)(long)(x * 10 + 0.5) / 10;
}

static json_t *system_json(const struct machine_look *m)
{
	return json_pack("{s:f, s:{s:I, s:I, s:f, s:I}, s:{s:I, s:I, s:I, s:f},"
			 " s:{s:I, s:I, s:I, s:I}}",
			 "cpu_percent", tenth(m->cpu_percent), "memory", "total",
			 (json_int_t)m->memory_total, "available",
			 (json_int_t)m->memory_available, "percent", tenth(m->memory_percent),
			 "used", (json_int_t)(m->memory_total - m->memory_available), "disk",
			 "total", (json_int_t)m->disk_total, "used", (json_int_t)m->disk_used,
			 "free", (json_int_t)m->disk_free, "percent", tenth(m->disk_percent),
			 "network", "bytes_sent", (json_int_t)m->net_sent, "bytes_recv",
			 (json_int_t)m->net_received, "packets_sent",
			 (json_int_t)m->net_packets_sent, "packets_recv",
			 (json_int_t)m->net_packets_received);
}

static void status_seen(void *context, int err, const struct observation *seen)
{
	struct call *call = context;
	struct machine_look m;

	machine_look(call->api->machine, &m);
	call_reply(call, 200,
		   json_pack("{s:s, s:I, s:I, s:s, s:o, s:{s:{s:o}, s:i}}", "status", "ok",
			     "timestamp", (json_int_t)(call->now_ns / SECOND_NS), "uptime",
			     (json_int_t)uptime_s(call), "version", CULVERT_VERSION, "system",
			     system_json(&m), "wireguard", "interfaces",
			     gateway_config(call->api->gateway)->interface,
			     interface_json(call, err == 0 ? seen : NULL), "interface_count",
			     1));
}

static void show_status(struct call *call)
{
	if (observer_look(call->api->observer, clock_boot_ns(), status_seen, call) != 0)
		status_seen(call, -EBUSY, NULL);
}

/* --- Metrics --- */

static void put_machine(struct text *out, const struct machine_look *m)
{
	text_printf(out,
		    "# HELP wgdashboard_agent_cpu_percent Processor use\n"
		    "# TYPE wgdashboard_agent_cpu_percent gauge\n"
		    "wgdashboard_agent_cpu_percent %.1f\n"
		    "# HELP wgdashboard_agent_memory_used_bytes Memory in use\n"
		    "# TYPE wgdashboard_agent_memory_used_bytes gauge\n"
		    "wgdashboard_agent_memory_used_bytes %llu\n"
		    "# HELP wgdashboard_agent_memory_percent Memory in use\n"
		    "# TYPE wgdashboard_agent_memory_percent gauge\n"
		    "wgdashboard_agent_memory_percent %.1f\n"
		    "# HELP wgdashboard_agent_disk_used_bytes Disk in use\n"
		    "# TYPE wgdashboard_agent_disk_used_bytes gauge\n"
		    "wgdashboard_agent_disk_used_bytes %llu\n",
		    m->cpu_percent, (unsigned long long)(m->memory_total - m->memory_available),
		    m->memory_percent, (unsigned long long)m->disk_used);
}

static void put_one(struct text *out, const char *name, const char *type, const char *help,
		    const char *interface, uint64_t value)
{
	text_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s{interface=\"%s\"} %llu\n", name, help,
		    name, type, name, interface, (unsigned long long)value);
}

static void put_interface(struct text *out, const struct call *call,
			  const struct observation *seen)
{
	const char *name = gateway_config(call->api->gateway)->interface;
	struct tunnel_sums s = sum(call, seen);

	text_puts(out, "# HELP wireguard_interface_count Interfaces\n"
		       "# TYPE wireguard_interface_count gauge\nwireguard_interface_count 1\n");
	put_one(out, "wireguard_peers_total", "gauge", "Peers", name, seen->n);
	put_one(out, "wireguard_peers_active", "gauge",
		"Peers with a handshake within 3 minutes", name, s.active);
	put_one(out, "wireguard_interface_receive_bytes_total", "counter", "Octets from peers",
		name, s.rx);
	put_one(out, "wireguard_interface_transmit_bytes_total", "counter", "Octets to peers",
		name, s.tx);
}

/* Which of the three per peer; a label is the first 16 characters of a key, by contract. */
static void put_peers(struct text *out, const struct call *call, const struct observation *seen,
		      int which)
{
	static const char *const names[] = { "wireguard_peer_last_handshake_seconds",
					     "wireguard_peer_receive_bytes_total",
					     "wireguard_peer_transmit_bytes_total" };
	static const char *const heads[] = { "Age of the last handshake",
					     "Octets from the peer", "Octets to the peer" };
	const char *interface = gateway_config(call->api->gateway)->interface;

	text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", names[which], heads[which],
		    names[which], which == 0 ? "gauge" : "counter");
	for (size_t i = 0; i < seen->n; i++) {
		const struct observed *o = &seen->peers[i];
		uint64_t age_s = o->last_handshake_ns < call->now_ns
					 ? (call->now_ns - o->last_handshake_ns) / SECOND_NS
					 : 0;
		const uint64_t values[] = { age_s, o->rx_bytes, o->tx_bytes };
		char key[KEY_BASE64_LEN + 1];

		if (which == 0 && o->last_handshake_ns == 0)
			continue;
		key_to_base64(o->public_key, key);
		text_printf(out, "%s{interface=\"%s\",public_key=\"%.16s\"} %llu\n",
			    names[which], interface, key, (unsigned long long)values[which]);
	}
}

static void metrics_seen(void *context, int err, const struct observation *seen)
{
	struct call *call = context;
	struct text out = { .data = NULL };
	struct machine_look m;

	machine_look(call->api->machine, &m);
	put_machine(&out, &m);
	(void)err; /* then there is no @seen */
	if (seen)
		put_interface(&out, call, seen);
	for (int which = 0; seen && which < 3; which++)
		put_peers(&out, call, seen, which);
	call_reply_body(call, "text/plain; version=0.0.4; charset=utf-8", &out);
}

static void show_metrics(struct call *call)
{
	if (observer_look(call->api->observer, clock_boot_ns(), metrics_seen, call) != 0)
		metrics_seen(call, -EBUSY, NULL);
}

/* --- What stands behind /wg/ --- */

/* Is @len octets at @at the word @word? */
static bool is_word(const char *at, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(at, word, len) == 0;
}

static void refuse_interface(struct call *call, const char *name, size_t len, bool is_file)
{
	char text[128];

	snprintf(text, sizeof(text),
		 is_file ? "Configuration file not found: /etc/wireguard/%.*s.conf"
			 : "WireGuard command failed: there is no interface %.*s",
		 (int)(len < 32 ? len : 32), name);
	call_conclude_refusal(call, is_file ? 404 : 500, text);
}

static void refuse_method(struct call *call, const char *allow)
{
	snprintf(call->match.allow, sizeof(call->match.allow), "%s", allow);
	call_conclude_refusal(call, 405, "Method Not Allowed");
}

/* One row per operation: what follows the interface's name, and which method. */
static const struct operation {
	const char *word;
	enum http_method method;
	const char *allow;
	void (*handle)(struct call *call);
} operations[] = {
	{ "dump", HTTP_GET, "GET", agent_peers_dump },
	{ "peers", HTTP_POST, "POST", agent_peers_add },
	{ "syncconf", HTTP_POST, "POST", agent_peers_sync },
	{ "config", HTTP_GET, "GET, PUT", agent_interface_show },
	{ "config", HTTP_PUT, "GET, PUT", agent_interface_put },
	{ "enable", HTTP_POST, "POST", agent_interface_enable },
	{ "disable", HTTP_POST, "POST", agent_interface_disable },
};

static void operate(struct call *call, const char *word, size_t len)
{
	enum http_method method = http_exchange_request(call->x)->method;
	const struct operation *other = NULL;

	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		if (!is_word(word, len, operations[i].word))
			continue;
		if (operations[i].method == method) {
			operations[i].handle(call);
			return;
		}
		other = &operations[i];
	}
	if (other)
		refuse_method(call, other->allow);
	else
		call_conclude_refusal(call, 404, "Not Found");
}

static void operate_on_peer(struct call *call, const char *key, size_t len)
{
	enum http_method method = http_exchange_request(call->x)->method;

	if (key_text_from_path(key, len, call->key) != 0)
		call_conclude_refusal(call, 404, "Peer not found");
	else if (method == HTTP_PUT)
		agent_peers_change(call);
	else if (method == HTTP_DELETE)
		agent_peers_remove(call);
	else
		refuse_method(call, "PUT, DELETE");
}

static void interface_call(struct call *call)
{
	static const char peers[] = "peers/";
	const char *own = gateway_config(call->api->gateway)->interface;
	const char *part = call->match.part;
	const char *slash = memchr(part, '/', call->match.part_len);
	size_t name_len = slash ? (size_t)(slash - part) : call->match.part_len;
	size_t rest_len = slash ? call->match.part_len - name_len - 1 : 0;
	const char *rest = slash ? slash + 1 : "";

	if (!is_word(part, name_len, own))
		refuse_interface(call, part, name_len, is_word(rest, rest_len, "config"));
	else if (!slash && http_exchange_request(call->x)->method == HTTP_DELETE)
		agent_interface_delete(call);
	else if (!slash)
		refuse_method(call, "DELETE");
	else if (rest_len > sizeof(peers) - 1 && memcmp(rest, peers, sizeof(peers) - 1) == 0)
		operate_on_peer(call, rest + sizeof(peers) - 1, rest_len - sizeof(peers) + 1);
	else
		operate(call, rest, rest_len);
}

#define ON_INTERFACE(method_)                                                        \
	ROUTE(method_, "/wg/{}", ROUTE_AGENT, ROUTE_SIGNS_RAW_BODY, interface_call), \
		ROUTE(method_, "/v1/wg/{}", ROUTE_AGENT, ROUTE_SIGNS_RAW_BODY, interface_call)

static const struct route routes[] = {
	ROUTE(HTTP_GET, "/health", ROUTE_AGENT_OPEN, ROUTE_SIGNS_RAW_BODY, show_health),
	ROUTE(HTTP_GET, "/v1/health", ROUTE_AGENT_OPEN, ROUTE_SIGNS_RAW_BODY, show_health),
	ROUTE(HTTP_GET, "/v1/metrics", ROUTE_AGENT_OPEN, ROUTE_SIGNS_RAW_BODY, show_metrics),
	ROUTE(HTTP_GET, "/v1/status", ROUTE_AGENT, ROUTE_SIGNS_RAW_BODY, show_status),
	ON_INTERFACE(HTTP_GET),
	ON_INTERFACE(HTTP_POST),
	ON_INTERFACE(HTTP_PUT),
	ON_INTERFACE(HTTP_DELETE),
};

const struct surface surface_agent = {
	.name = "agent",
	.family = SURFACE_ERROR,
	.routes = routes,
	.n_routes = sizeof(routes) / sizeof(routes[0]),
};
