/* SPDX-License-Identifier: Apache-2.0 */
#include "api/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/time_text.h"
#include "sys/clock.h"

/* --- Addresses in use --- */

/**
 * struct address_job - The addresses in use, on their way to a sorted list
 * @assigned:	A copy, both families, @n of them
 * @reply:	Made in the background
 */
struct address_job {
	struct background_job job; /* first: the background gives that back */
	struct call *call;
	void (*done)(struct call *call, json_t *usage);
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

static json_t *sorted_texts(const struct address_job *u, enum addr_family family)
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

static json_t *usage_of(const struct address_job *u, int which)
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
	struct address_job *u = (struct address_job *)job;

	u->reply = json_pack("{s:o, s:o}", "ipv4", usage_of(u, 0), "ipv6", usage_of(u, 1));
}

static void reply_usage(struct background_job *job)
{
	struct address_job *u = (struct address_job *)job;

	u->done(u->call, u->reply);
	free(u->assigned);
	free(u);
}

static struct address_job *copy_usage(struct call *call)
{
	const struct gateway *g = call->api->gateway;
	const struct peers *peers = gateway_peers(g);
	struct address_job *u = calloc(1, sizeof(*u));

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

void status_usage(struct call *call, void (*done)(struct call *call, json_t *usage))
{
	struct address_job *u = copy_usage(call);
	int err = u ? 0 : -ENOMEM;

	if (err == 0) {
		u->done = done;
		err = background_submit(call->api->background, &u->job);
	}
	if (err == 0)
		return;
	if (u)
		free(u->assigned);
	free(u);
	call_fail(call, err, NULL);
}

static void reply_with_usage(struct call *call, json_t *usage)
{
	call_reply(call, 200, usage);
}

void status_ip_usage(struct call *call)
{
	status_usage(call, reply_with_usage);
}

/* --- The machine --- */

static double tenths(double x)
{
	return (double)(long)(x * 10 + 0.5) / 10;
}

static void answer(void *context, int err, const struct observation *seen)
{
	struct call *call = context;
	char text[128], now[TIME_TEXT_MAX];
	struct machine_look m;

	if (err != 0) {
		snprintf(text, sizeof(text), "Failed to get server status: %s", err_text(err));
		call_refuse(call, 500, text);
		return;
	}
	machine_look(call->api->machine, &m);
	call_reply(call, 200,
		   json_pack("{s:I, s:I, s:f, s:f, s:s, s:s}", "wireguard_peers",
			     (json_int_t)seen->n_connected, "total_peers", (json_int_t)seen->n,
			     "memory_usage", tenths(m.memory_percent), "load_average",
			     m.load[0], "timestamp", time_text_local(call->now_ns, now),
			     "status", "healthy"));
}

void status_server(struct call *call)
{
	int err = observer_look(call->api->observer, clock_boot_ns(), answer, call);

	if (err != 0)
		call_fail(call, err, NULL);
}
