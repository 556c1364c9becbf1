/* SPDX-License-Identifier: Apache-2.0 */
#include "api/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "api/call.h"
#include "api/time_text.h"
#include "sys/clock.h"

/* --- Addresses in use --- */

/**
 * struct usage_job - The addresses in use, on their way to a sorted list
 * @assigned:	A copy, both families, @n of them
 * @reply:	Made in the background
 */
struct usage_job {
	struct background_job job; /* first: the background gives that back */
	struct call *call;
	struct ip_addr gateway_ip[2];
	uint64_t total[2];
	struct ip_addr *assigned;
	size_t n;
	json_t *reply;
};

static const enum addr_family families[2] = { ADDR_V4, ADDR_V6 };

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static json_t *sorted_texts(const struct usage_job *u, enum addr_family family)
{
	char(*texts)[ADDR_TEXT_MAX] = calloc(u->n ? u->n : 1, sizeof(*texts));
	json_t *list = json_array();
	size_t n = 0;

	for (size_t i = 0; texts && i < u->n; i++)
		if (u->assigned[i].family == family)
			ip_addr_format(&u->assigned[i], texts[n++]);
	if (n > 0)
		qsort(texts, n, sizeof(*texts), by_text);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(texts[i]));
	free(texts);
	return list;
}

static json_t *usage_of(const struct usage_job *u, int which)
{
	json_t *list = sorted_texts(u, families[which]);
	uint64_t used = json_array_size(list), total = u->total[which];
	char text[ADDR_TEXT_MAX];

	return json_pack("{s:I, s:I, s:I, s:o, s:s}", "total", (json_int_t)total, "used",
			 (json_int_t)used, "available",
			 (json_int_t)(used < total ? total - used : 0), "assigned_ips", list,
			 "gateway_ip", ip_addr_format(&u->gateway_ip[which], text));
}

static void make_usage(struct background_job *job)
{
	struct usage_job *u = (struct usage_job *)job;

	u->reply = json_pack("{s:o, s:o}", "ipv4", usage_of(u, 0), "ipv6", usage_of(u, 1));
}

static void reply_usage(struct background_job *job)
{
	struct usage_job *u = (struct usage_job *)job;

	call_reply(u->call, 200, u->reply);
	free(u->assigned);
	free(u);
}

static struct usage_job *copy_usage(struct call *call)
{
	const struct gateway *g = call->api->gateway;
	const struct peers *peers = gateway_peers(g);
	struct usage_job *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->assigned = calloc(2 * peers_count(peers) + 1, sizeof(*u->assigned));
	if (!u->assigned) {
		free(u);
		return NULL;
	}
	u->job.run = make_usage;
	u->job.done = reply_usage;
	u->call = call;
	for (int i = 0; i < 2; i++) {
		u->gateway_ip[i] = pool_gateway(gateway_pool(g, families[i]));
		u->total[i] = pool_total(gateway_pool(g, families[i]));
	}
	for (const struct peer *p = peers_after(peers, 0); p; p = p->next) {
		u->assigned[u->n++] = p->v4;
		u->assigned[u->n++] = p->v6;
	}
	return u;
}

void status_ip_usage(struct call *call)
{
	struct usage_job *u = copy_usage(call);
	int err = u ? background_submit(call->api->background, &u->job) : -ENOMEM;

	if (err == 0)
		return;
	if (u)
		free(u->assigned);
	free(u);
	call_fail(call, err, NULL);
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
