/* SPDX-License-Identifier: Apache-2.0 */
#include "api/admin.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/key_text.h"
#include "api/status.h"
#include "api/time_text.h"
#include "sys/clock.h"

enum {
	LEVEL_INTERFACES = 4,
	SERIAL_MAX = 64,
};

static const uint64_t SECOND_NS = 1000000000;
static const double GIB = 1024.0 * 1024.0 * 1024.0;
static const double BUSY_PERCENT = 90, DEGRADED_PERCENT = 80;

/* The interfaces of the contract, and which levels of ours each stands for. */
static const struct {
	const char *name, *label;
	enum frame_level first, last;
} level_interfaces[LEVEL_INTERFACES] = {
	{ "wg0", "Standard (No Obfuscation)", FRAME_OFF, FRAME_OFF },
	{ "wg1", "Basic Obfuscation", FRAME_LOW, FRAME_LOW },
	{ "wg2", "High Obfuscation", FRAME_MEDIUM, FRAME_HIGH },
	{ "wg3", "Stealth Mode", FRAME_EXTREME, FRAME_EXTREME },
};

static double rounded(double x, double unit)
{
	return floor(x / unit + 0.5) * unit;
}

static double gib(uint64_t octets)
{
	return rounded((double)octets / GIB, 0.01);
}

static json_t *number(double x)
{
	char text[32];

	/* As few digits as it takes. */
	snprintf(text, sizeof(text), "%.10g", x);
	return json_real(strtod(text, NULL));
}

static json_t *now_text(const struct call *call)
{
	char text[TIME_TEXT_MAX];

	return json_string(time_text_local(call->now_ns, text));
}

static void fail(struct call *call, const char *what, int err)
{
	char text[160];

	snprintf(text, sizeof(text), "%s: %s", what, err_text(err));
	call_refuse(call, 500, text);
}

/* --- Server metrics --- */

static json_t *system_json(const struct machine_look *m)
{
	return json_pack(
		"{s:o, s:{s:I, s:I, s:o}, s:{s:I, s:I, s:I, s:o}, s:[o, o, o]}", "cpu_percent",
		number(rounded(m->cpu_percent, 0.1)), "memory", "total",
		(json_int_t)m->memory_total, "available", (json_int_t)m->memory_available,
		"percent", number(rounded(m->memory_percent, 0.1)), "disk", "total",
		(json_int_t)m->disk_total, "used", (json_int_t)m->disk_used, "free",
		(json_int_t)m->disk_free, "percent", number(rounded(m->disk_percent, 0.1)),
		"load_average", number(m->load[0]), number(m->load[1]), number(m->load[2]));
}

static json_t *handshakes_json(const struct observation *seen)
{
	json_t *object = json_object();
	char key[KEY_BASE64_LEN + 1];

	for (size_t i = 0; i < seen->n; i++) {
		const struct observed *o = &seen->peers[i];

		if (o->last_handshake_ns == 0)
			continue;
		key_to_base64(o->public_key, key);
		json_object_set_new(
			object, key,
			json_integer((json_int_t)(o->last_handshake_ns / SECOND_NS)));
	}
	return object;
}

/* Addresses in use were sorted in the background; the interface is asked now. */
static void metrics_seen(void *context, int err, const struct observation *seen)
{
	struct call *call = context;
	struct machine_look m;
	json_t *usage = call->value;

	call->value = NULL;
	if (err != 0) {
		json_decref(usage);
		fail(call, "Failed to collect metrics", err);
		return;
	}
	machine_look(call->api->machine, &m);
	call_reply(call, 200,
		   json_pack("{s:o, s:{s:I, s:I, s:o, s:o}, s:o}", "system", system_json(&m),
			     "wireguard", "active_peers", (json_int_t)seen->n_connected,
			     "total_peers", (json_int_t)seen->n, "ip_usage", usage,
			     "last_handshakes", handshakes_json(seen), "timestamp",
			     now_text(call)));
}

static void metrics_with_usage(struct call *call, json_t *usage)
{
	int err;

	call->value = usage;
	err = observer_look(call->api->observer, clock_boot_ns(), metrics_seen, call);
	if (err != 0)
		call_fail(call, err, NULL);
}

void admin_metrics(struct call *call)
{
	status_usage(call, metrics_with_usage);
}

/* Addresses are always in step here: there is nothing to bring there. */
void admin_sync_ips(struct call *call)
{
	call_conclude(call, 200, json_pack("{s:s}", "status", "synced"));
}

/* --- Interfaces --- */

struct level_counts {
	size_t total[FRAME_LEVELS];
	size_t active[FRAME_LEVELS];
};

static void count_levels(const struct call *call, const struct observation *seen,
			 struct level_counts *ret)
{
	const struct peers *peers = gateway_peers(call->api->gateway);

	*ret = (struct level_counts){ .total = { 0 } };
	for (size_t i = 0; i < seen->n; i++) {
		const struct peer *peer = peers_find_key(peers, seen->peers[i].public_key);
		enum frame_level level = peer ? peer->level : FRAME_OFF;

		ret->total[level]++;
		ret->active[level] += seen->peers[i].last_handshake_ns != 0;
	}
}

static json_t *interfaces_json(const struct level_counts *c)
{
	json_t *all = json_object();

	for (int i = 0; i < LEVEL_INTERFACES; i++) {
		size_t total = 0, active = 0;

		for (enum frame_level l = level_interfaces[i].first;
		     l <= level_interfaces[i].last; l++) {
			total += c->total[l];
			active += c->active[l];
		}
		json_object_set_new(all, level_interfaces[i].name,
				    json_pack("{s:s, s:I, s:I, s:I}", "label",
					      level_interfaces[i].label, "total_peers",
					      (json_int_t)total, "active_peers",
					      (json_int_t)active, "inactive_peers",
					      (json_int_t)(total - active)));
	}
	return all;
}

static void stats_seen(void *context, int err, const struct observation *seen)
{
	struct call *call = context;
	const struct peers *peers = gateway_peers(call->api->gateway);
	size_t all = peers_count(peers), active = peers_count_active(peers);
	struct level_counts counts;

	if (err != 0) {
		fail(call, "Failed to collect interface stats", err);
		return;
	}
	count_levels(call, seen, &counts);
	call_reply(call, 200,
		   json_pack("{s:o, s:{s:I, s:I, s:I}, s:o}", "interfaces",
			     interfaces_json(&counts), "peer_store", "total_configurations",
			     (json_int_t)all, "active_configurations", (json_int_t)active,
			     "suspended_configurations", (json_int_t)(all - active),
			     "timestamp", now_text(call)));
}

static void look(struct call *call, observer_done done)
{
	int err = observer_look(call->api->observer, clock_boot_ns(), done, call);

	if (err != 0)
		call_fail(call, err, NULL);
}

void admin_interface_stats(struct call *call)
{
	look(call, stats_seen);
}

/* --- Health --- */

static json_t *uptime_json(const struct call *call, const struct machine_look *m)
{
	uint64_t s = m->uptime_s;
	char boot[TIME_TEXT_MAX], human[64];

	snprintf(human, sizeof(human), "%" PRIu64 "d %" PRIu64 "h %" PRIu64 "m %" PRIu64 "s",
		 s / 86400, s / 3600 % 24, s / 60 % 60, s % 60);
	return json_pack("{s:s, s:I, s:s}", "boot_time",
			 time_text_local(call->now_ns - s * SECOND_NS, boot), "uptime_seconds",
			 (json_int_t)s, "uptime_human", human);
}

static json_t *issues_json(const struct machine_look *m, bool is_down)
{
	json_t *list = json_array();

	if (m->cpu_percent > BUSY_PERCENT)
		json_array_append_new(list, json_string("high_cpu"));
	if (m->memory_percent > BUSY_PERCENT)
		json_array_append_new(list, json_string("high_memory"));
	if (m->disk_percent > BUSY_PERCENT)
		json_array_append_new(list, json_string("low_disk_space"));
	if (m->load[0] > 2.0 * m->n_cpus)
		json_array_append_new(list, json_string("high_load"));
	if (is_down)
		json_array_append_new(list, json_string("interface_down"));
	return list;
}

static const char *health_word(size_t issues)
{
	if (issues == 0)
		return "healthy";
	return issues < 3 ? "degraded" : "critical";
}

static void health_seen(void *context, int err, const struct observation *seen)
{
	struct call *call = context;
	const char *state = err == 0 ? "up" : "down";
	struct machine_look m;
	json_t *issues, *interfaces = json_object();

	(void)seen;
	machine_look(call->api->machine, &m);
	issues = issues_json(&m, err != 0);
	for (int i = 0; i < LEVEL_INTERFACES; i++)
		json_object_set_new(interfaces, level_interfaces[i].name, json_string(state));
	call_reply(
		call, 200,
		json_pack("{s:s, s:o, s:o, s:{s:o, s:i, s:{s:o, s:o, s:o}}, s:{s:o, s:o, s:o},"
			  " s:{s:o, s:o, s:o}, s:{s:o, s:o, s:I, s:I}, s:o, s:{s:s}, s:o}",
			  "status", health_word(json_array_size(issues)), "health_issues",
			  issues, "uptime", uptime_json(call, &m), "cpu", "percent",
			  number(rounded(m.cpu_percent, 0.1)), "count", (int)m.n_cpus,
			  "load_average", "1min", number(m.load[0]), "5min", number(m.load[1]),
			  "15min", number(m.load[2]), "memory", "total_gb",
			  number(gib(m.memory_total)), "available_gb",
			  number(gib(m.memory_available)), "percent_used",
			  number(rounded(m.memory_percent, 0.1)), "disk", "total_gb",
			  number(gib(m.disk_total)), "free_gb", number(gib(m.disk_free)),
			  "percent_used", number(rounded(m.disk_percent, 0.1)), "network",
			  "bytes_sent_gb", number(gib(m.net_sent)), "bytes_recv_gb",
			  number(gib(m.net_received)), "packets_sent",
			  (json_int_t)m.net_packets_sent, "packets_recv",
			  (json_int_t)m.net_packets_received, "wireguard_interfaces",
			  interfaces, "services", "wg_manager_api", "running", "timestamp",
			  now_text(call)));
}

void admin_health(struct call *call)
{
	look(call, health_seen);
}

static void summary_seen(void *context, int err, const struct observation *seen)
{
	struct call *call = context;
	const struct peers *peers = gateway_peers(call->api->gateway);
	size_t all = peers_count(peers), active = peers_count_active(peers);
	struct machine_look m;
	char uptime[48];

	if (err != 0) {
		fail(call, "Failed to get summary", err);
		return;
	}
	machine_look(call->api->machine, &m);
	snprintf(uptime, sizeof(uptime), "%" PRIu64 "d %" PRIu64 "h", m.uptime_s / 86400,
		 m.uptime_s / 3600 % 24);
	call_reply(call, 200,
		   json_pack("{s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:s, s:o}", "uptime",
			     uptime, "cpu_percent", number(rounded(m.cpu_percent, 0.1)),
			     "memory_percent", number(rounded(m.memory_percent, 0.1)),
			     "total_peers_wireguard", (json_int_t)seen->n,
			     "active_peers_connected", (json_int_t)seen->n_connected,
			     "total_configurations", (json_int_t)all, "active_configurations",
			     (json_int_t)active, "suspended_configurations",
			     (json_int_t)(all - active), "status",
			     m.cpu_percent < DEGRADED_PERCENT &&
					     m.memory_percent < DEGRADED_PERCENT
				     ? "healthy"
				     : "degraded",
			     "timestamp", now_text(call)));
}

void admin_summary(struct call *call)
{
	look(call, summary_seen);
}

/* --- Resolvers: none of our own yet --- */

static const struct {
	const char *level, *name, *ip;
} resolvers[API_DNS_CHOICES] = {
	{ "d1", "Clean", "10.65.1.1" },
	{ "d2", "Ad-Block", "10.65.1.2" },
	{ "d3", "Maximum", "10.65.1.3" },
};

void admin_health_dns(struct call *call)
{
	call_reply(call, 200,
		   json_pack("{s:b, s:n, s:b, s:s, s:o, s:n, s:n}", "dns_service_active", 0,
			     "dns_query_latency_ms", "dns_upstream_reachable", 0, "dns_status",
			     "not_deployed", "dns_last_check", now_text(call), "dns_server_ip",
			     "dns_upstream"));
}

void admin_health_dns_all(struct call *call)
{
	json_t *levels = json_object();

	for (int i = 0; i < API_DNS_CHOICES; i++)
		json_object_set_new(levels, resolvers[i].level,
				    json_pack("{s:s, s:s, s:b, s:s}", "name", resolvers[i].name,
					      "ip", resolvers[i].ip, "active", 0, "status",
					      "not_deployed"));
	call_reply(call, 200,
		   json_pack("{s:o, s:o}", "dns_levels", levels, "timestamp", now_text(call)));
}

static void reply_unknown_level(struct call *call)
{
	char text[80];

	snprintf(text, sizeof(text), "Unknown DNS level: %.*s",
		 (int)(call->match.part_len < 32 ? call->match.part_len : 32),
		 call->match.part);
	call_reply(call, 200,
		   json_pack("{s:s, s:[s, s, s]}", "error", text, "valid_levels", "d1", "d2",
			     "d3"));
}

void admin_health_dns_level(struct call *call)
{
	const struct route_match *m = &call->match;
	json_t *reply;
	int i = 0;

	while (i < API_DNS_CHOICES && (m->part_len != strlen(resolvers[i].level) ||
				       memcmp(m->part, resolvers[i].level, m->part_len) != 0))
		i++;
	if (i == API_DNS_CHOICES) {
		reply_unknown_level(call);
		return;
	}
	reply = json_pack("{s:s, s:s, s:b, s:n, s:b, s:s, s:s, s:o}", "level",
			  resolvers[i].level, "name", resolvers[i].name, "dns_service_active",
			  0, "dns_query_latency_ms", "dns_upstream_reachable", 0, "dns_status",
			  "not_deployed", "dns_server_ip", resolvers[i].ip, "dns_last_check",
			  now_text(call));
	if (i > 0 && reply) {
		json_object_set_new(reply, "blocked_domains", json_integer(0));
		json_object_set_new(reply, "blocklist_version", json_null());
	}
	call_reply(call, 200, reply);
}

/* --- The mesh: there is none yet --- */

void admin_recover_peers(struct call *call)
{
	call_conclude(call, 200,
		      json_pack("{s:s, s:s, s:i}", "status", "unavailable", "message",
				"Mesh peer sync not available on this gateway",
				"recovered_count", 0));
}

void admin_reconcile_peers(struct call *call)
{
	call_conclude(call, 200,
		      json_pack("{s:s, s:s}", "status", "unavailable", "message",
				"Mesh sync not available or peer store not initialized"));
}

void admin_crl_status(struct call *call)
{
	call_reply(call, 200,
		   json_pack("{s:b, s:i, s:i, s:n, s:o}", "enforcement_active", 0,
			     "crl_version", 0, "revoked_count", 0, "loaded_at", "timestamp",
			     now_text(call)));
}

void admin_crl_check(struct call *call)
{
	static const char name[] = "serial_number=";
	const char *query = call->match.query;
	char serial[SERIAL_MAX + 1] = "";

	if (strncmp(query, name, sizeof(name) - 1) != 0 ||
	    key_text_unescape(query + sizeof(name) - 1, strcspn(query, "&") - sizeof(name) + 1,
			      serial, sizeof(serial)) <= 0) {
		call_refuse_fields(call, json_pack("[{s:s, s:[s, s], s:s, s:n}]", "type",
						   "missing", "loc", "query", "serial_number",
						   "msg", "Field required", "input"));
		return;
	}
	call_conclude(call, 200,
		      json_pack("{s:s, s:b, s:i, s:o}", "serial_number", serial, "is_revoked",
				0, "crl_version", 0, "timestamp", now_text(call)));
}

/* Everything is set anew: what is right already does not notice. */
void admin_restart_wireguard(struct call *call)
{
	json_t *interfaces = json_object();

	reconcile_mark_stale(call->api->reconcile);
	gateway_wake(call->api->gateway);
	for (int i = 0; i < LEVEL_INTERFACES; i++)
		json_object_set_new(interfaces, level_interfaces[i].name,
				    json_string("restarted"));
	json_object_set_new(interfaces, "peer_reconstruction", json_string("success"));
	call_conclude(call, 200,
		      json_pack("{s:s, s:o, s:o}", "status", "completed", "interfaces",
				interfaces, "timestamp", now_text(call)));
}
