/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/counters.h"

#include <inttypes.h>

void counters_sum(const struct counters *c, uint64_t into[PROXY_COUNTS])
{
	for (int i = 0; i < PROXY_COUNTS; i++)
		into[i] += atomic_load_explicit(&c->n[i], memory_order_relaxed);
}

static void write_one(struct text *out, const char *type, const char *name, const char *help,
		      uint64_t value)
{
	text_printf(out,
		    "# HELP culvert_proxy_%s %s\n# TYPE culvert_proxy_%s %s\n"
		    "culvert_proxy_%s %" PRIu64 "\n",
		    name, help, name, type, name, value);
}

static void write_refusals(const uint64_t n[PROXY_COUNTS], struct text *out)
{
	static const struct {
		enum proxy_count which;
		const char *reason;
	} rows[] = {
		{ PROXY_BAD_REQUEST, "request" }, { PROXY_BAD_METHOD, "method" },
		{ PROXY_NO_KEY, "key" },	  { PROXY_DENIED, "address" },
		{ PROXY_BUSY, "busy" },		  { PROXY_UNREACHED, "unreachable" },
		{ PROXY_TIMED_OUT, "timeout" },	  { PROXY_SLOW, "slow" },
	};

	text_puts(out, "# HELP culvert_proxy_refused_total Requests that became no tunnel\n"
		       "# TYPE culvert_proxy_refused_total counter\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		text_printf(out, "culvert_proxy_refused_total{reason=\"%s\"} %" PRIu64 "\n",
			    rows[i].reason, n[rows[i].which]);
}

void counters_write(const uint64_t n[PROXY_COUNTS], uint64_t keys, struct text *out)
{
	write_one(out, "gauge", "keys", "Keys that may use the proxy", keys);
	write_one(out, "gauge", "tunnels", "Tunnels that are open",
		  n[PROXY_TUNNELS] - n[PROXY_CLOSED]);
	write_one(out, "counter", "connections_total", "Connections accepted",
		  n[PROXY_CONNECTIONS]);
	write_one(out, "counter", "tunnels_total", "Tunnels opened", n[PROXY_TUNNELS]);
	write_one(out, "counter", "idle_total", "Tunnels ended because nobody used them",
		  n[PROXY_IDLE]);
	write_one(out, "counter", "revoked_total", "Tunnels ended because their key went",
		  n[PROXY_REVOKED]);
	write_one(out, "counter", "received_bytes_total", "Octets from clients",
		  n[PROXY_BYTES_UP]);
	write_one(out, "counter", "sent_bytes_total", "Octets to clients", n[PROXY_BYTES_DOWN]);
	write_refusals(n, out);
}
