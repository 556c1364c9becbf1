/* SPDX-License-Identifier: Apache-2.0 */
/**
 * tcp_rtt.h - How long a round trip takes, and how long to wait for an answer
 *
 * Source:  RFC 6298 (smoothing, back-off). Its lower bound of one second is 200 ms here, as in
 *          every TCP in use; RFC 8985 section 6.2 (the minimum).
 * Threads: none here.
 */
#pragma once

#include <stdint.h>

#define TCP_RTO_MIN_NS	   UINT64_C(200000000)
#define TCP_RTO_FIRST_NS   UINT64_C(1000000000)
#define TCP_RTO_MAX_NS	   UINT64_C(60000000000)
#define TCP_RTT_MIN_FOR_NS UINT64_C(300000000000) /* afterwards a minimum is forgotten */

/* All zeroes: nothing measured. */
struct tcp_rtt {
	uint64_t smooth_ns;
	uint64_t deviation_ns;
	uint64_t min_ns;
	uint64_t min_at_ns;
	uint32_t backoff; /* doublings since the last sample */
};

/** tcp_rtt_sample() - A round trip took @rtt_ns */
void tcp_rtt_sample(struct tcp_rtt *r, uint64_t now_ns, uint64_t rtt_ns);

/* Time until what was sent counts as lost, with back-off. */
uint64_t tcp_rtt_rto_ns(const struct tcp_rtt *r);
