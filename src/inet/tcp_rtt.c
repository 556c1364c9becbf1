/* SPDX-License-Identifier: Apache-2.0 */
#include "inet/tcp_rtt.h"

enum { BACKOFF_MAX = 20 };

void tcp_rtt_sample(struct tcp_rtt *r, uint64_t now_ns, uint64_t rtt_ns)
{
	if (rtt_ns == 0)
		rtt_ns = 1;
	if (r->min_ns == 0 || rtt_ns <= r->min_ns ||
	    now_ns - r->min_at_ns > TCP_RTT_MIN_FOR_NS) {
		r->min_ns = rtt_ns;
		r->min_at_ns = now_ns;
	}
	r->backoff = 0;
	if (r->smooth_ns == 0) {
		r->smooth_ns = rtt_ns;
		r->deviation_ns = rtt_ns / 2;
		return;
	}
	uint64_t off = r->smooth_ns > rtt_ns ? r->smooth_ns - rtt_ns : rtt_ns - r->smooth_ns;

	r->deviation_ns = (3 * r->deviation_ns + off) / 4;
	r->smooth_ns = (7 * r->smooth_ns + rtt_ns) / 8;
}

/* The lower bound is one of the variation, as in practice: a path whose round trip hardly varies
 * would otherwise be told lost by one delayed acknowledgement. */
uint64_t tcp_rtt_rto_ns(const struct tcp_rtt *r)
{
	uint64_t variation = 4 * r->deviation_ns, rto = TCP_RTO_FIRST_NS;

	if (r->smooth_ns)
		rto = r->smooth_ns + (variation < TCP_RTO_MIN_NS ? TCP_RTO_MIN_NS : variation);
	if (r->backoff >= BACKOFF_MAX || rto << r->backoff > TCP_RTO_MAX_NS)
		return TCP_RTO_MAX_NS;
	return rto << r->backoff;
}
