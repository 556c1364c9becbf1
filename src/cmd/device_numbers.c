/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/device_numbers.h"

#include <string.h>
#include <time.h>

#include <sys/resource.h>

#include "base/json_write.h"

/* One number. Rows of one group follow each other; one without a name is the group's only value. */
struct row {
	const char *group;
	const char *name;
	uint64_t value;
};

static uint64_t difference(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0; /* they are read one after the other */
}

static void write_json(struct text *out, const struct row *rows, size_t n, uint64_t wall_ns)
{
	const char *group = "";

	text_puts(out, "{");
	json_put_number(out, "ts", wall_ns / 1000000000);
	for (size_t i = 0; i < n; i++) {
		bool is_new = strcmp(group, rows[i].group) != 0;

		if (is_new && group[0] && rows[i - 1].name)
			text_puts(out, "}");
		group = rows[i].group;
		if (!rows[i].name) {
			json_put_number(out, group, rows[i].value);
			continue;
		}
		if (is_new) {
			json_put_name(out, group);
			text_puts(out, "{");
		}
		json_put_number(out, rows[i].name, rows[i].value);
	}
	text_puts(out, n > 0 && rows[n - 1].name ? "}}\n" : "}\n");
}

static void write_text(struct text *out, const struct row *rows, size_t n, uint64_t wall_ns)
{
	text_printf(out, "metrics ts=%llu", (unsigned long long)(wall_ns / 1000000000));
	for (size_t i = 0; i < n; i++)
		text_printf(out, " %s%s%s=%llu", rows[i].group, rows[i].name ? "." : "",
			    rows[i].name ? rows[i].name : "",
			    (unsigned long long)rows[i].value);
	text_puts(out, "\n");
}

void device_numbers_write(struct text *out, const struct device_numbers *n,
			  const struct device_moment *when, bool is_json)
{
	const uint64_t *c = n->usernet;
	uint64_t created =
		c[USERNET_TCP_OPENED] + c[USERNET_UDP_OPENED] + c[USERNET_ECHO_OPENED];
	uint64_t closed =
		c[USERNET_TCP_CLOSED] + c[USERNET_UDP_CLOSED] + c[USERNET_ECHO_CLOSED];
	uint64_t dropped = c[USERNET_DROPPED] + n->engine.staged_dropped;
	uint64_t errors = c[USERNET_TCP_REFUSED] + c[USERNET_DENIED] + c[USERNET_MALFORMED] +
			  c[USERNET_FULL] + dropped;
	struct rusage usage = { .ru_maxrss = 0 };

	getrusage(RUSAGE_SELF, &usage);

	const struct row rows[] = {
		{ "total", "conns_created", created },
		{ "total", "conns_closed", closed },
		{ "total", "pkts_sent", c[USERNET_PACKETS_TO] },
		{ "total", "pkts_recv", c[USERNET_PACKETS_FROM] },
		{ "total", "bytes_sent", c[USERNET_OCTETS_TO] },
		{ "total", "bytes_recv", c[USERNET_OCTETS_FROM] },
		{ "total", "errors", errors },
		{ "tcp", "conns_created", c[USERNET_TCP_OPENED] },
		{ "tcp", "conns_closed", c[USERNET_TCP_CLOSED] },
		{ "tcp", "errors", c[USERNET_TCP_REFUSED] },
		{ "udp", "conns_created", c[USERNET_UDP_OPENED] },
		{ "udp", "conns_closed", c[USERNET_UDP_CLOSED] },
		{ "udp", "errors", c[USERNET_DROPPED] },
		{ "tcp_ext", "refused", c[USERNET_TCP_REFUSED] },
		{ "tcp_active", NULL,
		  difference(c[USERNET_TCP_OPENED], c[USERNET_TCP_CLOSED]) },
		{ "udp_active", NULL,
		  difference(c[USERNET_UDP_OPENED], c[USERNET_UDP_CLOSED]) },
		{ "wg", "plaintext_from_wg", c[USERNET_PACKETS_FROM] },
		{ "wg", "plaintext_to_wg", c[USERNET_PACKETS_TO] },
		{ "wg", "queue_drops", dropped },
		{ "flow", "active", n->flows },
		{ "flow", "forwarded", c[USERNET_FORWARDED] },
		{ "proc", "cpu_user_ms",
		  (uint64_t)usage.ru_utime.tv_sec * 1000 +
			  (uint64_t)usage.ru_utime.tv_usec / 1000 },
		{ "proc", "cpu_system_ms",
		  (uint64_t)usage.ru_stime.tv_sec * 1000 +
			  (uint64_t)usage.ru_stime.tv_usec / 1000 },
		{ "proc", "rss_max_bytes", (uint64_t)usage.ru_maxrss * 1024 },
		{ "rt", "uptime_s", when->running_ns / 1000000000 },
		{ "egress_limiter", "denied", c[USERNET_DENIED] },
		{ "flow_limiter", "evicted", c[USERNET_EVICTED] },
		{ "flow_limiter", "refused", c[USERNET_FULL] },
		{ "srv_limits", "flows_max", when->flows_max },
	};

	(is_json ? write_json : write_text)(out, rows, sizeof(rows) / sizeof(rows[0]),
					    when->wall_ns);
}
