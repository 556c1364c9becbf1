/* SPDX-License-Identifier: Apache-2.0 */
#include "api/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "api/call.h"
#include "api/time_text.h"
#include "sys/clock.h"

/* --- Addresses in use --- */

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* All assigned addresses of a family, sorted as texts. */
static json_t *assigned(const struct peers *peers, enum addr_family family)
{
	size_t n = 0, max = peers_count(peers);
	char(*texts)[ADDR_TEXT_MAX] = calloc(max ? max : 1, sizeof(*texts));
	json_t *list = json_array();

	if (!texts || !list) {
		free(texts);
		json_decref(list);
		return NULL;
	}
	for (const struct peer *p = peers_after(peers, 0); p && n < max; p = p->next) {
		const struct ip_addr *a = family == ADDR_V4 ? &p->v4 : &p->v6;

		if (a->family == family)
			ip_addr_format(a, texts[n++]);
	}
	qsort(texts, n, sizeof(*texts), by_text);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(texts[i]));
	free(texts);
	return list;
}

static json_t *usage(const struct gateway *g, enum addr_family family)
{
	const struct pool *pool = gateway_pool(g, family);
	struct ip_addr gateway_ip = pool_gateway(pool);
	json_t *list = assigned(gateway_peers(g), family);
	uint64_t total = pool_total(pool), used = json_array_size(list);
	char text[ADDR_TEXT_MAX];

	if (!list)
		return NULL;
	return json_pack("{s:I, s:I, s:I, s:o, s:s}", "total", (json_int_t)total, "used",
			 (json_int_t)used, "available",
			 (json_int_t)(used < total ? total - used : 0), "assigned_ips", list,
			 "gateway_ip", ip_addr_format(&gateway_ip, text));
}

void status_ip_usage(struct call *call)
{
	json_t *v4 = usage(call->api->gateway, ADDR_V4),
	       *v6 = usage(call->api->gateway, ADDR_V6);

	call_reply(call, 200, json_pack("{s:o, s:o}", "ipv4", v4, "ipv6", v6));
}

/* --- The machine --- */

/* Of a file of /proc that was opened before the sandbox closed. Return: its text or "". */
static const char *proc_text(int fd, char *out, size_t size)
{
	ssize_t n = fd < 0 ? -1 : pread(fd, out, size - 1, 0);

	out[n > 0 ? n : 0] = '\0';
	return out;
}

static double kib_of(const char *meminfo, const char *name)
{
	const char *line = strstr(meminfo, name);

	return line ? strtod(line + strlen(name), NULL) : 0;
}

static double memory_usage(int fd)
{
	char text[2048];
	const char *meminfo = proc_text(fd, text, sizeof(text));
	double total = kib_of(meminfo, "MemTotal:"),
	       available = kib_of(meminfo, "MemAvailable:");

	return total > 0 ? (total - available) * 100 / total : 0;
}

static double tenths(double x)
{
	return (double)(long)(x * 10 + 0.5) / 10;
}

static void answer(void *context, int err, const struct observation *seen)
{
	struct call *call = context;
	char text[128], now[TIME_TEXT_MAX];
	double load;

	if (err != 0) {
		snprintf(text, sizeof(text), "Failed to get server status: %s", err_text(err));
		call_refuse(call, 500, text);
		return;
	}
	load = strtod(proc_text(call->api->loadavg_fd, text, sizeof(text)), NULL);
	call_reply(call, 200,
		   json_pack("{s:I, s:I, s:f, s:f, s:s, s:s}", "wireguard_peers",
			     (json_int_t)seen->n_connected, "total_peers", (json_int_t)seen->n,
			     "memory_usage", tenths(memory_usage(call->api->meminfo_fd)),
			     "load_average", load, "timestamp",
			     time_text_local(call->now_ns, now), "status", "healthy"));
}

void status_server(struct call *call)
{
	int err = observer_look(call->api->observer, clock_boot_ns(), answer, call);

	if (err != 0)
		call_fail(call, err, NULL);
}
